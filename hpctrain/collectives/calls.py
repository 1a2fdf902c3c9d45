"""The calls of one group: counted, timed, recorded, and, when asked for, agreed on by all ranks before they begin."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any, Protocol

from hpctrain.arrays.library import dtype_name
from hpctrain.collectives.agreement import Agreement
from hpctrain.collectives.kept import Kept
from hpctrain.collectives.reduction import Reduction
from hpctrain.comm.call_site import user_frame, where
from hpctrain.comm.communicator import Communicator
from hpctrain.comm.flight import Call, FlightRecorder
from hpctrain.comm.flight_log import NOBODY, words_of
from hpctrain.comm.metered import Traffic
from hpctrain.comm.operation import Op

_MOST_WORDS = 1024  # code may be made anew again and again

Key = tuple[str, Any, str | None, int, int]
"""Of the words of a record: operation, dtype, reduction, and the place in the code that calls.

Its code is told apart by its identity: to hash it takes a fifth of the time of a short all-reduce.
"""


class Load(Protocol):
    """What a call carries: any array, or a `Parcel`."""

    @property
    def dtype(self) -> Any:
        """Type of its numbers; "" without any."""

    @property
    def nbytes(self) -> int:
        """Of this rank."""

    @property
    def shape(self) -> Any:
        """Lengths; or in words what of them must be the same on all ranks."""


@dataclass(frozen=True)
class Parcel:
    """Implements `Load` for what is not one array of the same shape on all ranks."""

    dtype: Any = ""
    nbytes: int = 0
    shape: str = ""


NOTHING = Parcel()


class Calls:
    """Of one group, whose methods call these in `with` statements.

    Attributes:
        recorder: of this process.
        world_ranks: of the ranks of the group, in the world.
        traffic: to which the seconds of calls are added.
        number: of the last collective.
    """

    def __init__(self, recorder: FlightRecorder, world_ranks: list[int], traffic: Traffic) -> None:
        self.recorder = recorder
        self.world_ranks = world_ranks
        self._begin = recorder.begin
        self.traffic = traffic
        self._not_counted = Traffic()
        self._group = recorder.label(world_ranks)
        self.number = 0
        self._setup_number = 0
        # Words with their code: while that is there, no other is given the identity in the key.
        self._words: Kept[Key, tuple[bytes, CodeType]] = Kept(_MOST_WORDS)
        self._agreement: Agreement | None = None
        self._place: Callable[[Any], str]

    @property
    def checked(self) -> bool:
        """Whether ranks agree before each collective."""
        return self._agreement is not None

    def check(self, comm: Communicator, place: Callable[[Any], str]) -> None:
        """From now on ranks agree before each collective, over `comm`, which is for nothing else. All ranks.

        `place` tells of an array where in shared memory it lies, in words that are the same on all ranks.
        """
        self._agreement = Agreement(comm)
        self._place = place

    def collective(
        self,
        name: str,
        load: Load,
        op: Op | None = None,
        root: int = NOBODY,
        algorithm: str = "",
        out: Any = None,
    ) -> Call:
        """All ranks of the group are about to do this.

        Where an algorithm is asked for, `out` is where it writes. Raises CommunicationError on all ranks where calls
        are checked and ranks differ.
        """
        frame = sys._getframe(2)  # who called the group
        words = self.words(name, load.dtype, frame, op)
        number = self.number = self.number + 1
        call = self._begin(number, load.nbytes, root, words, self.traffic)
        if self._agreement is not None:
            self._agree(self._agreement, call, frame, (name, load, op, root, algorithm, out))
        return call

    def message(self, name: str, load: Load, peer: int) -> Call:
        """This rank is about to send to, or to receive from, rank `peer` of the group."""
        words = self.words(name, load.dtype, sys._getframe(2))
        return self._begin(0, load.nbytes, peer, words, self.traffic)

    def piece(self, name: str) -> Call:
        """This rank is about to do something of its own in which it may wait for others, e.g. with `group.comm`."""
        words = self.words(name, "", sys._getframe(1))
        return self._begin(0, 0, NOBODY, words, self.traffic)

    def setup(self, name: str) -> Call:
        """The communicator of the group is about to do this, with all its ranks.

        It has a count of its own, and its time is not that of communication.
        """
        number = self._setup_number = self._setup_number + 1
        words = self.words(name, "", sys._getframe(2), group=f"{self._group} (set-up)")
        return self._begin(number, 0, NOBODY, words, self._not_counted)

    def awaited(self, call: Call, load: Load, reduction: Reduction) -> Awaited:
        """After the block of `call`, a collective that has only started `reduction`: the wait belongs to it."""
        return Awaited(self, call, self.number, load, reduction)

    def wait(self, number: int, load: Load) -> Call:
        """This rank is about to wait for its collective of that number."""
        words = self.words("wait for all_reduce", load.dtype, sys._getframe(2))
        return self._begin(number, load.nbytes, NOBODY, words, self.traffic)

    def close(self) -> None:
        """Give back the communicator of the checks. All ranks."""
        if self._agreement is not None:
            self._agreement.close()

    def words(self, name: str, dtype: Any, frame: FrameType, op: Op | None = None, group: str = "") -> bytes:
        """What the record says of such a call from where `frame` is."""
        key = (name, dtype, op and op._value_, id(frame.f_code), frame.f_lasti)
        found = self._words.get(key)
        return found[0] if found else self._describe(key, frame, group)

    def _describe(self, key: Key, frame: FrameType, group: str = "") -> bytes:
        """The words of a record: made once for each line that calls, and dtype that it calls with."""
        name, dtype, op, *_ = key
        site = where(frame.f_code, frame.f_lineno)
        words = words_of(name, op or "", dtype_name(dtype), group or self._group, site)
        self._words[key] = words, frame.f_code
        return words

    def _agree(
        self, agreement: Agreement, call: Call, frame: FrameType, intent: tuple[str, Load, Op | None, int, str, Any]
    ) -> None:
        name, load, op, root, algorithm, out = intent
        shape = load.shape if isinstance(load.shape, str) else str(tuple(load.shape))
        frame = user_frame(frame)
        words = (
            name
            + (f"({op.value})" if op else "")
            + (f" of {dtype_name(load.dtype)} {shape}".rstrip() if load.dtype else ""),
            f"from rank {root}" if root != NOBODY else "",
            *(self._ways(load, out) if algorithm == "auto" else [f"algorithm {algorithm}"] if algorithm else []),
            f"call {self.number}",
            where(frame.f_code, frame.f_lineno),
        )
        try:
            agreement.reach(", ".join(filter(None, words)))
        except BaseException:
            call.end()
            raise

    def _ways(self, load: Load, out: Any) -> list[str]:
        """What "auto" goes by besides the type and the length: where the arrays lie."""
        places = {"": self._place(load), "out ": self._place(out) if out is not None else ""}
        return [which + place for which, place in places.items() if place]


class Awaited:
    """An all-reduce under way: its wait is recorded, and ends its call.

    Collectives are compared by when they start, so ranks may wait for several in any order.
    """

    def __init__(self, calls: Calls, call: Call, number: int, load: Load, reduction: Reduction) -> None:
        call.go_on()
        self._calls = calls
        self._call = call
        self._index = call.index
        self._number = number
        self._load = load
        self._reduction = reduction
        self._waited = False

    def test(self) -> bool:
        """Whether `wait` would return at once; the array is whole after `wait` only."""
        return self._reduction.test()

    def wait(self) -> Any:
        """The array, holding the result; calling again returns it again."""
        if not self._waited:
            self._waited = True
            with self._calls.wait(self._number, self._load):
                self._reduction.wait()
            self._call.finish(self._index)
        return self._reduction.wait()
