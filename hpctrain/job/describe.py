"""Settings in words: which there are, what a value must be, and how it is written in a job file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo

from hpctrain.job.sections.section import Section, Words
from hpctrain.job.settings import Job


def sections() -> dict[str, type[Section]]:
    """Every section of a job file, by name."""
    return {name: _section_type(field) for name, field in Job.model_fields.items()}


def settings() -> Iterator[tuple[str, str, FieldInfo]]:
    """Every setting: its section, its key, and what pydantic knows of it."""
    for section, kind in sections().items():
        for key, field in kind.model_fields.items():
            yield section, key, field


def expected(field: FieldInfo) -> str:
    """What a value must be, e.g. "a whole number, at least 1" or 'one of "auto", "cpu", "cuda"'."""
    words = [entry.text for entry in field.metadata if isinstance(entry, Words)]
    if words:
        return words[0]
    kind, arguments = get_origin(field.annotation), get_args(field.annotation)
    if kind is Literal:
        return "one of " + ", ".join(map(written, arguments))
    if kind is list:
        if get_origin(arguments[0]) is Literal:
            return "a list of any of " + ", ".join(map(written, get_args(arguments[0])))
        item = FieldInfo.from_annotation(arguments[0])
        bounds = _bounds(item)
        return f"a list of {_PLURALS[item.annotation]}{', each ' if bounds else ''}{bounds}"
    if kind is dict:
        return "a table, e.g. {width = 64}"
    bounds = _bounds(field)
    return f"{_SINGULARS[field.annotation]}{', ' if bounds else ''}{bounds}"


def written(value: Any) -> str:
    """A value as a job file would hold it: texts in quotes, true and false."""
    match value:
        case bool() | str():
            return json.dumps(value, ensure_ascii=False)
        case list():
            return f"[{', '.join(map(written, value))}]"
        case dict():
            return f"{{{', '.join(f'{key} = {written(entry)}' for key, entry in value.items())}}}"
        case _:
            return str(value)


def nearest(name: str, names: list[str]) -> str | None:
    """The one of `names` that `name` was probably meant to be."""
    lower = {candidate.lower(): candidate for candidate in names}
    found = get_close_matches(name.lower(), lower, n=1)
    return lower[found[0]] if found else None


def nearest_setting(section: str, key: str) -> str | None:
    """The "section.key" that an unknown one was probably meant to be: this key elsewhere, or one like it."""
    homes: dict[str, list[str]] = {}
    for name, known, _ in settings():
        homes.setdefault(known, []).append(name)
    if len(homes.get(key, [])) == 1:
        return f"{homes[key][0]}.{key}"
    here = nearest(key, [known for known, names in homes.items() if section in names])
    if here:
        return f"{section}.{here}"
    anywhere = nearest(key, list(homes))
    return f"{homes[anywhere][0]}.{anywhere}" if anywhere else None


def _section_type(field: FieldInfo) -> type[Section]:
    assert isinstance(field.annotation, type)
    assert issubclass(field.annotation, Section)
    return field.annotation


def _bounds(field: FieldInfo) -> str:
    """Smallest and largest value allowed, e.g. "at least 0 and below 1"."""
    limits: list[tuple[str, Any]] = []
    for bound in field.metadata:
        match bound:
            case Ge(ge=limit):
                limits.append(("at least", limit))
            case Gt(gt=limit):
                limits.append(("above", limit))
            case Le(le=limit):
                limits.append(("at most", limit))
            case Lt(lt=limit):
                limits.append(("below", limit))
    return " and ".join(f"{word} {int(limit) if limit == int(limit) else limit}" for word, limit in limits)


_SINGULARS: dict[Any, str] = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
_PLURALS: dict[Any, str] = {int: "whole numbers", float: "numbers", str: "texts"}
