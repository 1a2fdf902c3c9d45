"""Gradients that no rank keeps whole: each bucket is reduced to its owners while backward runs (ZeRO stage 2).

    backward   |  wire of bucket 0 full  |  of bucket 1 full    |  of bucket 2 full    |  end_round()
    thread          carries bucket 0          carries bucket 1       carries bucket 2
                    own part += mean, and the wire is given back

A wire lives from its bucket's first gradient until it has been carried. Ranks fill wires in any order, and the thread
takes them by their numbers, on all ranks alike. Where few wires may live at once, backward waits; but only while the
next one is full here: so the rank on which it is not goes on, and nobody waits in a circle.

Bytes sent per rank and backward pass: (p-1)/p of the gradients; those of 16 bits travel in 32.

Rajbhandari, Rasley, Ruwase and He, "ZeRO: memory optimizations toward training trillion parameter models", SC 2020,
section 5.2.
"""

from __future__ import annotations

import threading
from typing import Any, TypeVar

import numpy as np

from hpctrain.arrays.library import host_buffer, library_of
from hpctrain.collectives.group import Group
from hpctrain.collectives.reduce_scatter import reducing
from hpctrain.collectives.segments import segments
from hpctrain.comm.communicator import Waits
from hpctrain.comm.operation import Op
from hpctrain.comm.patient import PatientCommunicator
from hpctrain.parallel.gradient_sync.courier import Courier
from hpctrain.parallel.gradient_sync.reduce_scatter import sum_over_ranks
from hpctrain.parallel.memory import private
from hpctrain.parallel.partition import SharedOut
from hpctrain.parallel.stateless import Stateless
from hpctrain.parallel.trainable import Places

T = TypeVar("T")

_MOST_WIRES = 4  # alive at once: one carried, one or two full, and one being filled


class GradientsInPassing(Stateless):
    """Implements `GradientSync`: what `allocate` gives is this rank's own part, and wires are opened in each pass."""

    in_passing = True

    def __init__(self, group: Group, shards: SharedOut) -> None:
        self._group = group
        self._shards = shards
        self._comm = PatientCommunicator(group.nodes.background, next(group.nodes.channels))
        self._courier = Courier(self._carry, 1)
        self._own: list[Any] = []
        self._lengths: list[int] = []
        self._wires: dict[int, Any] = {}  # that are alive
        self._full: set[int] = set()  # in this pass
        self._next = 0  # the one that the thread takes next
        self._is_new = True  # nothing of this step has been added up yet
        self._broken = False
        self._changed = threading.Condition()
        self.description = f"reduce_scatter in backward ({group.size} shards of gradients and optimizer state)"

    def allocate(self, like: Any, length: int, places: Places = ()) -> Any:
        """The mean of what this rank owns, of the dtype of `like`."""
        owned = self._shards.owned(length, like.itemsize)
        self._own.append(private(like, owned.stop - owned.start))
        self._lengths.append(length)
        return self._own[-1]

    def open(self, number: int, like: Any) -> Any:
        """A wire of zeros for the whole bucket, of the dtype of `like`, to be filled in this pass."""
        with self._changed:
            while len(self._wires) >= _MOST_WIRES and self._next in self._full and not self._broken:
                self._changed.wait()
        wire = private(like, self._lengths[number])
        with self._changed:
            self._wires[number] = wire
        return wire

    def start(self, number: int) -> None:
        """It leaves when those before it have left."""
        with self._changed:
            self._full.add(number)
        self._courier.take(number, len(self._own))

    def end_round(self) -> None:
        """Return when all gradients of this pass have been added up; those that were not made count as 0. All ranks."""
        with self._group.traffic.timed():
            self._courier.finish(len(self._own))
        self._full.clear()
        self._next = 0
        self._is_new = False

    def finish(self, notes: np.ndarray) -> None:
        """The means are there; the next pass begins anew."""
        self._group.all_reduce(notes, Op.SUM)
        self._is_new = True

    def finish_everywhere(self, notes: np.ndarray) -> None:
        """Not more than that: nobody has them all, and `Distribution` refuses to have them read."""
        self.finish(notes)

    def gather(self, value: T) -> dict[int, T]:
        """All ranks."""
        return dict(enumerate(self._group.comm.gather_objects(value)))

    def add_owners(self, number: float) -> float:
        """The sum over all ranks."""
        return sum_over_ranks(self._group, number)

    def _carry(self, number: int, lane: int) -> Waits:
        """Reduce a wire to its owners. In the thread of the courier."""
        try:
            yield from self._reduce(number)
        except BaseException:
            self._broken = True
            raise
        finally:
            with self._changed:
                self._wires.pop(number, None)
                self._next = number + 1
                self._changed.notify_all()

    def _reduce(self, number: int) -> Waits:
        own, length = self._own[number], self._lengths[number]
        wire = self._wires.get(number)
        if wire is None:
            wire = private(own, length)  # no gradient of it was made here
        library = library_of(wire)
        view = library.view(wire)
        buffer = library.to_host(wire) if view is None else view
        cuts = self._shards.all_owned(length, own.itemsize)
        yield from reducing(self._comm, [segments(buffer[cut]) for cut in cuts], Op.MEAN)
        mean = buffer[self._shards.owned(length, own.itemsize)]
        with host_buffer(own) as kept:
            if self._is_new:
                kept[...] = mean
            else:
                kept += mean
