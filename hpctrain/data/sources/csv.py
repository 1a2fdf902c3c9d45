"""CSV: a table of numbers in text, with or without a header, and one column of targets."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np

from hpctrain.data.clean import TARGET
from hpctrain.data.sources.csv_index import CsvIndex
from hpctrain.data.sources.files import existing_file
from hpctrain.data.sources.names import choose_columns
from hpctrain.data.sources.source import Request, Source
from hpctrain.data.targets import is_number
from hpctrain.errors import DataError

MISSING = frozenset({"", "?", "na", "n/a", "nan", "null", "none"})
"""What stands for a missing value, in any case of letters."""
_DELIMITERS = ",;\t|"
_ROWS_AT_ONCE = 8192


class Csv(Source):
    """Inputs (n, columns) float64, targets (n,) words: whether these are numbers is known when all have been seen."""

    random_access = False
    has_gaps = True

    def __init__(self, request: Request) -> None:
        path = existing_file(request.path, "a CSV file")
        self.name = str(path)
        self._index = CsvIndex.of(path)
        if not len(self._index):
            raise DataError(f"{path} is empty")
        self._delimiter = ","
        head = self._index.text(np.arange(1))
        self._delimiter = max(_DELIMITERS, key=head.decode("utf-8", "replace").count)
        first = [self._records(np.arange(number, number + 1))[0] for number in range(min(2, len(self._index)))]
        has_header = is_header(*first)
        self._first = int(has_header)  # the record that holds sample 0
        self._names = _names(first[0], path) if has_header else [str(number) for number in range(len(first[0]))]
        features, target = choose_columns(request, self._names, self._names[-1], "column", path)
        self.columns = features, target
        self._features = [self._names.index(name) for name in features]
        self._target = self._names.index(target)
        self.input_shape = (len(features),)

    def __len__(self) -> int:
        return len(self._index) - self._first

    def read(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Samples at these ascending rows. Raises DataError with the line for a ragged row or a word among numbers."""
        inputs, targets = np.empty((len(rows), *self.input_shape)), [np.empty(0, np.str_)]
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            chunk = rows[start : start + _ROWS_AT_ONCE]
            records = self._records(chunk + self._first)
            for row, cells in zip(chunk, records, strict=True):
                if len(cells) != len(self._names):
                    raise DataError(
                        f"{self.where(int(row))}: {len(cells)} values, and {self._names_of_columns()} were expected"
                    )
            inputs[start : start + len(chunk)] = self._numbers(chunk, records)
            targets.append(np.array([_target(cells[self._target]) for cells in records]))
        return inputs, np.concatenate(targets)

    def where(self, row: int, position: int | None = None) -> str:
        """The line of the file, and the column."""
        line = f"{self.name}, line {self._index.line(row + self._first):,}"
        return line if position is None else f"{line}, {self.position_name(position)}"

    def position_name(self, position: int) -> str:
        """The column."""
        return f'column "{self._names[self._target if position == TARGET else self._features[position]]}"'

    def _records(self, numbers: np.ndarray) -> list[list[str]]:
        """The cells of some records, the header being record 0 where there is one."""
        try:
            text = io.StringIO(self._index.text(numbers).decode("utf-8"), newline="")
            records = [cells for cells in csv.reader(text, delimiter=self._delimiter) if cells]
        except (UnicodeDecodeError, csv.Error) as error:
            raise DataError(f"{self._place(numbers)}: not readable as CSV in UTF-8: {error}") from error
        if len(records) != len(numbers):
            raise DataError(f"{self._place(numbers)}: quotes inside a value do not pair up")
        return records

    def _place(self, numbers: np.ndarray) -> str:
        lines = " to ".join(f"{self._index.line(int(number)):,}" for number in numbers[[0, -1]])
        return f"{self.name}, lines {lines}"

    def _names_of_columns(self) -> str:
        return f"{len(self._names)} ({', '.join(self._names[:4])}{', ...' if len(self._names) > 4 else ''})"

    def _numbers(self, rows: np.ndarray, records: list[list[str]]) -> np.ndarray:
        """The features, (n, columns). The whole chunk at once where every cell is a number, which most chunks are."""
        shape = len(records), len(self._features)
        try:
            numbers = (float(record[column]) for record in records for column in self._features)
            return np.fromiter(numbers, np.float64, shape[0] * shape[1]).reshape(shape)
        except ValueError:
            values = [
                self._number(record[column], int(row), position)
                for row, record in zip(rows, records, strict=True)
                for position, column in enumerate(self._features)
            ]
            return np.array(values).reshape(shape)

    def _number(self, cell: str, row: int, position: int) -> float:
        if is_number(cell):
            return float(cell)
        if _is_missing(cell):
            return np.nan
        raise DataError(
            f'{self.where(row, position)}: "{cell}" is not a number; leave the column out of data.features, '
            "or make it numbers"
        )


def is_header(first: list[str], second: list[str] | None = None) -> bool:
    """Whether the first record of a file holds names: all of it is words, or some word stands above a number."""

    def is_word(cell: str) -> bool:
        return not is_number(cell) and not _is_missing(cell)

    if all(is_word(cell) for cell in first):
        return True
    return any(is_word(name) and is_number(cell) for name, cell in zip(first, second or [], strict=False))


def open_source(request: Request) -> Csv:
    """A CSV file, separated by commas, semicolons, tabs or bars."""
    return Csv(request)


def _names(header: list[str], path: Path) -> list[str]:
    """The names in a header; a column without one has its number, from 0, as its name."""
    names = [cell.strip() or str(number) for number, cell in enumerate(header)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{path}: more than one column is called {', '.join(twice)}; names must differ")
    return names


def _is_missing(cell: str) -> bool:
    return cell.strip().casefold() in MISSING


def _target(cell: str) -> str:
    return "" if _is_missing(cell) else cell.strip()
