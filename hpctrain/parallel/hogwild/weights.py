"""Hogwild: each rank steps on a copy of the shared weights, and adds what its step has changed.

    copy <- shared        no lock: others may be adding meanwhile
    step on the copy      by this rank's own optimizer, with its own gradient
    shared += copy - what it was

On one node the shared weights lie in memory that all ranks have mapped, and nothing is sent. Over several nodes each
rank holds a block of them, and for n bytes of weights and p ranks one step sends and fetches (p-1)/p n.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from hpctrain.arrays.library import host_buffer
from hpctrain.collectives.group import Group
from hpctrain.comm.window import SharedWindow, Window
from hpctrain.parallel.gradient_sync.alone import OwnGradients
from hpctrain.parallel.hogwild.attendant import Attendant
from hpctrain.parallel.hogwild.board import Board
from hpctrain.parallel.memory import PrivateWeights
from hpctrain.parallel.staleness import Staleness, histogram
from hpctrain.parallel.stateless import Stateless
from hpctrain.parallel.trainable import Bucket


class HogwildWeights(PrivateWeights, Stateless):
    """Implements `WeightSync`. Each rank keeps its copy, what it was, and the state of its own optimizer."""

    has_replicas = True

    def __init__(self, group: Group, locking: str) -> None:
        self._group = group
        self._locking = locking
        self._staleness = Staleness()
        self._has_begun = False
        self._attendant: Attendant | None = None  # where the library is to answer for this rank
        self._version = 0  # of the shared weights, when they were copied last: the number of updates

    def attach(self, buckets: Sequence[Bucket]) -> None:
        """Make the board."""
        self._buckets = buckets
        self._copied: list[np.ndarray] = []  # of each bucket, what the copy was
        for bucket in buckets:
            with host_buffer(bucket.weights) as buffer:
                self._copied.append(np.empty_like(buffer))
        arrays = [(copied.size, copied.dtype) for copied in self._copied]
        self._board = Board(self._make_window, self._group.rank, self._group.size, arrays, self._locking)

    def _make_window(self, num_bytes: int) -> Window:
        """Where all ranks share memory, that; else what the library has between nodes."""
        if self._group.num_nodes == 1:
            return SharedWindow(self._group.node_comm, num_bytes)
        self._attendant = Attendant(self._group.comm)
        return self._group.comm.window(num_bytes)

    def begin(self) -> None:
        """In the first step: put the weights that all ranks have on the board. All ranks."""
        if self._attendant:
            self._attendant.start()
        if self._has_begun:
            return
        self._has_begun = True
        for number, bucket in enumerate(self._buckets):
            with host_buffer(bucket.weights) as buffer:
                self._copied[number][...] = buffer
                self._board.fill(number, buffer)
        self._group.comm.idle_barrier()

    def after_step(self, buckets: Sequence[Bucket]) -> None:
        """Add the change, and copy anew."""
        with self._group.traffic.timed():
            self._staleness.add(self._board.window.count_update() - self._version)
            for number, bucket in enumerate(buckets):
                change = self._copied[number]
                with host_buffer(bucket.weights) as buffer:
                    np.subtract(buffer, change, out=change)
                self._board.add(number, change)
            self._copy()

    def _copy(self) -> None:
        """The shared weights as they are now."""
        self._version = self._board.window.num_updates
        for number, bucket in enumerate(self._buckets):
            with host_buffer(bucket.weights) as buffer:
                self._board.read(number, buffer)
                self._copied[number][...] = buffer

    def _settle(self) -> None:
        """Every rank has the shared weights, with all updates in them. All ranks."""
        if self._has_begun:
            self._group.comm.idle_barrier()
            self._copy()
            self._group.comm.idle_barrier()  # before anybody goes on
        if self._attendant:
            self._attendant.stop()  # until the next step

    @contextmanager
    def consensus(self, buckets: Sequence[Bucket]) -> Iterator[None]:
        """The shared weights, which ranks keep."""
        self._settle()
        yield

    def common(self, buckets: Sequence[Bucket]) -> Sequence[slice]:
        """What a rank has copied is its own."""
        return [slice(0, 0)] * len(buckets)

    def metrics(self) -> dict[str, float]:
        """Nothing."""
        return {}

    def state(self) -> dict[str, np.ndarray]:
        """Nothing: the copy of every rank now is what is shared. All ranks, when they meet."""
        self._settle()
        return {}

    def report(self) -> dict[str, Any]:
        """Of each update, how many other updates had begun since its rank copied the weights."""
        counts = self._group.comm.gather_objects(self._staleness.counts)
        return {"staleness": {"unit": "updates", **histogram(counts)}}


class HogwildGradients(OwnGradients):
    """Implements `GradientSync`: gradients stay with their rank."""

    def __init__(self, group: Group, weights: HogwildWeights, locking: str) -> None:
        locks = {"none": "no locks", "shard": "a lock for each part"}[locking]
        super().__init__(group, f"hogwild ({locks})")
        self._weights = weights

    def finish(self, notes: np.ndarray) -> None:
        """The first time all ranks begin."""
        self._weights.begin()
        super().finish(notes)
