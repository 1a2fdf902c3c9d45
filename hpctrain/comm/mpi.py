"""The communicator over MPI. The only file that imports mpi4py."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, ClassVar, NoReturn, TypeVar, cast

import mpi4py
import numpy as np

mpi4py.rc.initialize = False  # `start` does it, once it is known that the library fits its launcher
mpi4py.rc.finalize = True  # all the same, at the end of the process

from mpi4py import MPI  # noqa: E402

from hpctrain.comm.communicator import Prepared  # noqa: E402
from hpctrain.comm.operation import Op  # noqa: E402
from hpctrain.comm.shared_memory import shared_segments  # noqa: E402

T = TypeVar("T")

_OPS = {Op.SUM: MPI.SUM, Op.MEAN: MPI.SUM, Op.MIN: MPI.MIN, Op.MAX: MPI.MAX, Op.PRODUCT: MPI.PROD}
_BOOL_OPS = {Op.SUM: MPI.LOR, Op.MAX: MPI.LOR, Op.PRODUCT: MPI.LAND, Op.MIN: MPI.LAND}
_SECONDS_TO_FORWARD = 0.3  # that a daemon on another node takes to pass on what a rank has printed
_HEAD_BYTES = 64  # at the beginning of each rank's part of a window, for the count of updates
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.0005, 0.02  # seconds between two looks of a rank that waits idly


def start() -> None:
    """Start MPI, unless somebody has."""
    if not MPI.Is_initialized():
        MPI.Init_thread(MPI.THREAD_MULTIPLE)


def finish() -> None:
    """End MPI, where it was started and has not been ended. All ranks."""
    if MPI.Is_initialized() and not MPI.Is_finalized():
        MPI.Finalize()


@cache
def _world_key() -> int:
    """The key under which our duplicate of COMM_WORLD hangs on COMM_WORLD itself, as MPI means libraries to do it.

    Connecting again finds it there (MPI 4.1, section 7.7); no communicator is kept in this module.
    """
    return MPI.Comm.Create_keyval(nopython=False)


def world() -> MpiCommunicator:
    """All ranks of the job, on the library's own duplicate of MPI_COMM_WORLD. All ranks at the first call."""
    comm = _attached()
    if comm is None:
        comm = MPI.COMM_WORLD.Dup()
        MPI.COMM_WORLD.Set_attr(_world_key(), comm)
    return MpiCommunicator(comm)


def _attached() -> MPI.Intracomm | None:
    comm = MPI.COMM_WORLD.Get_attr(_world_key())
    return comm if isinstance(comm, MPI.Intracomm) else None


class MpiRequest:
    """Implements `Request`; keeps the buffer alive until the transfer is done."""

    def __init__(self, request: MPI.Request, buffer: np.ndarray) -> None:
        self._request = request
        self._buffer = buffer

    def wait(self) -> None:
        """Return when the transfer is complete on this rank."""
        self._request.Wait()

    def test(self) -> bool:
        """Whether it is complete by now."""
        return self._request.Test()


class MpiCollectives:
    """Implements `NativeCollectives`."""

    def __init__(self, comm: MPI.Intracomm) -> None:
        self._comm = comm

    def all_reduce(self, buffer: np.ndarray, op: Op) -> None:
        """MPI_Allreduce in place."""
        self._comm.Allreduce(MPI.IN_PLACE, buffer, _mpi_op(op, buffer.dtype))

    def prepared(self, num_bytes: int, dtype: np.dtype[Any], op: Op) -> Prepared:
        """MPI_Allreduce in place, for any length."""
        call, in_place, mpi_op = self._comm.Allreduce, MPI.IN_PLACE, _mpi_op(op, dtype)
        return Prepared(lambda buffer: call(in_place, buffer, mpi_op))  # op= by its name takes a third longer

    def all_reduce_async(self, buffer: np.ndarray, op: Op) -> MpiRequest:
        """MPI_Iallreduce in place."""
        return MpiRequest(self._comm.Iallreduce(MPI.IN_PLACE, buffer, _mpi_op(op, buffer.dtype)), buffer)

    def broadcast(self, buffer: np.ndarray, root: int) -> None:
        """MPI_Bcast."""
        self._comm.Bcast(buffer, root)


