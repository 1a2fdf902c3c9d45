"""Which paths are read from a copy."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpctrain.job.settings import Data
from hpctrain.launch.stage.shelf import Shelf
from hpctrain.launch.stage.staged import Replica, Staged


@pytest.fixture
def staged(tmp_path: Path) -> Staged:
    """A copy of <tmp_path>/source/data, in which a.csv is."""

    def fill(folder: Path) -> None:
        copy = Path(f"{folder}{tmp_path}/source/data")
        copy.mkdir(parents=True)
        (copy / "a.csv").touch()

    shelf = Shelf(tmp_path / "node")
    return Staged([Replica(shelf.make("data-1", fill), [tmp_path / "source" / "data"])], shelf=shelf)


def test_what_was_copied_is_read_from_the_copy(staged: Staged, tmp_path: Path) -> None:
    given = f"{tmp_path}/source/other/../data/a.csv"
    local = staged.local(given)
    assert local == f"{staged.replicas[0].copy.path}{tmp_path}/source/data/a.csv"
    assert staged.original(f"{local}, line 3: no number") == f"{tmp_path}/source/data/a.csv, line 3: no number"


def test_what_was_not_copied_stays_as_it_was_given(staged: Staged, tmp_path: Path) -> None:
    for path in ("", "a.csv", f"{tmp_path}/source/data/b.csv", f"{tmp_path}/source"):
        assert staged.local(path) == path
        assert Staged().local(path) == path


def test_the_paths_of_the_data_are_turned_and_nothing_else(staged: Staged, tmp_path: Path) -> None:
    data = Data(source="csv", path=f"{tmp_path}/source/data/a.csv", target="y")
    turned = staged.data(data)
    assert turned.path == staged.local(data.path) != data.path
    assert turned.model_copy(update={"path": data.path}) == data


def test_at_the_end_the_copy_is_removed(staged: Staged) -> None:
    assert staged.shelf is not None
    staged.leave()
    assert not staged.shelf.folder.exists()
