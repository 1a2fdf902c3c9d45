"""Staging: the environment, the code and the data of a job on the nodes, and everything read from there."""

from __future__ import annotations

import platform
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from hpctrain.comm.communicator import Communicator
from hpctrain.job.settings import Data, Run
from hpctrain.launch.run_dir import RUNS
from hpctrain.launch.stage.archive import pack, read, stream, unpack
from hpctrain.launch.stage.bundle import Bundle, bundle, code_roots, data_roots, environment_roots, is_environment
from hpctrain.launch.stage.shelf import Copy, Shelf
from hpctrain.launch.stage.spread import spread
from hpctrain.launch.stage.staged import Replica, Staged

T = TypeVar("T")

_ARCHIVES = ".hpctrain-archives"  # beside the lib of an environment, or among the runs
_MOST_NOTES = 4  # about what the nodes lack
_PACKAGE = Path(__file__).parents[2]


@dataclass(frozen=True)
class Roots:
    """What is to be copied: absolute paths of folders and files, by the kind of what they hold."""

    environment: Sequence[Path]
    code: Sequence[Path]
    data: Sequence[Path]

    @classmethod
    def of(cls, data: Data) -> Roots:
        """Of this process, and of the data that a job reads."""
        environment = environment_roots()
        paths = (data.path, data.test_path)
        return cls(environment, code_roots(_PACKAGE, environment), data_roots(data.source, paths))


def stage(comm: Communicator, run: Run, roots: Roots) -> Staged:
    """Copy what is below the `roots` of rank 0 to every node, where it is not there. All ranks.

    One rank of each node writes, into run.stage_dir of that node. A node that cannot take a copy goes on without it,
    and the notes say so. Let go of the copies by `Staged.leave`.
    """
    shelf = Shelf(Path(run.stage_dir or tempfile.gettempdir()))
    node = comm.split_by_node()
    leaders = comm.split(int(node.rank > 0), comm.rank)
    stager = _Stager(comm, node, leaders, shelf)
    replicas: list[Replica] = []
    notes: list[str] = []
    for kind, folders in asdict(_of_rank_0(comm, roots)).items():
        if folders:
            copy, said = stager.stage(kind, folders)
            notes += said
            if copy is not None:
                replicas.append(Replica(copy, folders))
    leaders.close()
    node.close()
    return Staged(tuple(replicas), tuple(notes), None if run.stage_keep else shelf)


def _of_rank_0(comm: Communicator, value: T) -> T:
    """The value that rank 0 has. All ranks."""
    told = comm.gather_objects(value if comm.rank == 0 else None)[0]
    assert told is not None
    return told


@dataclass(frozen=True)
class _Stager:
    """The ranks that stage together: all, those of this node, and the first one of each node."""

    comm: Communicator
    node: Communicator
    leaders: Communicator
    shelf: Shelf

    def stage(self, kind: str, roots: Sequence[Path]) -> tuple[Copy | None, list[str]]:
        """This rank's hold on the copy of one bundle, if there is one, and what to say about it. All ranks."""
        began = time.perf_counter()
        found, failure = self._list(kind, roots)
        listed, failure = _of_rank_0(self.comm, (_Listed.of(found) if found else None, failure))
        if listed is None:
            return None, [f"{kind} not staged: {failure}"]
        copy, problem = self._look(listed)
        wants = self.node.rank == 0 and copy is None and not problem
        some_want = any(self.comm.gather_objects(wants))
        if some_want and self.node.rank == 0:
            pieces = spread(self.leaders, _pieces(found) if found else None)
            copy, problem = self._receive(listed, pieces) if wants else (copy, problem)
            with suppress(OSError):  # of rank 0, which told all
                for _ in pieces:  # the others go on, and this rank passes on what it has no use for
                    pass
        self.comm.idle_barrier()  # ranks that wait leave their cores to those that write
        if self.node.rank > 0:
            copy, problem = self._take(listed)
        seconds = time.perf_counter() - began
        how = f"copied to the nodes in {seconds:.1f} s" if some_want else "already on the nodes"
        told = self.comm.gather_objects((copy is not None, f"{platform.node()}: {problem}" if problem else ""))
        notes = [f"{listed}, {how}"] if any(has_copy for has_copy, _ in told) else []
        return copy, [*notes, *_notes_on(kind, [said for _, said in told if said])]

    def _list(self, kind: str, roots: Sequence[Path]) -> tuple[Bundle | None, str]:
        """What rank 0 finds below `roots`, or why it finds nothing. The others do not look."""
        try:
            return (bundle(kind, roots) if self.comm.rank == 0 else None), ""
        except OSError as error:
            return None, str(error)

    def _look(self, listed: _Listed) -> tuple[Copy | None, str]:
        """The copy that the first rank of a node finds there; or why there can be none."""
        if self.node.rank > 0:
            return None, ""
        copy, problem = self._take(listed)
        if copy is None and not problem:
            try:
                self.shelf.make_room(listed.num_bytes)
            except OSError as error:
                problem = str(error)
        return copy, problem

    def _take(self, listed: _Listed) -> tuple[Copy | None, str]:
        try:
            return self.shelf.take(listed.name), ""
        except OSError as error:
            return None, str(error)

    def _receive(self, listed: _Listed, pieces: Iterator[bytes]) -> tuple[Copy | None, str]:
        try:
            return self.shelf.make(listed.name, partial(unpack, pieces)), ""
        except (OSError, tarfile.TarError) as error:
            return None, str(error)


@dataclass(frozen=True)
class _Listed:
    """What all ranks know of a bundle, of which rank 0 alone has the list of files."""

    name: str
    kind: str
    num_files: int
    num_bytes: int

    @classmethod
    def of(cls, found: Bundle) -> _Listed:
        return cls(found.name, found.kind, len(found.entries), found.num_bytes)

    def __str__(self) -> str:
        return f"{self.kind}: {self.num_files:,} files, {self.num_bytes / 1e6:,.0f} MB"


def _notes_on(kind: str, problems: Sequence[str]) -> list[str]:
    """A line for each node that has no copy, but few."""
    each = list(dict.fromkeys(problems))
    lines = [f"{kind} not staged on {problem}" for problem in each[:_MOST_NOTES]]
    return lines + [f"{kind} not staged on {len(each) - _MOST_NOTES} nodes more"] * (len(each) > _MOST_NOTES)


def _pieces(found: Bundle) -> Iterator[bytes]:
    """The archive of an environment, packed if it was not yet; anything else is packed as it is sent."""
    if found.kind == "environment":
        beside = [Path(sys.prefix) / _ARCHIVES] if is_environment(sys.prefix) else []
        for folder in (*beside, RUNS / _ARCHIVES):
            with suppress(OSError):  # read-only, or full
                return read(pack(found, folder))
    return stream(found)