class MpiWindow:
    """Implements `Window` by passive-target one-sided operations, each complete at its target when the call returns.

    `add` is MPI_Accumulate, which is atomic for each element. Where the network cannot reach the memory of another node
    by itself, an operation waits until its target calls MPI.
    """

    def __init__(self, comm: MPI.Intracomm, num_bytes: int) -> None:
        """All ranks."""
        self._window = MPI.Win.Allocate(_HEAD_BYTES + num_bytes, 1, comm=comm)
        with self._locked(comm.rank, MPI.LOCK_EXCLUSIVE):
            memoryview(cast(Any, self._window.tomemory()))[:] = bytes(_HEAD_BYTES + num_bytes)
        comm.Barrier()

    @contextmanager
    def _locked(self, rank: int, kind: int) -> Iterator[None]:
        self._window.Lock(rank, kind)
        try:
            yield
        finally:
            self._window.Unlock(rank)

    def put(self, values: np.ndarray, rank: int, offset: int) -> None:
        """MPI_Put."""
        with self._locked(rank, MPI.LOCK_SHARED):
            self._window.Put(values, rank, _HEAD_BYTES + offset)

    def get(self, into: np.ndarray, rank: int, offset: int) -> None:
        """MPI_Get."""
        with self._locked(rank, MPI.LOCK_SHARED):
            self._window.Get(into, rank, _HEAD_BYTES + offset)

    def add(self, values: np.ndarray, rank: int, offset: int) -> None:
        """MPI_Accumulate."""
        with self._locked(rank, MPI.LOCK_SHARED):
            self._window.Accumulate(values, rank, _HEAD_BYTES + offset)

    def add_alone(self, values: np.ndarray, rank: int, offset: int) -> None:
        """MPI_Accumulate under an exclusive lock."""
        with self._locked(rank, MPI.LOCK_EXCLUSIVE):
            self._window.Accumulate(values, rank, _HEAD_BYTES + offset)

    def count_update(self) -> int:
        """MPI_Fetch_and_op on rank 0."""
        return self._fetch(MPI.SUM)

    @property
    def num_updates(self) -> int:
        """The same without a change."""
        return self._fetch(MPI.NO_OP)

    def _fetch(self, op: MPI.Op) -> int:
        one, before = np.ones(1, np.int64), np.empty(1, np.int64)
        with self._locked(0, MPI.LOCK_SHARED):
            self._window.Fetch_and_op(one, before, 0, 0, op)
        return int(before[0])

    def close(self) -> None:
        """MPI_Win_free."""
        self._window.Free()


class MpiCommunicator:
    """Implements `Communicator` on an intracommunicator that belongs to this library."""

    _several_hosts: ClassVar[bool] = False  # as far as anybody has asked

    def __init__(self, comm: MPI.Intracomm) -> None:
        self._comm = comm
        self.rank = comm.rank
        self.size = comm.size
        self.library = library()
        self.native = MpiCollectives(comm)

    def send(self, buffer: np.ndarray, dest: int, tag: int = 0) -> None:
        """MPI_Send."""
        self._comm.Send(buffer, dest, tag)

    def recv(self, buffer: np.ndarray, source: int, tag: int = 0) -> None:
        """MPI_Recv."""
        self._comm.Recv(buffer, source, tag)

    def isend(self, buffer: np.ndarray, dest: int, tag: int = 0) -> MpiRequest:
        """MPI_Isend."""
        return MpiRequest(self._comm.Isend(buffer, dest, tag), buffer)

    def irecv(self, buffer: np.ndarray, source: int, tag: int = 0) -> MpiRequest:
        """MPI_Irecv."""
        return MpiRequest(self._comm.Irecv(buffer, source, tag), buffer)

    def barrier(self) -> None:
        """MPI_Barrier."""
        self._comm.Barrier()

    def idle_barrier(self) -> None:
        """MPI_Ibarrier, looked at now and then."""
        request, pause = self._comm.Ibarrier(), _SHORTEST_PAUSE
        while not request.Test():
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def progress(self, awaited: int) -> None:
        """Any look does it: MPI_Iprobe."""
        self._comm.Iprobe(awaited)

    def gather_objects(self, value: T) -> list[T]:
        """Pickled values, by MPI_Allgatherv."""
        return self._comm.allgather(value)

    def shared_memory(self, num_bytes: int, purpose: str = "an array") -> list[np.ndarray]:
        """Mapped files, not an MPI window; `docs/decisions/shared_memory.md` says why."""
        return shared_segments(self, num_bytes, purpose)

    def window(self, num_bytes: int) -> MpiWindow:
        """MPI_Win_allocate."""
        return MpiWindow(self._comm, num_bytes)

    def split(self, color: int, key: int = 0) -> MpiCommunicator:
        """MPI_Comm_split."""
        return MpiCommunicator(cast(MPI.Intracomm, self._comm.Split(color, key)))

    def split_by_node(self) -> MpiCommunicator:
        """MPI_Comm_split_type with MPI_COMM_TYPE_SHARED."""
        node = MpiCommunicator(cast(MPI.Intracomm, self._comm.Split_type(MPI.COMM_TYPE_SHARED)))
        MpiCommunicator._several_hosts |= node.size < self.size
        return node

    def abort(self, code: int) -> NoReturn:
        """MPI_Abort, after what was printed has left this process, and its node: launchers drop what they hold."""
        sys.stdout.flush()
        sys.stderr.flush()
        if MpiCommunicator._several_hosts:
            time.sleep(_SECONDS_TO_FORWARD)
        MPI.COMM_WORLD.Abort(code)
        raise SystemExit(code)

    def close(self) -> None:
        """Free the communicator unless it is the world's, which later calls find again."""
        if self._comm != _attached():
            self._comm.Free()


def reduce_local(other: Any, into: Any, op: Op) -> None:
    """MPI_Reduce_local: `into = into (op) other`, by MPI's own arithmetic, on buffers of one dtype and size."""
    _mpi_op(op, into.dtype).Reduce_local(other, into)


def library() -> str:
    """Name and version of the MPI library that is loaded, e.g. "Open MPI 5.0.11"."""
    name, version = MPI.get_vendor()
    return f"{name} {'.'.join(map(str, version))}"


def _mpi_op(op: Op, dtype: np.dtype[Any]) -> MPI.Op:
    # MPI sums no logicals; NumPy's sum of bool is a logical or, and its product a logical and.
    return (_BOOL_OPS if dtype.kind == "b" else _OPS)[op]
