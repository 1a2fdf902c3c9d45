"""What a step and a byte cost between two ranks, by where they are; and from it, what an algorithm should take.

The model of `collectives/cost.py` for messages. Beyond it:
- Through shared memory (`node_shared`): one step for each doubling of the ranks, and all their bytes pass through the
  node's memory.
- On several nodes messages cost what they cost between nodes, and `hierarchical` costs the way through shared memory
  and the cheapest exchange of a slice between nodes.
- The library's own is taken to be as good as the cheapest of the algorithms here that use messages alone.
It is good for ratios: how a measured time changes with the number of ranks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hpctrain.collectives.cost import Path, predict
from hpctrain.collectives.partners import steps_to_reach
from hpctrain.collectives.tuning.shape import Shape

BY_MESSAGES = ("naive", "ring", "recursive_doubling", "rabenseifner", "tree", "swing")


@dataclass(frozen=True)
class Link:
    """alpha: seconds a step. beta: seconds a byte."""

    alpha: float
    beta: float


@dataclass(frozen=True)
class Links:
    """Each link level that was measured.

    Attributes:
        messages: inside a node, by messages.
        shared: inside a node, through shared memory.
        between: between nodes.
    """

    messages: Link | None = None
    shared: Link | None = None
    between: Link | None = None


def shared_path(num_ranks: int, num_bytes: float) -> Path:
    """An all-reduce through the memory of one node."""
    return Path(steps_to_reach(num_ranks), num_ranks * num_bytes)


def expected_seconds(name: str, shape: Shape, num_bytes: float, links: Links) -> float | None:
    """What the all-reduce `name` should take; None where its link was not measured."""
    ranks = shape.ranks_per_node
    link = links.messages if shape.num_nodes == 1 else links.between
    if name in BY_MESSAGES or name == "native":
        names = BY_MESSAGES if name == "native" else (name,)
        return None if link is None else _cheapest(names, shape.num_nodes * ranks, num_bytes, link)
    if links.shared is None:
        return None
    inside = shared_path(ranks, num_bytes).seconds(links.shared.alpha, links.shared.beta)
    if shape.num_nodes == 1:
        return inside
    return None if link is None else inside + _cheapest(BY_MESSAGES, shape.num_nodes, num_bytes / ranks, link)


def _cheapest(names: Sequence[str], size: int, num_bytes: float, link: Link) -> float:
    return min(predict(name, size, num_bytes, link.alpha, link.beta) for name in names)
