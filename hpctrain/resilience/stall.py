"""The stall watch: it notices that ranks wait for one that does not come, and says which.

On each rank a thread sleeps, and a few times in `seconds` sends a short message, where this rank stands, to the two
ranks that listen: the first and the last of all. The first speaks; where it is silent itself, or has ended, the last
does. Nobody is asked anything, so a rank that computes, loops or waits for its disk answers as one that waits in a
collective does; and who says nothing at all is stopped, dead, or in code that holds the interpreter.

    rank 0  <── where I stand ──  ranks 1 ... p-1  ── where I stand ──>  rank p-1

A stall is noticed within 1/8 of `seconds` after them. While all goes well, the cost is two messages of 2 kB in that
time, from a thread that sleeps otherwise.
"""

from __future__ import annotations

import contextlib
import math
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from hpctrain.comm.communicator import Communicator, Request
from hpctrain.comm.flight import FlightRecorder
from hpctrain.errors import CommunicationError
from hpctrain.resilience.stall_report import View, headline, report
from hpctrain.resilience.standing import NUM_BYTES, Standing

BEATS = 8
"""Messages of a rank in the seconds after which a call is a stall."""

_SILENT = 3.5  # beats without a message: a rank does not answer

_UNREACHABLE = (CommunicationError, RuntimeError)
"""What is raised where a peer has ended and the library knows it; errors of MPI are RuntimeErrors."""

Then = Callable[[CommunicationError], object]


