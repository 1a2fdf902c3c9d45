"""Divergence is caught: ranks that must hold the same bits compare them, and name what differs.

    rank 0   weights, state ── CRC of each array ── one of all ──┐
    rank 1   weights, state ── CRC of each array ── one of all ──┼── the same: go on
    rank 2   weights, state ── CRC of each array ── one of all ──┘   else tell those of each array: who differs in what?

A difference comes of faulty memory, of a faulty network, or of code that changes weights on some ranks only. What most
ranks hold counts as right, and on a tie what the lowest rank holds. NaNs are compared as bits, like all numbers.

Bytes sent per rank and comparison: 32 (p-1) where ranks agree. A CRC of 32 bits misses one difference in 4e9.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np

from hpctrain.arrays.library import bits_of, host_buffer, library_of
from hpctrain.collectives.all_gather import all_gather
from hpctrain.comm.communicator import Communicator
from hpctrain.comm.rank_words import named
from hpctrain.errors import DivergenceError, SettingsError
from hpctrain.parallel.plan import Plan
from hpctrain.parallel.trainable import Trainable

Contents = Mapping[str, Any]
"""Arrays by name: weights, or what the optimizer keeps of them."""


@dataclass(frozen=True)
class Difference:
    """One array that is not the same on ranks that all hold it.

    Attributes:
        name: of the parameter, and of what is kept of it.
        ranks: that differ from most.
        source: the lowest of those that agree.
        is_everywhere: whether all of these ranks have such an array at all.
    """

    name: str
    ranks: tuple[int, ...]
    source: int
    is_everywhere: bool


@dataclass(frozen=True)
class Told:
    """What one rank says of one kind of contents: which part of the model it is, and the CRC of each array."""

    part: int
    sums: Mapping[str, int]

    @property
    def summary(self) -> tuple[int, int]:
        """In two numbers."""
        return self.part, crc32(repr(self.sums).encode())


class Verification:
    """Compares the replicas of a plan every so many steps."""

    def __init__(self, plan: Plan, trainable: Trainable, tell: Callable[[str], None]) -> None:
        """`tell` is called on rank 0 with what was put right. Raises SettingsError where ranks never hold the same."""
        if plan.verify_every and not plan.pace.together:
            raise SettingsError(
                f"verify_every={plan.verify_every}: ranks that do not step together hold different weights, and are "
                "meant to: use verify_every=0"
            )
        self._plan = plan
        self._trainable = trainable
        self._tell = tell
        self._act = {"stop": self._stop, "resync": self._resync}[plan.verify_action]
        self._num_steps = 0
        self._is_due = False

    def after_step(self) -> None:
        """Compare where that is due; ranks with weights of their own agree after an average only, and wait for one.

        All ranks that step together. Raises DivergenceError.
        """
        self._num_steps += 1
        if self._plan.verify_every:
            self._is_due = self._is_due or self._num_steps % self._plan.verify_every == 0
        if self._is_due and self._agree_by_now():
            self._is_due = False
            with self._plan.group.traffic.timed():
                self._compare()

    def _agree_by_now(self) -> bool:
        """The same answer on all ranks."""
        sync = self._plan.weight_sync
        return not sync.has_replicas or any(part.stop > part.start for part in sync.common(self._trainable.buckets))

    def _compare(self) -> None:
        contents = self._contents()
        mine = [Told(part, {name: _crc(array) for name, array in arrays.items()}) for part, arrays in contents]
        comm = self._plan.group.comm
        rows = np.zeros((comm.size, 4), np.int64)
        rows[comm.rank] = [number for told in mine for number in told.summary]
        all_gather(comm, list(rows))
        if all(_one_sum_for_each_part(rows[:, [kind, kind + 1]]) for kind in (0, 2)):
            return
        everybody = comm.gather_objects(mine)
        differences = [
            list(find_differences({rank: told[kind] for rank, told in enumerate(everybody)})) for kind in (0, 1)
        ]
        self._act(differences, [arrays for _, arrays in contents])

    def _contents(self) -> list[tuple[int, Contents]]:
        """What this rank has in common with others, in the order of the model: weights, and what is kept of them."""
        buckets, sync = self._trainable.buckets, self._plan.weight_sync
        common = sync.common(buckets)
        kept = [slice(0, 0)] * len(buckets) if sync.has_replicas else self._trainable.owned
        state = self._trainable.optimizer_state()
        weights, others = {}, {}
        for number, place, name in _in_order_of_model(self._trainable):
            start, stop = max(place.start, common[number].start), min(place.stop, common[number].stop)
            if start < stop:
                weights[name] = buckets[number].weights[start:stop]
            start, stop = max(place.start, kept[number].start), min(place.stop, kept[number].stop)
            if start < stop:
                own = slice(start - place.start, stop - place.start)
                length = place.stop - place.start
                for kind, array in sorted(state.get(name, {}).items()):
                    flat = array.reshape(-1)
                    others[f"{name} ({kind})"] = flat[own] if len(flat) == length else flat
        return [(crc32(repr(common).encode()), weights), (crc32(repr(kept).encode()), others)]

    def _stop(self, differences: Sequence[Sequence[Difference]], _: Sequence[Contents]) -> None:
        raise DivergenceError(
            f"{self._in_words(differences)}. Memory or the network may be faulty, or some code changes weights on some "
            "ranks only; comm.verify_action=resync goes on with what most ranks hold"
        )

    def _resync(self, differences: Sequence[Sequence[Difference]], contents: Sequence[Contents]) -> None:
        """Whoever differs takes over, of weights and of optimizer state, what most hold. Nothing else is sent."""
        comm = self._plan.group.comm
        if not all(difference.is_everywhere for its in differences for difference in its):
            self._stop(differences, contents)
        for arrays, its in zip(contents, differences, strict=True):
            for difference in its:
                if comm.rank in (*difference.ranks, difference.source):
                    with host_buffer(bits_of(arrays[difference.name])) as buffer:
                        _pass_on(comm, buffer, difference)
        self._plan.group.barrier()  # ranks that share memory read what one of them was given
        if comm.rank == 0:
            self._tell(f"{self._in_words(differences)}: they took over what most ranks hold")

    def _in_words(self, differences: Sequence[Sequence[Difference]]) -> str:
        first, *others = [difference for its in differences for difference in its]
        more = f" (and {len(others)} more arrays)" if others else ""
        return (
            f"ranks diverged: after {self._num_steps} steps of this run {first.name}{more} on {named(first.ranks)} "
            f"is not what {named([first.source])} holds"
        )


def find_differences(everybody: Mapping[int, Told]) -> Iterator[Difference]:
    """Of the ranks that hold the same part, which differ in what, in the order of the model."""
    for part in dict.fromkeys(told.part for told in everybody.values()):
        holders = {rank: told.sums for rank, told in everybody.items() if told.part == part}
        for name in dict.fromkeys(name for sums in holders.values() for name in sums):
            found = {rank: sums.get(name) for rank, sums in holders.items()}
            right, _ = Counter(found.values()).most_common(1)[0]  # of equal counts the first that was met
            wrong = tuple(rank for rank, its in found.items() if its != right)
            if wrong:
                yield Difference(name, wrong, min(found.keys() - set(wrong)), None not in found.values())


def _one_sum_for_each_part(rows: np.ndarray) -> bool:
    """Whether ranks that hold the same part have the same sum; rows of (part, sum)."""
    return len(np.unique(rows, axis=0)) == len(np.unique(rows[:, 0]))


def _in_order_of_model(trainable: Trainable) -> Iterator[tuple[int, slice, str]]:
    """Of each parameter its bucket, its place there and its name; the last bucket holds the first ones."""
    for number, bucket in reversed([*enumerate(trainable.buckets)]):
        starts = [start for start, _ in bucket.places]
        stops = [*starts[1:], len(bucket.weights)]
        for start, stop, name in reversed([*zip(starts, stops, bucket.names, strict=True)]):
            yield number, slice(start, stop), name


def _pass_on(comm: Communicator, buffer: np.ndarray, difference: Difference) -> None:
    if comm.rank != difference.source:
        comm.recv(buffer, difference.source)
        return
    for rank in difference.ranks:
        comm.send(buffer, rank)


def _crc(array: Any) -> int:
    bits = bits_of(array)
    view = library_of(bits).view(bits)
    return crc32((library_of(bits).to_host(bits) if view is None else view).data)
