"""From a job file and overrides to a validated job: everything that is wrong is found at once and told in words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from hpctrain.job.check import check
from hpctrain.job.composition import check_composition
from hpctrain.job.describe import expected, nearest, nearest_setting, sections, written
from hpctrain.job.problem import Problem, settings_error
from hpctrain.job.sections.section import Section
from hpctrain.job.settings import Job, Parallel
from hpctrain.job.source import Source, Tables


def load_job(path: str | Path | None = None, overrides: Sequence[str] = ()) -> Job:
    """The job that a TOML file and `section.key=value` overrides describe, validated whole.

    Without a path: the job that comes with the package, digits_cnn. Relative paths inside a job are relative to the
    working directory. Raises SettingsError with one message that holds every problem: where it is, the value, what is
    allowed, and the nearest name for an unknown one.
    """
    source = Source(None if path is None else Path(path), overrides)
    problems = list(_unknown(source.tables))
    known = {
        section: {key: value for key, value in _table(source.tables, section).items() if key in kind.model_fields}
        for section, kind in sections().items()
    }
    known["run"].setdefault("name", _name_from(source.stem))
    values: dict[str, Section] = {}
    for section, kind in sections().items():
        values[section], wrong = _validate(section, kind, known[section])
        problems += wrong
    job = Job.model_validate(values)
    blamed = {key for problem in problems for key in problem.keys}
    problems += [problem for problem in check(job) if not blamed & set(problem.keys)]
    if problems or source.unreadable:
        told = [f"{source.place(*problem.keys)}: {problem.text}" for problem in problems]
        raise settings_error([*source.unreadable, *told])
    return job


def load_parallel(values: dict[str, Any]) -> Parallel:
    """Section `parallel` of a job from Python, validated with what goes together in it. Raises SettingsError."""
    kind = sections()["parallel"]
    known = {key: value for key, value in values.items() if key in kind.model_fields}
    section, wrong = _validate("parallel", kind, known)
    assert isinstance(section, Parallel)
    problems = [*_unknown({"parallel": values}), *wrong] or list(check_composition(Job(parallel=section)))
    if problems:
        raise settings_error([problem.text for problem in problems])
    return section


def _unknown(tables: Tables) -> Iterator[Problem]:
    """Sections and keys that there are not."""
    for section, table in tables.items():
        if section not in sections():
            yield Problem((section,), _no_section(section, table))
        elif not isinstance(table, dict):
            text = f"[{section}] is a section that holds settings, and is set to {written(table)}"
            yield Problem((section,), text)
        else:
            for key in table:
                if key not in sections()[section].model_fields:
                    yield Problem((f"{section}.{key}",), _no_setting(section, key))


def _no_section(section: str, table: Any) -> str:
    names = ", ".join(f"[{name}]" for name in sections())
    if not isinstance(table, dict):
        meant = nearest_setting("", section)
        return f"{section} stands in no section{_did_you_mean(meant)}; sections: {names}"
    meant = nearest(section, list(sections()))
    return f"there is no section [{section}]{_did_you_mean(f'[{meant}]' if meant else None)}; sections: {names}"


def _no_setting(section: str, key: str) -> str:
    names = ", ".join(sections()[section].model_fields)
    meant = nearest_setting(section, key)
    return f"there is no setting {section}.{key}{_did_you_mean(meant)}; settings of [{section}]: {names}"


def _did_you_mean(name: str | None) -> str:
    return f" (did you mean {name}?)" if name else ""


def _table(tables: Tables, section: str) -> dict[str, Any]:
    table = tables.get(section)
    return table if isinstance(table, dict) else {}


def _validate(section: str, kind: type[Section], table: dict[str, Any]) -> tuple[Section, list[Problem]]:
    """The section, with defaults in place of values that are not allowed, and a problem for each of those."""
    try:
        return kind.model_validate(table, strict=True), []
    except ValidationError as error:
        wrong = dict.fromkeys(str(entry["loc"][0]) for entry in error.errors())
        rest = {key: value for key, value in table.items() if key not in wrong}
        problems = [_bad_value(f"{section}.{key}", table[key], kind.model_fields[key]) for key in wrong]
        return kind.model_validate(rest, strict=True), problems


def _bad_value(name: str, value: Any, field: FieldInfo) -> Problem:
    wants_text = field.annotation is str or get_origin(field.annotation) is Literal
    shown = f"the text {written(value)}" if isinstance(value, str) and not wants_text else written(value)
    choices = [choice for choice in get_args(field.annotation) if isinstance(choice, str)]
    meant = nearest(value, choices) if isinstance(value, str) else None
    return Problem((name,), f"{name} is {shown}, and must be {expected(field)}{_did_you_mean(meant)}")


def _name_from(stem: str) -> str:
    """The job's name from that of its file: what a name may not hold becomes "-"."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("._-") or "run"
