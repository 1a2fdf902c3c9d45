"""The memory through which the ranks of a local job talk: how it is made, found and laid out. Imports no NumPy.

    endings     p lines                           how each rank ended: the launcher writes
    barriers    CONTEXTS x p lines                how often each rank has come to a barrier of each group
    rings       p x p x (2 lines + RING_BYTES)    the messages of each rank to each rank, itself included

A line is what cores take from each other at once (64 bytes): what two ranks write does not lie on one. The launcher
makes the memory before it starts the ranks, who inherit it open. It has no name, so nobody has to meet anywhere, and
nothing is left behind when all of them are killed. A page costs nothing until it is used.
"""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass

from hpctrain.errors import EnvironmentProblem

CONTEXTS = 1024
"""Groups that a rank can be in at once."""

RING_BYTES = 2**20

_LINE = 64
_WORD = 8  # numbers are int64, written and read at once by any processor of 64 bits
_WORDS = _LINE // _WORD
_RUNS = 0  # word of a rank that has not ended; an exit code or minus a signal is kept as this much more:
_ENDED = 1000


@dataclass(frozen=True)
class Seat:
    """The place of one rank: what a launcher hands to each process that it starts."""

    rank: int
    size: int
    descriptor: int  # of the open memory


@dataclass(frozen=True)
class Ring:
    """Where one ring lies. Its counters are words, of bytes since the beginning."""

    head: int  # index of the word: read up to here
    tail: int  # written up to here
    data: memoryview


class Memory:
    """The memory, mapped.

    Attributes:
        size: number of ranks.
        words: all of it as int64.
    """

    def __init__(self, descriptor: int, size: int) -> None:
        """Map what `create` made for `size` ranks.

        Raises EnvironmentProblem where `descriptor` is something else, and where the system maps no more.
        """
        try:
            found = os.fstat(descriptor).st_size
        except OSError:
            found = 0
        if found != _num_bytes(size):
            raise EnvironmentProblem(
                f"this process is not one of the {size} local ranks: it was started by one of them, and inherited the "
                "variables HPCTRAIN_LOCAL_*, but not the memory. Unset them to start it as a world of its own"
            )
        try:
            self._bytes = memoryview(mmap.mmap(descriptor, found))
        except OSError as error:
            raise _no_memory(size, error) from error
        self.size = size
        self.words = self._bytes.cast("q")

    def ring(self, source: int, dest: int) -> Ring:
        """The ring from rank `source` to rank `dest`."""
        start = (1 + CONTEXTS) * self.size * _LINE + (source * self.size + dest) * (2 * _LINE + RING_BYTES)
        data = self._bytes[start + 2 * _LINE : start + 2 * _LINE + RING_BYTES]
        return Ring(start // _WORD, (start + _LINE) // _WORD, data)

    def barrier(self, context: int, rank: int) -> int:
        """Index among the words: how often `rank` has come to a barrier of the group `context`."""
        return ((1 + context) * self.size + rank) * _WORDS

    def ending(self, rank: int) -> int | None:
        """The exit code of a rank, or minus the signal that killed it; None while it runs."""
        word = self.words[rank * _WORDS]
        return None if word == _RUNS else word - _ENDED

    def set_ending(self, rank: int, code: int) -> None:
        """Let all ranks know that one has ended."""
        self.words[rank * _WORDS] = _ENDED + code

    def aborts(self, rank: int) -> bool:
        """Whether a rank has asked for the end of all of them."""
        return self.words[rank * _WORDS + 1] != 0

    def set_aborts(self, rank: int) -> None:
        """Ask for the end of all ranks, whatever this one's exit code is."""
        self.words[rank * _WORDS + 1] = 1


def create(size: int) -> int:
    """Make the memory for so many ranks, as memory of no file: a descriptor, which other programs do not inherit.

    Raises EnvironmentProblem where the system gives none.
    """
    try:
        descriptor = os.memfd_create("hpctrain")
        os.ftruncate(descriptor, _num_bytes(size))
    except (OSError, AttributeError) as error:  # AttributeError: not Linux
        raise _no_memory(size, error) from error
    return descriptor


def _no_memory(size: int, error: Exception) -> EnvironmentProblem:
    wanted = f"{_num_bytes(size) / 2**20:,.0f} MiB of address space for {size} local ranks to share"
    return EnvironmentProblem(f"the system gives no {wanted} ({error}): start fewer, or see ulimit -v")


def _num_bytes(size: int) -> int:
    return (1 + CONTEXTS) * size * _LINE + size * size * (2 * _LINE + RING_BYTES)
