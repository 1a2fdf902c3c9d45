"""Parquet files and folders as Spark writes them; a rank reads its row groups and no others."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpctrain.data.share import Share
from hpctrain.data.sources.parquet import Parquet, open_source
from hpctrain.data.sources.source import Request
from hpctrain.errors import DataError

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
Open = Callable[..., Any]


def columns(start: int, stop: int) -> dict[str, Any]:
    rows = np.arange(start, stop)
    return {"a": rows.astype(np.float32), "b": rows * 10, "label": rows % 3}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """100 samples in row groups of 7."""
    pq.write_table(pa.table(columns(0, 100)), tmp_path / "a.parquet", row_group_size=7)
    return tmp_path / "a.parquet"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """30 samples in three files, with what else Spark leaves in a folder."""
    root = tmp_path / "spark"
    root.mkdir()
    for part, (start, stop) in enumerate([(0, 10), (10, 10), (10, 30)]):
        pq.write_table(pa.table(columns(start, stop)), root / f"part-0000{part}-x.snappy.parquet", row_group_size=4)
        (root / f".part-0000{part}-x.snappy.parquet.crc").write_bytes(b"crc")
    (root / "_SUCCESS").touch()
    (root / "_temporary").mkdir()
    (root / "_temporary" / "part-9.parquet").write_bytes(b"unfinished")
    return root


def test_a_file_and_a_folder(file: Path, folder: Path) -> None:
    for path, length, units in [(file, 100, (7,) * 14 + (2,)), (folder, 30, (4, 4, 2, 4, 4, 4, 4, 4))]:
        source = open_source(Request(str(path)))
        assert (len(source), tuple(unit for unit in source.units if unit)) == (length, units)
        rows = np.arange(0, length, 3)
        inputs, targets = source.read(rows)
        np.testing.assert_array_equal(inputs, np.column_stack([rows, rows * 10]))
        np.testing.assert_array_equal(targets, rows % 3)
        assert [array.shape for array in source.read(rows[:0])] == [(0, 2), (0,)]


@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
def test_a_rank_reads_only_its_row_groups(file: Path, ranks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    groups: list[list[int]] = []
    original = Parquet._read_group

    def counted(self: Parquet, file: Any, group: int) -> Any:
        groups[-1].append(group)
        return original(self, file, group)

    monkeypatch.setattr(Parquet, "_read_group", counted)
    for rank in range(ranks):
        groups.append([])
        share = Share.of(open_source(Request(str(file))), "range", rank, ranks, 0)
        assert 100 / ranks - 7 <= len(share.rows) <= 100 / ranks + 7
    assert [group for part in groups for group in part] == list(range(15))


@pytest.mark.parametrize("size", [1, 3, 8, 50])
@pytest.mark.parametrize("partition", ["auto", "batch", "random", "hash"])
def test_any_world_reads_the_same(open_ranks: Open, everything: Open, folder: Path, size: int, partition: str) -> None:
    opened = open_ranks(
        size, source="parquet", path=str(folder), partition=partition, normalize="none", test_fraction=0.0
    )
    ids, inputs, targets = everything(opened)
    np.testing.assert_array_equal(ids, np.arange(30))
    np.testing.assert_array_equal(inputs, np.column_stack([ids, ids * 10]))
    np.testing.assert_array_equal(targets, ids % 3)


def test_a_single_row_group_is_still_shared_out(open_ranks: Open, tmp_path: Path) -> None:
    pq.write_table(pa.table(columns(0, 40)), tmp_path / "one.parquet")
    opened = open_ranks(4, source="parquet", path=str(tmp_path / "one.parquet"), test_fraction=0.0)
    assert [len(data.train.held) for data in opened] == [10, 10, 10, 10]


def test_partition_columns(tmp_path: Path, open_one: Open, everything: Open) -> None:
    table = pa.table({"a": [1.0, 2, 3, 4], "year": [2020, 2021, 2020, 2021], "kind": ["x/y", "z", "z", None]})
    pq.write_to_dataset(table, tmp_path / "hive", partition_cols=["kind", "year"])
    settings = {"source": "parquet", "path": str(tmp_path / "hive"), "test_fraction": 0.0}
    opened = open_one(target="kind", normalize="none", missing="drop", **settings)
    _, inputs, targets = everything([opened])
    assert opened.train.class_names == ("x/y", "z")
    assert sorted(zip(*inputs.T.tolist(), targets.tolist(), strict=True)) == [(1, 2020, 0), (2, 2021, 1), (3, 2020, 1)]
    with pytest.raises(DataError, match='the partition column "kind" is "x/y", no number'):
        open_one(target="year", **settings)


def test_nulls_are_missing_values(tmp_path: Path, open_one: Open, everything: Open) -> None:
    table = pa.table(
        {
            "a": pa.array([1, None, 3, 4], pa.int64()),
            "b": [True, False, None, True],
            "c": pa.array([Decimal("1.5"), Decimal("2.5"), Decimal("3.5"), Decimal("4.5")]),
            "y": pa.array([5, 6, 7, None], pa.int32()),
        }
    )
    pq.write_table(table, tmp_path / "n.parquet", row_group_size=2)
    settings = {"source": "parquet", "path": str(tmp_path / "n.parquet"), "test_fraction": 0.0}
    with pytest.raises(DataError, match=r'3 missing values in 3 of 4 samples; .*, row 1 \(from 0\), column "a"'):
        open_one(**settings)
    opened = open_one(missing="impute", normalize="none", **settings)
    _, inputs, targets = everything([opened])
    np.testing.assert_array_equal(inputs, [[1, 1, 1.5], [2, 0, 2.5], [3, 0.5, 3.5]])
    assert opened.train.class_names == ("5", "6", "7")
    assert targets.tolist() == [0, 1, 2]


@pytest.mark.parametrize("kind", ["string", "dictionary", "float"])
def test_kinds_of_targets(tmp_path: Path, open_one: Open, everything: Open, kind: str) -> None:
    target = {
        "string": pa.array(["u", "v", "u"]),
        "dictionary": pa.array(["u", "v", "u"]).dictionary_encode(),
        "float": pa.array([0.0, 1.0, 0.0], pa.float32()),
    }[kind]
    pq.write_table(pa.table({"a": [1.0, 2, 3], "y": target}), tmp_path / "t.parquet")
    opened = open_one(source="parquet", path=str(tmp_path / "t.parquet"), test_fraction=0.0)
    assert everything([opened])[2].ravel().tolist() == [0, 1, 0]
    assert opened.train.num_classes == (None if kind == "float" else 2)


def test_small_columns_are_held_as_float32(file: Path, tmp_path: Path) -> None:
    assert open_source(Request(str(file), features=("a",))).read(np.arange(2))[0].dtype == np.float32
    assert open_source(Request(str(file))).read(np.arange(2))[0].dtype == np.float64


def test_bad_columns_and_files(open_ranks: Open, folder: Path, tmp_path: Path) -> None:
    settings = {"source": "parquet", "path": str(folder)}
    with pytest.raises(DataError, match=r'has no column "lable"; the nearest is "label". It has: a, b, label'):
        open_ranks(2, target="lable", **settings)
    pq.write_table(pa.table({"a": [1.0], "label": [1]}), folder / "part-00009.parquet")
    with pytest.raises(DataError, match=r'part-00009.parquet has no column "b"'):
        open_ranks(2, **settings)
    (folder / "part-00009.parquet").write_bytes(b"PAR1 but not really")
    with pytest.raises(DataError, match=r"part-00009.parquet cannot be read as Parquet"):
        open_ranks(2, **settings)
    pq.write_table(pa.table({"a": ["x"], "label": [1]}), tmp_path / "s.parquet")
    with pytest.raises(DataError, match=r's.parquet, column "a" is of type (large_)?string, and inputs are numbers'):
        open_ranks(1, source="parquet", path=str(tmp_path / "s.parquet"))
    pq.write_table(pa.table({"a": [1.0], "c": [1]}), tmp_path / "s.parquet")
    with pytest.raises(DataError, match=r"s.parquet has no column called label, y, labels, target"):
        open_ranks(1, source="parquet", path=str(tmp_path / "s.parquet"))
    pq.write_table(pa.table(columns(0, 0)), tmp_path / "s.parquet")
    with pytest.raises(DataError, match=r"s.parquet holds no samples"):
        open_ranks(1, source="parquet", path=str(tmp_path / "s.parquet"))
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "data.csv").touch()
    with pytest.raises(DataError, match=r"holds no Parquet files .* found 1 others, such as data.csv"):
        open_ranks(1, source="parquet", path=str(tmp_path / "empty"))
