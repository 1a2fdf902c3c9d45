"""Where settings come from: the tables of a job file, changed by overrides; and where each of them was set."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from hpctrain.errors import SettingsError
from hpctrain.job.describe import nearest, nearest_setting, sections, written

Tables = dict[str, Any]


class Source:
    """What was asked, not validated yet.

    Attributes:
        name: the job file as a person knows it.
        stem: its name without folder and ending.
        tables: section to key to value, overrides included.
        unreadable: what is wrong with overrides that say no setting or cannot be applied.
    """

    def __init__(self, path: Path | None, overrides: Sequence[str]) -> None:
        self.name, self.stem, self._text = _packaged() if path is None else (str(path), path.stem, _read(path))
        self.tables = _parse(self.name, self._text)
        self.unreadable: list[str] = []
        self._overrides: dict[str, str] = {}
        for override in overrides:
            try:
                self._apply(override)
            except SettingsError as error:
                self.unreadable.append(f'override "{override}": {error}')

    def place(self, *keys: str) -> str:
        """Where the first of the "section.key" that was set at all was set: an override, or a line of the job file."""
        for key in keys:
            if key in self._overrides:
                return f'override "{self._overrides[key]}"'
            line = _line_of(self._text, key.split("."))
            if line:
                return f"{self.name}, line {line}"
        return self.name

    def _apply(self, override: str) -> None:
        name, equals, text = override.partition("=")
        path = name.strip().split(".")
        if not equals or not all(path):
            raise SettingsError("write section.key=value, e.g. training.epochs=3")
        if len(path) == 1:
            meant = nearest_setting("", path[0])
            raise SettingsError("write section.key=value" + (f"; did you mean {meant}={text}?" if meant else ""))
        table = self.tables
        for part in path[:-1]:
            inner = table.setdefault(part, {})
            if not isinstance(inner, dict):
                raise SettingsError(f"{part} is {written(inner)} in {self.name}, and can hold no keys")
            table = inner
        table[path[-1]] = _value(text, _is_text(path))
        self._overrides[".".join(path[:2])] = override
        self._overrides.setdefault(path[0], override)


def _packaged() -> tuple[str, str, str]:
    """The job that runs when none is named."""
    file = resources.files("hpctrain.job") / "digits_cnn.toml"
    return "the built-in job digits_cnn", "digits_cnn", file.read_text(encoding="utf-8")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise SettingsError(f"no job file {path} (in {Path.cwd()}){_others(path)}") from None
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise SettingsError(f"job file {path} is not UTF-8 text: byte {error.start} is {byte:#x}") from None
    except OSError as error:
        raise SettingsError(f"job file {path} cannot be read: {error.strerror}") from None


def _others(path: Path) -> str:
    """The job files that may have been meant."""
    folders = dict.fromkeys([path.parent, Path(), Path("jobs")])
    found = [str(file) for folder in folders for file in sorted(folder.glob("*.toml"))]
    meant = nearest(path.name, [Path(name).name for name in found])
    if meant:
        return "; did you mean " + next(name for name in found if Path(name).name == meant) + "?"
    return f"; there are {', '.join(found[:5])}" if found else ""


def _parse(name: str, text: str) -> Tables:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        reason, _, at = str(error).partition(" (at ")
        found = re.match(r"line (\d+), column (\d+)", at)
        lines = text.rstrip().split("\n")
        line, column = (int(found[1]), int(found[2])) if found else (len(lines), len(lines[-1]) + 1)
        shown = lines[min(line, len(lines)) - 1].strip()
        hint = '; texts are written in quotes: key = "text"' if reason == "Invalid value" else ""
        raise SettingsError(f"{name}, line {line}, column {column}: not TOML: {reason}: {shown}{hint}") from None


def _value(text: str, wants_text: bool) -> Any:
    """The value of an override: TOML, or the plain text where it is none, or where a text is wanted anyhow."""
    try:
        value = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    if value.keys() != {"value"} or (wants_text and not isinstance(value["value"], str)):
        return text
    return value["value"]


def _is_text(path: Sequence[str]) -> bool:
    """Whether the setting is a text, so that run.name=42 needs no quotes."""
    section = sections().get(path[0])
    field = section.model_fields.get(path[1]) if section else None
    return field is not None and field.annotation is str


def _line_of(text: str, path: Sequence[str]) -> int | None:
    """The line (from 1) that sets the key at `path`, None if none does.

    The statement ends at the first line up to which the file holds the key, and begins after the last line before
    up to which it can be parsed: no second reading of TOML's grammar, and right for values of many lines.
    """
    lines = text.split("\n")
    begin = 1
    for end in range(1, len(lines) + 1):
        try:
            table: Any = tomllib.loads("\n".join(lines[:end]))
        except tomllib.TOMLDecodeError:
            continue
        for part in path:
            table = table.get(part) if isinstance(table, dict) else None
        if table is not None:
            return begin
        begin = end + 1
    return None
