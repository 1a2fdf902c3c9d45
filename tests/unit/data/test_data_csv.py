"""CSV files, good and bad."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hpctrain.data.sources import csv_index
from hpctrain.data.sources.csv import is_header, open_source
from hpctrain.data.sources.csv_index import CsvIndex
from hpctrain.data.sources.source import Request
from hpctrain.errors import DataError

Open = Callable[..., Any]
IRIS = "5.1,3.5,setosa\n4.9,3.0,setosa\n6.3,3.3,virginica\n7.0,3.2,versicolor\n6.4,3.2,virginica\n"


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], str]:
    def write(text: str, name: str = "a.csv") -> str:
        (tmp_path / name).write_bytes(text.encode())
        return str(tmp_path / name)

    return write


def read(path: str, **request: Any) -> tuple[list[list[float]], list[str]]:
    source = open_source(Request(path, **request))
    inputs, targets = source.read(np.arange(len(source)))
    return inputs.tolist(), targets.tolist()


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (["a", "b", "label"], ["1", "2", "x"], True),
        (["5.1", "3.5", "setosa"], ["4.9", "3", "setosa"], False),
        (["0", "1", "label"], ["4.9", "3", "1"], True),
        (["5.1", "?", "setosa"], ["4.9", "3", "virginica"], False),
        (["name", "kind"], ["x", "y"], True),
        (["1", "2"], ["3", "4"], False),
    ],
)
def test_a_header_is_recognised(first: list[str], second: list[str], expected: bool) -> None:
    assert is_header(first, second) is expected


@pytest.mark.parametrize("header", ["", "long,wide,kind\n", '"long","wide","kind"\r\n', "\ufefflong,wide,kind\n"])
def test_with_and_without_a_header(write: Open, header: str) -> None:
    inputs, targets = read(write(header + IRIS))
    assert inputs == [[5.1, 3.5], [4.9, 3.0], [6.3, 3.3], [7.0, 3.2], [6.4, 3.2]]
    assert targets == ["setosa", "setosa", "virginica", "versicolor", "virginica"]


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_other_delimiters(write: Open, delimiter: str) -> None:
    assert read(write(IRIS.replace(",", delimiter)))[0][0] == [5.1, 3.5]


def test_columns_are_chosen_by_name(write: Open) -> None:
    path = write("id,a,b,c\n1,2,3,4\n5,6,7,8\n")
    assert read(path, features=("c", "a"), target="b") == ([[4, 2], [8, 6]], ["3", "7"])
    assert read(path, target="id") == ([[2, 3, 4], [6, 7, 8]], ["1", "5"])
    assert read(write("2,3,4\n6,7,8\n", "b.csv"), target="0") == ([[3, 4], [7, 8]], ["2", "6"])
    with pytest.raises(DataError, match=r'has no column "idd"; the nearest is "id". It has: id, a, b, c'):
        read(path, target="idd")
    with pytest.raises(DataError, match=r'data.features holds "c", the column to predict'):
        read(path, features=("a", "c"))


def test_missing_cells_quotes_blank_lines_and_spaces(write: Open) -> None:
    path = write('a,b,kind\n1,,"a, b"\n\n?,2, x \r\n\r\n"3","NaN","line\nbreak"\n4,None,"say ""hi"""')
    inputs, targets = read(path)
    np.testing.assert_array_equal(inputs, [[1, np.nan], [np.nan, 2], [3, np.nan], [4, np.nan]])
    assert targets == ["a, b", "x", "line\nbreak", 'say "hi"']


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(st.lists(st.text('ab,"\n\r ', max_size=6), min_size=2, max_size=2), max_size=12),
    st.integers(1, 9),
    st.data(),
)
def test_the_index_finds_the_records_that_the_csv_module_writes(
    tmp_path: Path, rows: list[list[str]], block_bytes: int, data: st.DataObject
) -> None:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows(rows)
    path = tmp_path / "records.csv"
    path.write_bytes(text.getvalue().encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_index, "_BLOCK_BYTES", block_bytes)
        index = CsvIndex.of(path)
    assert len(index) == len(rows)
    chosen = sorted(data.draw(st.sets(st.integers(0, max(len(rows) - 1, 0)), max_size=len(rows))))
    found = list(csv.reader(io.StringIO(index.text(np.array(chosen, dtype=np.int64)).decode(), newline="")))
    assert found == [rows[number] for number in chosen]


