"""What each rank alone keeps of a run, on its way into a checkpoint and back.

rank-0002.safetensors   strategy/...          errors that compression made, outer momentum, ...
                        model/... optimizer/...  where ranks have weights of their own
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hpctrain.comm.communicator import Communicator
from hpctrain.errors import CheckpointError
from hpctrain.parallel.distribution import Distribution
from hpctrain.train.engine import Arrays, Engine

_PARTS = ("model", "optimizer")


def rank_shards(comm: Communicator, distribution: Distribution, engine: Engine) -> dict[str, Arrays]:
    """By shard name, on rank 0: what each rank keeps, be it nothing; no shards where none keeps anything. All ranks."""
    mine = {f"strategy/{name}": array for name, array in distribution.own_state().items()}
    if distribution.plan.weight_sync.has_replicas:
        mine |= {f"{part}/{name}": array for part, arrays in engine.shards().items() for name, array in arrays.items()}
    ordered = {name: np.array(mine[name], order="C") for name in sorted(mine)}  # a copy: weights change meanwhile
    described = comm.gather_objects([(name, array.dtype.str, array.shape) for name, array in ordered.items()])
    if comm.rank:
        for array in ordered.values():
            comm.send(array.reshape(-1).view(np.uint8), 0)
        return {}
    found = {0: ordered}
    for rank, descriptions in enumerate(described[1:], start=1):
        found[rank] = {name: np.empty(shape, dtype) for name, dtype, shape in descriptions}
        for array in found[rank].values():
            comm.recv(array.reshape(-1).view(np.uint8), rank)
    return {_name(rank): arrays for rank, arrays in found.items()} if any(found.values()) else {}


def load_rank_shard(
    shards: Mapping[str, Arrays], rank: int, distribution: Distribution, engine: Engine
) -> tuple[str, ...]:
    """Have this rank go on from its own shard, where there is one; returns notes, the same on every rank. All ranks.

    Raises CheckpointError where it does not fit.
    """
    mine = shards.get(_name(rank))
    if mine is None:
        if any(name.startswith("rank-") for name in shards):
            raise CheckpointError(f"the checkpoint holds what other ranks keep, and nothing of rank {rank}")
        return ()
    parts: dict[str, dict[str, np.ndarray]] = {"strategy": {}, **{part: {} for part in _PARTS}}
    for name, array in mine.items():
        part, _, rest = name.partition("/")
        parts[part][rest] = array
    if distribution.plan.weight_sync.has_replicas:
        engine.load({part: parts[part] for part in _PARTS})
    distribution.load_own_state(parts["strategy"])
    return _note_what_is_left(shards, distribution)


def _note_what_is_left(shards: Mapping[str, Arrays], distribution: Distribution) -> tuple[str, ...]:
    """Parameter servers once kept the state of their optimizers by rank, and now as one with the model."""
    kept = any(name.startswith("strategy/weight_sync/") for shard in shards.values() for name in shard)
    if not kept or distribution.plan.weight_sync.state():
        return ()
    return (
        "the checkpoint is of an older version, which kept the state of the optimizer by rank: weights go on as they "
        "were, and the optimizer begins anew",
    )


def _name(rank: int) -> str:
    return f"rank-{rank:04d}"
