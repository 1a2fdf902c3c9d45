"""Exact evaluation: every test sample counts once, at any world size."""

from __future__ import annotations

from hpctrain.collectives.group import Group
from hpctrain.comm.operation import Op
from hpctrain.data.loader import Loader
from hpctrain.train.engine import Engine, Sums


def evaluate(engine: Engine, group: Group, loader: Loader, batch_size: int) -> Sums:
    """Sums over the whole data set of `loader`, the same on every rank. All ranks of the group."""
    mine = sum((engine.evaluate(batch) for batch in loader.evaluation(batch_size)), Sums())
    return Sums.of(group.all_reduce(mine.array(), Op.SUM))
