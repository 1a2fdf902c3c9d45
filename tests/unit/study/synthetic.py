"""Runs whose truth is known: a cost model, and noise around it."""

from __future__ import annotations

import numpy as np

from hpctrain.collectives.tuning.links import Link
from hpctrain.study.cost_model import CostModel, own_row, served_row
from hpctrain.study.imbalance import Spread
from hpctrain.study.measurement import Case, Measurement
from hpctrain.study.strategy import Strategy
from hpctrain.study.traffic import NODES_OF_THEIR_OWN, Machine, Placement

MODEL_BYTES = 40e6
TRUTH = CostModel(
    step_seconds=0.02,
    sample_seconds=0.004,
    neighbour_seconds=0.0006,
    data_seconds=0.00005,
    other_seconds=0.001,
    link_seconds=np.array([3e-6, 2e-10, 1e-6, 1e-10, 1e-3, 8.5e-9, 6e-9]),
    hidden_share=0.6,
    spread=Spread(np.ones(1), np.ones(1)),
)
"""A link of 1 Gbit/s between nodes."""


def case(
    strategy: Strategy,
    world_size: int,
    ranks_per_node: int = 1,
    batch: float = 32,
    model_bytes: float = MODEL_BYTES,
    machine: Machine = NODES_OF_THEIR_OWN,
) -> Case:
    return Case(strategy, Placement(world_size, ranks_per_node, machine), model_bytes, batch)


def measured(
    asked: Case, draw: np.random.Generator, noise: float = 0.03, samples: int = 20, truth: CostModel = TRUTH
) -> Measurement:
    """Ranks whose computing, and steps whose transfers, differ by so much; ranks wait for the slowest."""
    size = asked.placement.world_size
    compute = truth.compute_seconds(asked) * draw.gamma(1 / noise**2, noise**2, (samples, size))
    slowest = compute.max(axis=1, keepdims=True)
    served, own = (
        truth.transfer_seconds(row(asked.strategy, asked.placement, asked.model_bytes))
        * draw.gamma(1 / noise**2, noise**2, (samples, 1))
        for row in (served_row, own_row)
    )
    transfer = served
    if asked.strategy.is_free:
        slowest = compute[:, :1]  # that of any one rank
        transfer = np.maximum(own, served - slowest)
    elif asked.strategy.overlaps:
        transfer = np.maximum(0.0, served - truth.hidden_share * slowest)
    data = truth.data_seconds * asked.batch_per_rank
    return Measurement(
        asked,
        (slowest + transfer).ravel() + data + truth.other_seconds,
        compute,
        np.broadcast_to(transfer, compute.shape),
        np.zeros(compute.shape) if asked.strategy.is_free else slowest - compute,
        np.full(compute.shape, data),
    )


def a_study(
    strategy: Strategy, seed: int, truth: CostModel = TRUTH, machine: Machine = NODES_OF_THEIR_OWN
) -> list[Measurement]:
    """What somebody measures who has four nodes."""
    draw = np.random.default_rng(seed)
    return [
        measured(case(strategy, size, batch=batch, machine=machine), draw, truth=truth)
        for size in (1, 2, 3, 4)
        for batch in (16, 32)
    ]


def shaped(link: Link) -> CostModel:
    return TRUTH.on_link(link)
