"""The command line of a training run: `[JOB.toml] [section.key=value ...]`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hpctrain.errors import SettingsError
from hpctrain.job.describe import nearest, nearest_setting

_FLAGS = {"-h": "help", "--help": "help", "--version": "version"}


@dataclass(frozen=True)
class Request:
    """What was asked for on a command line."""

    job: str | None = None  # path of the job file; None: the job that comes with the package
    overrides: tuple[str, ...] = ()  # as written; not looked into yet
    help: bool = False
    version: bool = False


def parse(argv: Sequence[str]) -> Request:
    """Sort the arguments (without the program's name); raises SettingsError for flags there are not, or two jobs."""
    flags = [argument for argument in argv if argument.startswith("-")]
    for flag in flags:
        if flag not in _FLAGS:
            raise SettingsError(_no_flag(flag))
    rest = [argument for argument in argv if not argument.startswith("-")]
    overrides = tuple(argument for argument in rest if _is_override(argument))
    jobs = [argument for argument in rest if not _is_override(argument)]
    if len(jobs) > 1:
        raise SettingsError(f"one job at a time: {' and '.join(jobs)} were given (settings are section.key=value)")
    asked = {_FLAGS[flag] for flag in flags}
    return Request(jobs[0] if jobs else None, overrides, help="help" in asked, version="version" in asked)


def _is_override(argument: str) -> bool:
    # A folder may hold "=", as in runs/lr=0.1/job.toml.
    name, equals, _ = argument.partition("=")
    return bool(equals) and "/" not in name


def _no_flag(flag: str) -> str:
    name, _, value = flag.lstrip("-").replace("-", "_").partition("=")
    section, _, key = name.rpartition(".")
    meant = nearest_setting(section, key)
    if meant:
        return f'no flag "{flag}"; settings are given without dashes: {meant}={value or "..."}'
    known = nearest(flag, list(_FLAGS))
    return f'no flag "{flag}"' + (f" (did you mean {known}?)" if known else "") + f"; flags: {', '.join(_FLAGS)}"
