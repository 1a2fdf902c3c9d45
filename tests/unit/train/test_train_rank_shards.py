"""What ranks kept for themselves comes back from a checkpoint, or a person is told that it does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hpctrain.checkpoint.store import read, write
from hpctrain.collectives.group import Group
from hpctrain.comm.solo import Solo
from hpctrain.job.load import load_parallel
from hpctrain.nn.linear import Linear
from hpctrain.nn.sequential import Sequential
from hpctrain.optim.adam import Adam
from hpctrain.parallel.distribution import Distribution
from hpctrain.parallel.plan import Plan
from hpctrain.train.nn_engine import NnEngine
from hpctrain.train.rank_shards import load_rank_shard, rank_shards


def make(strategy: str) -> tuple[Distribution, NnEngine]:
    """One rank, and a layer of 6 weights."""
    model = Sequential([Linear(np, 2, 2, dtype="float64")])
    optimizer = Adam(model.named_parameters(), lr=0.1)
    plan = Plan.build(Group(Solo()), model, optimizer, load_parallel({"strategy": strategy}))
    distribution = Distribution(plan, model, optimizer, read_gradients=False, clip_norm=0.0, tell=pytest.fail)
    return distribution, NnEngine(model, optimizer, np, loss="mse")


def stepped(strategy: str) -> tuple[Distribution, NnEngine]:
    """After a step."""
    distribution, engine = make(strategy)
    engine.model.backward(engine.model.forward(np.ones((1, 2))))
    engine.step(0.1)
    return distribution, engine


@pytest.mark.parametrize("strategy", ["local_sgd", "parameter_server"])
def test_nothing_is_said_of_what_is_loaded(strategy: str, tmp_path: Path) -> None:
    distribution, engine = stepped(strategy)
    own = rank_shards(distribution.plan.group.comm, distribution, engine)
    with distribution.whole():
        path = write(tmp_path, 1, {**engine.shards(), **own}, {})
    distribution, engine = make(strategy)
    assert load_rank_shard(read(path).shards, 0, distribution, engine) == ()


def test_state_of_servers_by_rank_is_told_of() -> None:
    """As it once was, of two servers: rank 0 tells of what any of them kept."""
    distribution, engine = make("parameter_server")
    kept = {"strategy/weight_sync/0.exp_avg": np.ones(6), "strategy/weight_sync/step": np.ones(1, np.int64)}
    (note,) = load_rank_shard({"rank-0000": {}, "rank-0001": kept}, 0, distribution, engine)
    assert "the optimizer begins anew" in note
