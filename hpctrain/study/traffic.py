"""What a schedule puts on each link level of a machine, in closed form: what a cost model has to know of it.

Of each step the slowest level counts. Where a message crosses nodes that is `between`, and the messages inside nodes
are taken to be done by then. Ranks of one node that send at the same time share its port: the first one's bytes are
`between.bytes_carried`, those of the others `queued_bytes`, so how well a port is shared can be fitted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf

import numpy as np

from hpctrain.collectives.cost import Path
from hpctrain.errors import SettingsError
from hpctrain.study.schedules import Step


@dataclass(frozen=True)
class Machine:
    """What nodes are made of.

    Attributes:
        nodes: how many of them are one machine: more than one where nodes are containers or namespaces.
        cores: of that machine, in units of the threads that a rank computes with; enough for all by default.
    """

    nodes: int = 1
    cores: float = inf


NODES_OF_THEIR_OWN = Machine()


@dataclass(frozen=True)
class Placement:
    """`world_size` ranks, rank r on node r // ranks_per_node; in a world that is smaller, all on one node."""

    world_size: int
    ranks_per_node: int
    machine: Machine = NODES_OF_THEIR_OWN

    def __post_init__(self) -> None:
        if self.world_size < 1 or self.ranks_per_node < 1 or self.world_size % self.local_size:
            raise SettingsError(
                f"{self.world_size} ranks with {self.ranks_per_node} on each node: give a multiple of ranks per node, "
                "or fewer ranks than that"
            )

    @property
    def local_size(self) -> int:
        """Ranks on each node that has some."""
        return min(self.world_size, self.ranks_per_node)

    @property
    def num_nodes(self) -> int:
        """Nodes that have ranks."""
        return self.world_size // self.local_size

    @property
    def _ranks_together(self) -> int:
        """On one machine."""
        return min(self.world_size, self.local_size * self.machine.nodes)

    @property
    def ranks_per_core(self) -> float:
        """How many ranks take turns on a core, at least 1."""
        return max(1.0, self._ranks_together / self.machine.cores)

    @property
    def neighbours(self) -> float:
        """Other ranks that compute at the same time on the same machine."""
        return max(0.0, min(self._ranks_together, self.machine.cores) - 1)


@dataclass(frozen=True)
class Load:
    """Steps and bytes, one after another; both of a mean training step, so steps may be a fraction."""

    steps: float = 0.0
    num_bytes: float = 0.0

    @classmethod
    def of(cls, path: Path) -> Load:
        """What a closed form says."""
        return cls(path.steps, path.bytes_carried)

    def __add__(self, other: Load) -> Load:
        return Load(self.steps + other.steps, self.num_bytes + other.num_bytes)

    def __mul__(self, times: float) -> Load:
        return Load(self.steps * times, self.num_bytes * times)


@dataclass(frozen=True)
class Traffic:
    """What the slowest rank has to wait for on each link level, in one training step.

    Attributes:
        messages, shared, between: see `collectives/tuning/links.py`.
        queued_bytes: that wait for a node's port while other ranks of the node use it.
    """

    messages: Load = Load()
    shared: Load = Load()
    between: Load = Load()
    queued_bytes: float = 0.0

    def row(self) -> np.ndarray:
        """The numbers that `LINK_COLUMNS` names, float64: the time is their product with seconds for each."""
        loads = (self.messages, self.shared, self.between)
        return np.array([*(number for load in loads for number in (load.steps, load.num_bytes)), self.queued_bytes])

    def __add__(self, other: Traffic) -> Traffic:
        return Traffic(
            self.messages + other.messages,
            self.shared + other.shared,
            self.between + other.between,
            self.queued_bytes + other.queued_bytes,
        )

    def __mul__(self, times: float) -> Traffic:
        return Traffic(self.messages * times, self.shared * times, self.between * times, self.queued_bytes * times)


LINK_COLUMNS = (
    "messages.alpha",
    "messages.beta",
    "shared.alpha",
    "shared.beta",
    "between.alpha",
    "between.beta",
    "queued.beta",
)
"""Seconds a step and a byte on each level."""


def traffic_of(schedule: Iterable[Step], placement: Placement) -> Traffic:
    """The sum over steps."""
    return sum((_of_step(step, placement) * step.times for step in schedule), Traffic())


def _of_step(step: Step, placement: Placement) -> Traffic:
    from_node, to_node = step.sources // placement.local_size, step.dests // placement.local_size
    crosses = from_node != to_node
    if crosses.any():
        num_bytes = step.num_bytes[crosses]
        longest = float(num_bytes.max())
        busiest = max(_largest_sum(nodes[crosses], num_bytes) for nodes in (from_node, to_node))
        return Traffic(between=Load(1, longest), queued_bytes=busiest - longest)
    if (step.sources == step.dests).all():
        return Traffic(shared=Load(1, _largest_sum(from_node, step.num_bytes)))
    return Traffic(messages=Load(1, max(_largest_sum(ends, step.num_bytes) for ends in (step.sources, step.dests))))


def _largest_sum(places: np.ndarray, numbers: np.ndarray) -> float:
    return float(np.bincount(places, numbers).max(initial=0.0))
