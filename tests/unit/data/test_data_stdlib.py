"""The source text of Python's own library: which files, and which of them are held out."""

from __future__ import annotations

import shutil
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpctrain.data.sources.kinds import open_source
from hpctrain.data.sources.source import Request
from hpctrain.data.sources.stdlib import Stdlib
from hpctrain.errors import DataError

Open = Callable[..., Any]
MODULES = [
    "argparse",
    "ast",
    "base64",
    "csv",
    "enum",
    "functools",
    "json/decoder",
    "random",
    "xml/dom/minidom",
    "zipapp",
]


@pytest.fixture(name="library")
def _library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small library, which sysconfig takes for Python's own."""
    for number, module in enumerate(MODULES):
        write(tmp_path / f"{module}.py", bytes([number]) * (number + 5))
    monkeypatch.setattr(sysconfig, "get_path", {"stdlib": str(tmp_path)}.get)
    return tmp_path


def write(file: Path, text: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text)


def files_of(source: Stdlib, rows: np.ndarray) -> set[str]:
    return {source.where(int(row)).partition(",")[0] for row in rows}


def test_modules_of_the_library_are_read_and_nothing_else(library: Path) -> None:
    for other in (
        "site-packages/numpy",
        "test/test_ast",
        "json/tests/test_x",
        "unittest/test/x",
        "idlelib/run",
        "mine",
    ):
        write(library / f"{other}.py", b"x" * 99)
    write(library / "_sysconfigdata__linux_.py", b"x" * 99)
    write(library / "json/readme.txt", b"x" * 99)
    source = open_source("stdlib", Request("", context=4))
    inputs, _ = source.read(np.arange(len(source)))
    assert sorted(set(inputs.ravel())) == list(range(len(MODULES)))


def test_this_pythons_own() -> None:
    source = open_source("stdlib", Request("", context=64))
    assert isinstance(source, Stdlib)
    folder = sysconfig.get_path("stdlib")
    files = {Path(file).relative_to(folder).as_posix() for file in files_of(source, np.arange(0, len(source)))}
    assert {"argparse.py", "asyncio/tasks.py", "json/decoder.py"} <= files
    assert not [file for file in files if {"test", "tests", "site-packages"} & set(file.split("/"))]
    assert len(source) > 50_000
    train, test = source.split(np.arange(len(source)), 0.2, 0)
    assert 0.1 < len(test) / len(source) < 0.3
    assert not files_of(source, train) & files_of(source, test)


@pytest.mark.usefixtures("library")
class TestSplit:
    @given(fraction=st.floats(0.001, 0.999), seed=st.integers(0, 2**64))
    def test_files_are_whole_and_both_sides_have_some(self, fraction: float, seed: int) -> None:
        source = Stdlib(Path(sysconfig.get_path("stdlib")), 4)
        rows = np.arange(len(source))
        train, test = source.split(rows, fraction, seed)
        assert sorted([*train, *test]) == rows.tolist()
        assert files_of(source, train)
        assert files_of(source, test)
        assert not files_of(source, train) & files_of(source, test)

    def test_nothing_is_held_out_of_one_file_or_where_nothing_is_wanted(self) -> None:
        folder = Path(sysconfig.get_path("stdlib"))
        longest = Stdlib(folder, len(MODULES) + 3)
        assert len(longest) == 1
        assert [len(part) for part in longest.split(np.arange(1), 0.9, 0)] == [1, 0]
        assert [len(part) for part in Stdlib(folder, 4).split(np.arange(15), 0.0, 0)] == [15, 0]

    def test_a_larger_fraction_takes_more_files_and_another_seed_others(self) -> None:
        source = Stdlib(Path(sysconfig.get_path("stdlib")), 4)
        rows = np.arange(len(source))
        held_out = [files_of(source, source.split(rows, fraction, 0)[1]) for fraction in (0.1, 0.4, 0.7)]
        assert held_out[0] <= held_out[1] < held_out[2]
        assert any(files_of(source, source.split(rows, 0.4, seed)[1]) != held_out[1] for seed in range(1, 5))


def test_a_file_stays_on_its_side_when_others_come_and_wherever_the_library_lies(library: Path, tmp_path: Path) -> None:
    def held_out(folder: Path) -> set[str]:
        source = Stdlib(folder, 4)
        return {
            Path(file).relative_to(folder).as_posix() for file in files_of(source, source.split(*arguments(source))[1])
        }

    def arguments(source: Stdlib) -> tuple[np.ndarray, float, int]:
        return np.arange(len(source)), 0.4, 1

    before = held_out(library)
    moved = tmp_path / "elsewhere"
    shutil.copytree(library, moved, ignore=shutil.ignore_patterns("elsewhere"))
    write(moved / "abc.py", b"x" * 50)
    assert held_out(moved) - {"abc.py"} == before


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("partition", ["auto", "hash"])
def test_it_is_the_same_at_every_world_size(open_ranks: Open, everything: Open, partition: str) -> None:
    def opened(size: int) -> list[np.ndarray]:
        data = open_ranks(size, source="stdlib", context=4, test_fraction=0.3, partition=partition)
        return [array for part in ("train", "test") for array in everything(data, part)]

    alone = opened(1)
    assert alone[1].dtype == alone[2].dtype == np.int64
    for one, other in zip(alone, opened(3), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_library_without_sources_is_told(library: Path, open_ranks: Open) -> None:
    shutil.rmtree(library)
    with pytest.raises(DataError, match=rf"no source text of the standard library: {library} holds no .py files"):
        open_ranks(2, source="stdlib")


@pytest.mark.usefixtures("library")
def test_a_path_or_names_are_refused(open_one: Open) -> None:
    with pytest.raises(DataError, match=r'comes with Python; to read mine.py, set data.source to "text"'):
        open_one(source="stdlib", path="mine.py")
    with pytest.raises(DataError, match=r'comes with Python; to read mine.py, set data.source to "text"'):
        open_one(source="stdlib", test_path="mine.py", context=4)
    with pytest.raises(DataError, match="has no names"):
        open_one(source="stdlib", target="label")
