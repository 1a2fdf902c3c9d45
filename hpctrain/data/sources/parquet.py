"""Parquet: one file, or a folder as Spark writes it, with `key=value` folders for partition columns.

The units are row groups: a rank reads those that hold its samples and no others.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np

from hpctrain.data.clean import TARGET
from hpctrain.data.sources.files import existing, visible_files
from hpctrain.data.sources.names import choose_columns, pick, usual_target
from hpctrain.data.sources.parquet_columns import empty_target, numbers, numpy_dtype, target_values
from hpctrain.data.sources.source import Request, Source, bounds_of, by_piece, import_for
from hpctrain.data.targets import is_number
from hpctrain.errors import DataError

_SPARK_NULL = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class _File:
    """A file, the samples in each of its row groups, and what the names of its folders say of all its samples."""

    path: Path
    schema: Any
    group_lengths: list[int]
    partition: dict[str, str]


class Parquet(Source):
    """Inputs (n, columns), float32 where that holds every column exactly, else float64; targets numbers or words."""

    random_access = False
    has_gaps = True

    def __init__(self, request: Request) -> None:
        self._pyarrow = import_for("parquet", "pyarrow", "pyarrow")
        self._parquet = import_for("parquet", "pyarrow.parquet", "pyarrow")
        root = existing(request.path, "a Parquet file or a folder of them")
        self.name = str(root)
        self._files = [self._open(path, root) for path in _parquet_files(root)]
        first = self._files[0]
        names = [*first.schema.names, *first.partition]
        usual = request.target or usual_target(names, "column", root)
        self._features, self._target = self.columns = choose_columns(request, names, usual, "column", root)
        self._groups = [(file, group) for file in self._files for group in range(len(file.group_lengths))]
        self.units = tuple(length for file in self._files for length in file.group_lengths)
        self._bounds = bounds_of(list(self.units))
        self.input_shape = (len(self._features),)
        self._dtype = np.result_type(np.float32, *(self._check(file) for file in self._files))

    def __len__(self) -> int:
        return int(self._bounds[-1])

    def read(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Samples at these ascending rows, from the row groups that hold them."""
        inputs = np.empty((len(rows), len(self._features)), self._dtype)
        targets = []
        for piece, places, chosen in by_piece(rows, self._bounds):
            file, group = self._groups[piece]
            table = self._read_group(file, group)
            for column, name in enumerate(self._features):
                if name in file.partition:
                    inputs[places, column] = _partition_number(file, name)
                else:
                    inputs[places, column] = numbers(self._pyarrow, table.column(name))[chosen]
            targets.append(self._read_target(file, table)[chosen])
        return inputs, _joined(targets) if targets else self._no_targets()

    def where(self, row: int, position: int | None = None) -> str:
        """The file, the row in it, and the column."""
        piece, _, (local,) = next(by_piece(np.array([row]), self._bounds))
        file, group = self._groups[piece]
        place = f"{file.path}, row {sum(file.group_lengths[:group]) + int(local):,} (from 0)"
        return place if position is None else f"{place}, {self.position_name(position)}"

    def position_name(self, position: int) -> str:
        """The column."""
        return f'column "{self._target if position == TARGET else self._features[position]}"'

    def _open(self, path: Path, root: Path) -> _File:
        try:
            with self._parquet.ParquetFile(path) as file:
                lengths = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
                return _File(path, file.schema_arrow, lengths, _partition(path, root))
        except (self._pyarrow.ArrowException, OSError) as error:
            raise DataError(f"{path} cannot be read as Parquet: {error}") from error

    def _check(self, file: _File) -> np.dtype:
        """The dtype that holds the features of a file. Raises DataError where a column is missing or no number."""
        dtype = np.dtype(np.float32)
        for name in (*self._features, self._target):
            if name in file.partition:
                continue
            pick(name, file.schema.names, "column", file.path)
            if name != self._target:
                where = f'{file.path}, column "{name}"'
                dtype = np.result_type(dtype, numpy_dtype(self._pyarrow, file.schema.field(name).type, where))
        return dtype

    def _read_group(self, file: _File, group: int) -> Any:
        columns = [name for name in (*self._features, self._target) if name not in file.partition]
        try:
            with self._parquet.ParquetFile(file.path) as opened:
                # The ranks of a node read at the same time: threads within each would fight for the cores.
                return opened.read_row_group(group, columns=columns, use_threads=False)
        except (self._pyarrow.ArrowException, OSError) as error:
            raise DataError(f"{file.path}: row group {group} cannot be read: {error}") from error

    def _read_target(self, file: _File, table: Any) -> np.ndarray:
        if self._target in file.partition:
            value = file.partition[self._target]
            return np.full(len(table), "" if value == _SPARK_NULL else value)
        return target_values(self._pyarrow, table.column(self._target), f'{file.path}, column "{self._target}"')

    def _no_targets(self) -> np.ndarray:
        first = self._files[0]
        if self._target in first.partition:
            return np.empty(0, np.str_)
        return empty_target(self._pyarrow, first.schema.field(self._target).type)


def open_source(request: Request) -> Parquet:
    """A Parquet file, or a folder of them."""
    return Parquet(request)


def _parquet_files(root: Path) -> list[Path]:
    """The files of a folder: those called *.parquet, and part-* of any ending, as some writers name them."""
    if root.is_file():
        return [root]
    files = visible_files(root)
    chosen = [path for path in files if path.suffix in (".parquet", ".parq") or path.name.startswith("part-")]
    if not chosen:
        found = f"{len(files)} others, such as {files[0].name}" if files else "no files at all"
        raise DataError(f"{root} holds no Parquet files (*.parquet or part-*); found {found}")
    return chosen


def _partition(path: Path, root: Path) -> dict[str, str]:
    """What the names of the folders between `root` and a file say: `key=value` each."""
    if path == root:
        return {}
    parts = (part.partition("=") for part in path.relative_to(root).parts[:-1])
    return {unquote(key): unquote(value) for key, equals, value in parts if equals}


def _partition_number(file: _File, name: str) -> float:
    value = file.partition[name]
    if value == _SPARK_NULL:
        return float("nan")
    if not is_number(value):
        raise DataError(f'{file.path}: the partition column "{name}" is "{value}", no number; name data.features')
    return float(value)


def _joined(targets: list[np.ndarray]) -> np.ndarray:
    """The targets of all groups; whole numbers become words where some group has to tell missing ones by a word."""
    if len({part.dtype.kind for part in targets}) > 1:
        targets = [part.astype(np.str_) for part in targets]
    return np.concatenate(targets)