class StallWatch:
    """Watches the calls of all ranks. All ranks make it, begin it and end it."""

    def __init__(
        self, comm: Communicator, recorder: FlightRecorder, may_talk: Callable[[], bool] = lambda: True
    ) -> None:
        """`comm` is of all ranks, and for this alone; the thread ends itself when it may not talk any more."""
        self._seconds = math.inf
        self._then: Then
        self._log: Path | None
        self._comm = comm
        self._recorder = recorder
        self._may_talk = may_talk
        self._pid = os.getpid()
        self._listeners = sorted({0, comm.size - 1})
        self._others = [rank for rank in range(comm.size) if rank != comm.rank]
        self._heard = [time.perf_counter()] * comm.size  # when each rank was heard of last
        self._standings: dict[int, Standing] = {}
        self._gone: set[int] = set()
        self._buffers = {rank: np.empty(NUM_BYTES, np.uint8) for rank in self._others if comm.rank in self._listeners}
        self._arrivals: dict[int, Request] = {}
        self._departures: dict[int, Request] = {}
        self._told: set[tuple[int, int]] = set()  # rank and index of the calls that were reported
        self._ended = False
        self._over = False
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hpctrain stall watch", daemon=True)

    def watch_for(self, seconds: float, then: Then, log: Path | None = None) -> None:
        """From now on a call of so many seconds is a stall. It is reported on standard error and to the file `log`.

        After a report, `then` is called in the thread of the watch, on the rank that reports.
        """
        self._seconds, self._then, self._log = seconds, then, log
        self._wake.set()

    def begin(self) -> None:
        """Watch from now on, in a thread."""
        self._wake.clear()
        self._thread.start()

    def end_together(self) -> None:
        """This rank has come to the end of its program: wait, watching, until all have. All ranks.

        Where ranks can only end together this is no loss, and it leaves no message under way.
        """
        if self._pid == os.getpid() and self._may_talk():
            self._ended = True
            self._comm.idle_barrier()
            self._stop_thread()
            self._say_goodbye()

    def end(self) -> None:
        """This rank has come to the end of its program, and will not wait for others."""
        if self._pid == os.getpid():
            self._ended = True
            self._stop_thread()
            self._tell(Standing.own(self._recorder, self._ended))

    def beat(self, now: float) -> None:
        """Say where this rank stands, hear where the others do, and report a stall if there is one to report."""
        own = Standing.own(self._recorder, self._ended)
        self._tell(own)
        was_awake = not self._is_silent(self._comm.rank, now)  # who was stopped itself knows nothing of the others
        self._standings[self._comm.rank], self._heard[self._comm.rank] = own, now
        self._listen(now)
        if was_awake and self._speaks(now):
            self._judge(now)

    def _run(self) -> None:
        self._wake.wait(self._beat_seconds)
        while not self._over and self._may_talk():
            self._wake.clear()
            self.beat(time.perf_counter())
            self._wake.wait(self._beat_seconds)

    @property
    def _beat_seconds(self) -> float:
        return self._seconds / BEATS

    @property
    def _silent_seconds(self) -> float:
        return _SILENT * self._beat_seconds

    def _stop_thread(self) -> None:
        self._over = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def _tell(self, standing: Standing) -> None:
        """Send to each listener that has taken the message before: to one that is stopped they must not pile up."""
        message = np.frombuffer(standing.encode(), np.uint8)
        for listener in self._listeners:
            if listener == self._comm.rank or listener in self._gone:
                continue
            try:
                if listener not in self._departures or self._departures[listener].test():
                    self._departures[listener] = self._comm.isend(message, listener)
            except _UNREACHABLE:
                self._gone.add(listener)

    def _listen(self, now: float) -> None:
        """Take all messages that have come."""
        for rank in self._buffers:
            try:
                while rank not in self._gone and self._arrival(rank).test():
                    self._take(rank, now)
            except _UNREACHABLE:
                self._gone.add(rank)

    def _arrival(self, rank: int) -> Request:
        if rank not in self._arrivals:
            self._arrivals[rank] = self._comm.irecv(self._buffers[rank], rank)
        return self._arrivals[rank]

    def _take(self, rank: int, now: float) -> None:
        """The message has come; an empty one is the last."""
        del self._arrivals[rank]
        if self._buffers[rank].any():
            self._standings[rank], self._heard[rank] = Standing.decode(self._buffers[rank].tobytes()), now
        else:
            self._gone.add(rank)

    def _say_goodbye(self) -> None:
        """Complete all transfers, the empty message of each rank being the last."""
        empty = np.zeros(NUM_BYTES, np.uint8)
        for listener in self._listeners:
            if listener != self._comm.rank:
                if listener in self._departures:
                    self._departures[listener].wait()
                self._departures[listener] = self._comm.isend(empty, listener)
        for rank in self._buffers:
            while rank not in self._gone:
                self._arrival(rank).wait()
                self._take(rank, time.perf_counter())
        for departure in self._departures.values():
            departure.wait()

    def _view(self, now: float) -> View:
        ended = {rank for rank, standing in self._standings.items() if standing.ended}
        ages = {rank: now - heard for rank, heard in enumerate(self._heard)}
        return View(self._standings, ages, self._gone | ended, self._silent_seconds)

    def _speaks(self, now: float) -> bool:
        """Whether this is the first listener that can be heard."""
        audible = [rank for rank in self._listeners if rank not in self._gone and not self._is_silent(rank, now)]
        return audible[:1] == [self._comm.rank]

    def _is_silent(self, rank: int, now: float) -> bool:
        return now - self._heard[rank] > self._silent_seconds

    def _judge(self, now: float) -> None:
        """Report the calls that take too long, unless one of them was in the report before."""
        view = self._view(now)
        stalled = [waiting for waiting in view.waiting() if waiting.seconds >= self._seconds]
        calls = {(waiting.rank, waiting.call.index) for waiting in stalled}
        if stalled and not calls & self._told:
            self._told = calls
            self._report(report(view, stalled[0]))
            self._then(CommunicationError(headline(view, stalled[0])))

    def _report(self, text: str) -> None:
        sys.stderr.write(f"\n{text}\n")
        sys.stderr.flush()
        if self._log is not None:
            with contextlib.suppress(OSError), self._log.open("a") as file:
                file.write(f"{text}\n\n")
