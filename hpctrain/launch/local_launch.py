"""Ranks without MPI: start them on this machine, pass signals on to them, and end all of them when one fails.

Imports no NumPy: it starts the ranks, which take their time to import theirs, and then only waits.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from hpctrain.comm.local.ending import how_it_ended
from hpctrain.comm.local.memory import Memory, Seat, create
from hpctrain.errors import InputError, Preempted
from hpctrain.launch.environment import with_seat
from hpctrain.resilience.stop_request import SIGNALS

SECONDS_FOR_THE_OTHERS = 3.0
"""From the failure of one rank to the end by force of those that are left: they may have something to say."""

_BEAT = 0.5  # seconds; in a process with other threads the system may give news of a child to them
_PASSED_ON = (*SIGNALS, signal.SIGUSR2)
_WATCHED = (*_PASSED_ON, signal.SIGTSTP, signal.SIGCHLD)
_PR_SET_PDEATHSIG = 1  # Linux's sys/prctl.h

_CRASH = "A crash in compiled code: with PYTHONFAULTHANDLER=1 it says where"
# What is worth a look, by what killed a rank.
_HINTS = {
    -signal.SIGKILL: "The system kills where memory runs out: look at dmesg, and at the limit of the container or job",
    -signal.SIGBUS: "Shared memory that was promised was not there: look at df /dev/shm, and at the memory limit",
    -signal.SIGILL: "Some package was compiled for another processor than this one",
    -signal.SIGSEGV: _CRASH,
    -signal.SIGABRT: _CRASH,
    -signal.SIGFPE: _CRASH,
}


def run_local_ranks(command: Sequence[str], size: int) -> int:
    """Start `command` as so many ranks, and wait for all of them; returns the exit code of the job.

    That is 0 where all ranks end with 0, else the exit code of the rank that failed first, or 1 where a signal killed
    it. That rank is named on standard error, unless it told itself why it ends. Call from the main thread. Raises
    EnvironmentProblem where there is no memory to share.
    """
    descriptor = create(size)
    ranks = _Ranks(Memory(descriptor, size))
    # Signals are waited for one after the other, so that none interrupts anything.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # if it is ignored, the system forgets how children ended
    try:
        for rank in range(size):
            ranks.start(command, Seat(rank, size, descriptor), before)
        ranks.attend()
    finally:
        ranks.kill()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(descriptor)
    failure = ranks.failure
    if failure is None:
        return 0
    if not failure.told:
        print(failure, file=sys.stderr, flush=True)
    return 1 if failure.code < 0 else failure.code


@dataclass(frozen=True)
class _Failure:
    """The end of the rank that failed first."""

    rank: int
    size: int
    pid: int
    code: int  # minus the signal, where one killed it
    told: bool  # by itself, and why

    def __str__(self) -> str:
        hint = _HINTS.get(self.code, "What it printed stands above")
        who = f"rank {self.rank} of {self.size} (pid {self.pid}) on {socket.gethostname()}"
        return f"hpctrain: {who} {how_it_ended(self.code)}, and so the job ends. {hint}"


class _Ranks:
    """The processes of a job.

    Attributes:
        failure: of the first rank that ended with another exit code than 0, or asked for the end of all.
    """

    def __init__(self, memory: Memory) -> None:
        self.failure: _Failure | None = None
        self._memory = memory
        self._running: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, command: Sequence[str], seat: Seat, signals: set[int]) -> None:
        """Start one, with that mask of signals, in a process group of its own: Ctrl-C then reaches us alone.

        Input goes to rank 0, as under mpirun, where it is no terminal: to read that is for the group in front.
        """
        launcher, prctl = os.getpid(), ctypes.CDLL(None).prctl

        def before_it_is_python() -> None:
            prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # nobody would end it if this process were killed
            if os.getppid() != launcher:
                os._exit(1)
            signal.pthread_sigmask(signal.SIG_SETMASK, signals)

        self._running[seat.rank] = subprocess.Popen(
            command,
            stdin=None if seat.rank == 0 and not os.isatty(0) else subprocess.DEVNULL,
            env=with_seat(seat),
            pass_fds=[seat.descriptor],
            process_group=0,
            preexec_fn=before_it_is_python,
        )

    def attend(self) -> None:
        """Return when all have ended, or when one has failed and the others have had their time."""
        while self._running and self.failure is None:
            self._wait_a_beat(_BEAT)
        deadline = time.monotonic() + SECONDS_FOR_THE_OTHERS
        while self._running and (left := deadline - time.monotonic()) > 0:
            self._wait_a_beat(min(left, _BEAT))

    def kill(self) -> None:
        """End those that run, with whatever they have started."""
        for process in self._running.values():
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        for process in self._running.values():
            process.wait()
        self._running.clear()

    def _wait_a_beat(self, seconds: float) -> None:
        """For a signal, and do what it says; look after the ranks in any case."""
        found = signal.sigtimedwait(_WATCHED, seconds)
        if found is not None:
            self._on_signal(found.si_signo)
        self._take_leave()

    def _on_signal(self, number: int) -> None:
        if number == signal.SIGTSTP:  # Ctrl-Z: all stop, and go on when this process does
            self._pass_on(signal.SIGSTOP)
            os.kill(os.getpid(), signal.SIGSTOP)
            self._pass_on(signal.SIGCONT)
        elif number in _PASSED_ON:
            self._pass_on(number)

    def _pass_on(self, number: int) -> None:
        for process in self._running.values():
            process.send_signal(number)

    def _take_leave(self) -> None:
        """Of those that have ended. The others are told, for some may wait for them."""
        ended = {rank: code for rank, process in self._running.items() if (code := process.poll()) is not None}
        for rank, code in ended.items():
            pid = self._running.pop(rank).pid
            self._memory.set_ending(rank, code)
            aborts = self._memory.aborts(rank)
            if self.failure is None and (code or aborts):
                told = aborts or code in (InputError.exit_code, Preempted.exit_code)
                self.failure = _Failure(rank, self._memory.size, pid, code, told)
        if any(self._memory.aborts(rank) for rank in ended):
            self.kill()
