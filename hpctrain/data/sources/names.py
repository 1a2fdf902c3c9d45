"""Choosing columns and arrays by name."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path

from hpctrain.data.sources.source import Request
from hpctrain.errors import DataError

TARGET_NAMES = ("label", "y", "labels", "target")
_SHOWN_NAMES = 12


def pick(name: str, names: Sequence[str], what: str, where: Path) -> str:
    """The name itself. Raises DataError with the nearest name where `names` does not hold it."""
    if name in names:
        return name
    near = difflib.get_close_matches(name, names, n=1)
    nearest = f'; the nearest is "{near[0]}"' if near else ""
    raise DataError(f'{where} has no {what} "{name}"{nearest}. It has: {_shown(names)}')


def usual_target(names: Sequence[str], what: str, where: Path) -> str:
    """The first name that targets usually have. Raises DataError where there is none."""
    for usual in TARGET_NAMES:
        for name in names:
            if name.casefold() == usual:
                return name
    raise DataError(
        f"{where} has no {what} called {', '.join(TARGET_NAMES)}: name the {what} to predict in data.target. "
        f"It has: {_shown(names)}"
    )


def choose_columns(
    request: Request, names: Sequence[str], usual: str, what: str, where: Path
) -> tuple[tuple[str, ...], str]:
    """Features and target: as asked for, or all but the target and `usual`. Raises DataError where they do not fit."""
    target = pick(request.target, names, what, where) if request.target else usual
    features = tuple(pick(name, names, what, where) for name in request.features)
    features = features or tuple(name for name in names if name != target)
    if target in features:
        raise DataError(f'data.features holds "{target}", the {what} to predict; leave it out, or set data.target')
    if not features:
        raise DataError(f'{where} has nothing to learn from: its only {what} is the target, "{target}"')
    return features, target


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN_NAMES]) + (", ..." if len(names) > _SHOWN_NAMES else "") or "none"
