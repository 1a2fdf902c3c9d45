"""What guards the calls of this process: its flight recorder and its stall watch, one of each."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import tempfile
from functools import cache
from pathlib import Path

from hpctrain.comm.communicator import Communicator
from hpctrain.comm.flight import FlightRecorder
from hpctrain.launch.environment import local_seat, slurm_job_id
from hpctrain.resilience.stall import StallWatch, Then


class Guard:
    """Of the rank `rank` of `size` that this process is.

    Attributes:
        recorder: what records its calls.
    """

    def __init__(self, rank: int, size: int) -> None:
        self.recorder = FlightRecorder(rank, size)
        self._watch: StallWatch | None = None

    def watch(self, comm: Communicator, seconds: float, then: Then, log: Path | None = None) -> None:
        """From now on report calls that take longer than `seconds`, to `log` as well; then call `then`.

        0 seconds: do not begin. `comm` is of all ranks. All ranks must call, with the same `seconds`.
        """
        if seconds == 0:
            return
        if self._watch is not None:
            self._watch.watch_for(seconds, then, log)
            return
        watch = self._watch = StallWatch(comm.split(0, comm.rank), self.recorder, _may_talk)
        watch.watch_for(seconds, then, log)
        watch.begin()
        # Ranks of MPI can only end together anyway; a local one that waited would be waited for.
        atexit.register(watch.end_together if local_seat() is None else watch.end)

    def record_to_temporary_file(self) -> None:
        """Record to a file that is there as long as this process runs, and stays where it does not come to its end."""
        if self.recorder.path is None:
            job = slurm_job_id() or os.getppid()
            name = f"hpctrain-{job}-rank-{self.recorder.rank:04d}-{os.getpid()}.flight"
            with contextlib.suppress(OSError):  # nobody has asked for it
                self.recorder.record_to(Path(tempfile.gettempdir()) / name)
                atexit.register(self._forget, os.getpid())

    def _forget(self, pid: int) -> None:
        if pid == os.getpid() and self.recorder.path is not None:  # a forked process is not the one that records
            self.recorder.path.unlink(missing_ok=True)


@cache
def guard_of_process(rank: int, size: int) -> Guard:
    """The guard of this process: joining again finds it here."""
    return Guard(rank, size)


def _may_talk() -> bool:
    """Whether a thread of its own may send and receive: where MPI carries the messages, not before, nor after it."""
    mpi = sys.modules.get("hpctrain.comm.mpi")
    return mpi is None or (not mpi.MPI.Is_finalized() and mpi.MPI.Query_thread() == mpi.MPI.THREAD_MULTIPLE)