@pytest.mark.parametrize("size", [1, 2, 3, 9])
@pytest.mark.parametrize("partition", ["auto", "batch", "random", "hash"])
def test_classes_are_those_of_all_ranks(
    open_ranks: Open, everything: Open, write: Open, size: int, partition: str
) -> None:
    settings = {"source": "csv", "path": write(IRIS), "normalize": "none", "test_fraction": 0.0, "partition": partition}
    opened = open_ranks(size, **settings)
    assert {data.train.class_names for data in opened} == {("setosa", "versicolor", "virginica")}
    _, inputs, targets = everything(opened)
    assert targets.tolist() == [0, 0, 2, 1, 2]
    assert inputs[:, 0].tolist() == [5.1, 4.9, 6.3, 7.0, 6.4]
    held = [len(data.train.held) for data in opened if data.train.held is not None]
    assert sum(held) == (0 if partition == "batch" else 5)


@pytest.mark.parametrize("size", [1, 4])
def test_one_fraction_on_one_rank_makes_a_regression_on_all(
    open_ranks: Open, everything: Open, write: Open, size: int
) -> None:
    path = write("".join(f"{row},{row}\n" for row in range(7)) + "7,7.5\n")
    opened = open_ranks(size, source="csv", path=path, test_fraction=0.0, normalize="none")
    assert all(data.train.num_classes is None for data in opened)
    assert everything(opened)[2].tolist() == [[0], [1], [2], [3], [4], [5], [6], [7.5]]


def test_a_test_file_has_its_columns_in_any_order(open_ranks: Open, everything: Open, write: Open) -> None:
    train = write("a,b,kind\n1,2,x\n3,4,y\n5,6,x\n", "train.csv")
    test = write("kind,extra,b,a\ny,0,20,10\nz,0,40,30\n", "test.csv")
    opened = open_ranks(2, source="csv", path=train, test_path=test, normalize="none")
    _, inputs, targets = everything(opened, "test")
    assert (inputs.tolist(), targets.tolist()) == ([[10, 20], [30, 40]], [1, 2])
    assert opened[0].train.class_names == ("x", "y", "z")
    wrong = write("b,kind,A1\n1,x,2\n", "wrong.csv")
    with pytest.raises(DataError, match=r'wrong.csv has no column "a"'):
        open_ranks(2, source="csv", path=train, test_path=wrong)


def test_fewer_samples_than_ranks(open_ranks: Open, everything: Open, write: Open) -> None:
    opened = open_ranks(7, source="csv", path=write("a,b\n1,0\n2,1\n"), test_fraction=0.0)
    assert everything(opened)[0].tolist() == [0, 1]
    assert everything(opened)[1].tolist() == [[-1], [1]]
    alone = open_ranks(3, source="csv", path=write("1,0\n"))
    assert (len(alone[0].train), alone[0].test) == (1, None)


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b,c\n1,2,3\n\n4,5\n7,8,9\n", r"a.csv, line 4: 2 values, and 3 \(a, b, c\) were expected"),
        ("a,b,c\n1,2,3\n4,five,6\n", r'a.csv, line 3, column "b": "five" is not a number; leave the column out'),
        ("1,2\n" * 5 + "1,2,3\n", r"a.csv, line 6: 3 values, and 2 \(0, 1\) were expected"),
        ("", r"a.csv is empty"),
        ("a,b\n", r"a.csv holds no samples"),
        ("a,b,a\n1,2,3\n", r"a.csv: more than one column is called a; names must differ"),
        ("a\n1\n2\n", r'a.csv has nothing to learn from: its only column is the target, "a"'),
        ('a,b\n1,2\n3,"4\n5,6\n', r"a.csv has an odd number of quotes: one is opened and not closed"),
        ('a,b\n3" pipe,2\n4" pipe,6\n', r"a.csv, lines 2 to 2: quotes inside a value do not pair up"),
        (
            "a,b\n1,1.5\n2,cat\n",
            r'a.csv: a regression needs numbers alone, and among the targets are words such as "cat"',
        ),
    ],
)
def test_bad_files(open_ranks: Open, write: Open, size: int, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        open_ranks(size, source="csv", path=write(text))


def test_bytes_that_are_not_utf_8(open_one: Open, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"a,b\n1,caf\xe9\n2,tea\n")
    with pytest.raises(DataError, match=r"a.csv, lines 2 to .: not readable as CSV in UTF-8"):
        open_one(source="csv", path=str(tmp_path / "a.csv"))


def test_a_folder_is_no_csv_file(open_one: Open, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is a folder: expected a CSV file"):
        open_one(source="csv", path=str(tmp_path))
