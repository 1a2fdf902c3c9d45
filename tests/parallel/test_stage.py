"""Staging by real ranks, on nodes whose local storage is a folder each."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from several_nodes import SeveralNodes

from hpctrain import Group
from hpctrain.comm.communicator import Communicator
from hpctrain.job.settings import Run
from hpctrain.launch.stage import archive
from hpctrain.launch.stage.shelf import Shelf
from hpctrain.launch.stage.spread import spread
from hpctrain.launch.stage.stage import Roots, stage
from hpctrain.launch.stage.staged import Staged

CONTENT = bytes(range(256)) * 5000  # several pieces


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "PIECE_BYTES", 300_000)


@pytest.fixture
def folder(group: Group, tmp_path: Path) -> Path:
    """One folder for all ranks: that of rank 0."""
    return group.comm.gather_objects(tmp_path)[0]


class Job:
    """What the ranks of a job stage: a folder `source` that all of them see, to a folder for each node."""

    def __init__(self, group: Group, folder: Path) -> None:
        self.comm: Communicator = SeveralNodes(group.comm)
        self.rank = group.rank
        self.source = folder / "source"
        self.run = Run(stage="node", stage_dir=f"{folder}/node{group.rank % 2}")
        if group.rank == 0:
            self.source.mkdir()
            (self.source / "large.bin").write_bytes(CONTENT)
            (self.source / "small.txt").write_text("small")
        group.barrier()

    def stage(self, **changes: object) -> Staged:
        return stage(self.comm, self.run.model_copy(update=changes), Roots([], [], [self.source]))

    def shelf(self) -> Shelf:
        return Shelf(Path(self.run.stage_dir))

    def on_rank_0(self, do: Callable[[], object]) -> None:
        if self.rank == 0:
            do()
        self.comm.barrier()


@pytest.fixture
def job(group: Group, folder: Path) -> Job:
    return Job(group, folder)


def test_every_rank_has_the_pieces_of_rank_0(group: Group) -> None:
    pieces = [b"one", CONTENT, b"three"]
    mine = iter(pieces) if group.rank == 0 else None
    assert list(spread(group.comm, mine)) == pieces


def test_a_failure_of_rank_0_reaches_every_rank(group: Group) -> None:
    def pieces():  # type: ignore[no-untyped-def]
        yield b"one"
        raise OSError("disk gone")

    arrived = spread(group.comm, pieces() if group.rank == 0 else None)
    assert next(arrived) == b"one"
    with pytest.raises(OSError, match=r"disk gone|rank 0 cannot read"):
        next(arrived)


def test_every_rank_reads_from_its_own_node(job: Job) -> None:
    staged = job.stage()
    job.on_rank_0(lambda: shutil.rmtree(job.source))
    local = Path(staged.local(f"{job.source}/large.bin"))
    assert local.is_relative_to(job.run.stage_dir)
    assert local.read_bytes() == CONTENT
    assert local.with_name("small.txt").read_text() == "small"
    assert staged.notes[0].startswith("data: 2 files, 1 MB, copied to the nodes in ")
    job.comm.barrier()
    staged.leave()
    job.comm.barrier()
    assert not job.shelf().folder.exists()


def test_a_copy_that_is_kept_is_not_made_again(job: Job) -> None:
    first = job.stage(stage_keep=True)
    first.leave()
    job.comm.barrier()
    made = [path.stat().st_ino for path in job.shelf().folder.iterdir()]
    second = job.stage()
    assert [path.stat().st_ino for path in job.shelf().folder.iterdir()] == made
    assert second.notes == ("data: 2 files, 1 MB, already on the nodes",)
    job.comm.barrier()
    second.leave()
    job.comm.barrier()
    assert not job.shelf().folder.exists()


def test_one_node_lacks_the_copy_and_gets_it(job: Job) -> None:
    job.stage(stage_keep=True).leave()
    job.comm.barrier()
    job.on_rank_0(job.shelf().sweep)
    staged = job.stage()
    assert Path(staged.local(f"{job.source}/large.bin")).read_bytes() == CONTENT
    job.comm.barrier()
    staged.leave()


def test_a_node_that_cannot_write_reads_on_from_where_the_data_is(job: Job) -> None:
    job.on_rank_0(lambda: Path(job.run.stage_dir).write_text("no folder"))
    staged = job.stage()
    path = f"{job.source}/large.bin"
    on_this_node = job.rank % 2 > 0
    assert (staged.local(path) != path) == on_this_node
    assert Path(staged.local(path)).read_bytes() == CONTENT
    (problem,) = (note for note in staged.notes if note.startswith("data not staged on "))
    assert (job.run.stage_dir in problem) != on_this_node
    job.comm.barrier()
    staged.leave()


def test_a_node_without_room_says_how_much_it_lacks(group: Group, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Shelf, "_free_bytes", lambda shelf: 0)
    staged = job.stage()
    assert staged.replicas == ()
    assert len(staged.notes) == min(group.size, 2)
    (problem,) = (note.partition(": ")[2] for note in staged.notes if job.run.stage_dir in note)
    assert problem == f"{job.shelf().folder} has 0 MB free, and 1 MB are needed"


def test_data_that_cannot_be_read_is_left_where_it_is(job: Job) -> None:
    job.on_rank_0(lambda: shutil.rmtree(job.source))
    staged = job.stage()
    assert staged.replicas == ()
    assert len(staged.notes) == 1
    assert staged.notes[0].startswith("data not staged: [Errno 2] No such file or directory")


def test_an_environment_is_packed_once(job: Job, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.prefix", str(folder / "venv"))
    job.on_rank_0((folder / "venv").mkdir)
    job.on_rank_0((folder / "venv" / "pyvenv.cfg").touch)
    for _ in range(2):
        staged = stage(job.comm, job.run, Roots([job.source], [], []))
        assert Path(staged.local(f"{job.source}/large.bin")).read_bytes() == CONTENT
        assert [path.suffix for path in (folder / "venv" / ".hpctrain-archives").iterdir()] == [".tar"]
        job.comm.barrier()
        staged.leave()
        job.comm.barrier()
