"""What is wrong with a job, and how a person is told all of it at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hpctrain.errors import SettingsError


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong."""

    keys: tuple[str, ...]  # every "section.key" that it is about, the one to look at first
    text: str


def settings_error(lines: Sequence[str]) -> SettingsError:
    """The error that tells all problems of a job, one a line."""
    if len(lines) == 1:
        return SettingsError(lines[0])
    return SettingsError(f"{len(lines)} problems with the settings:" + "".join(f"\n  - {line}" for line in lines))
