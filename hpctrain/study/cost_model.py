"""How long a training step takes, put together from what computing, links and differences between ranks cost.

    slowest  =  (step + sample b + neighbour b m) c  x  E[the largest share among the ranks that are waited for]
    transfer =  sum over link levels of alpha steps + beta bytes
    step     =  slowest + data b + other + transfer - min(transfer, hidden share x slowest)

for b samples a rank, m other ranks that compute on the same machine, and c ranks that share a core. Where no rank
waits for another, a step takes as long as the slower of two: a rank by itself, and what serves all of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from hpctrain.collectives.tuning.links import Link
from hpctrain.errors import SettingsError
from hpctrain.study.imbalance import Spread
from hpctrain.study.measurement import Case
from hpctrain.study.strategy import Strategy
from hpctrain.study.traffic import LINK_COLUMNS, Placement

ALPHAS = tuple(column for column, name in enumerate(LINK_COLUMNS) if name.endswith("alpha"))
BETWEEN = tuple(LINK_COLUMNS.index(name) for name in ("between.alpha", "between.beta", "queued.beta"))


@dataclass(frozen=True)
class StepTime:
    """Where the seconds of a step go.

    Attributes:
        compute: of a mean rank.
        waiting: for the slowest rank.
        communication: that is not hidden behind computing.
        data: making batches ready.
        other: what was measured beside these.
    """

    compute: float
    waiting: float
    communication: float
    data: float
    other: float

    @property
    def seconds(self) -> float:
        """All of them."""
        return self.compute + self.waiting + self.communication + self.data + self.other


@dataclass(frozen=True)
class CostModel:
    """What a job costs on a machine.

    Attributes:
        step_seconds, sample_seconds: computing of one rank, in each step and for each sample.
        neighbour_seconds: for each sample and each other rank on the machine: they share memory and caches.
        data_seconds: for each sample.
        other_seconds: in each step.
        link_seconds: by `LINK_COLUMNS`, float64; NaN for what was not measured.
        hidden_share: of computing, during which bytes can travel, for strategies that overlap the two.
        spread: how computing times differ.
    """

    step_seconds: float
    sample_seconds: float
    neighbour_seconds: float
    data_seconds: float
    other_seconds: float
    link_seconds: np.ndarray
    hidden_share: float
    spread: Spread

    def compute_seconds(self, case: Case) -> float:
        """Of a mean rank."""
        batch, place = case.batch_per_rank, case.placement
        of_sample = self.sample_seconds + self.neighbour_seconds * place.neighbours
        return (self.step_seconds + batch * of_sample) * place.ranks_per_core

    def slowest_seconds(self, case: Case) -> float:
        """Computing of the slowest rank that is waited for."""
        ranks = case.strategy.ranks_waited_for(case.placement.world_size)
        return self.compute_seconds(case) * self.spread.expected_largest(ranks, case.strategy.steps_between_waits)

    def transfer_seconds(self, row: np.ndarray) -> float:
        """Of traffic, as its `row`.

        Raises SettingsError where it takes a link that was not measured.
        """
        unknown = np.isnan(self.link_seconds) & (row > 0)
        if unknown.any():
            names = ", ".join(name for name, missing in zip(LINK_COLUMNS, unknown, strict=True) if missing)
            raise SettingsError(
                f"nothing was measured that tells {names}: measure runs that use that link, or, between nodes, name "
                "one (hpctrain/study/links.py)"
            )
        return float(row[row > 0] @ self.link_seconds[row > 0])

    def step(self, case: Case) -> StepTime:
        """The time of a step. Raises SettingsError where the case takes a link that was not measured."""
        compute, slowest = self.compute_seconds(case), self.slowest_seconds(case)
        transfer = self.transfer_seconds(served_row(case.strategy, case.placement, case.model_bytes))
        if case.strategy.is_free:
            own = self.transfer_seconds(own_row(case.strategy, case.placement, case.model_bytes))
            exposed = max(own, transfer - slowest)
        else:
            exposed = max(0.0, transfer - self.hidden_share * slowest) if case.strategy.overlaps else transfer
        data = self.data_seconds * case.batch_per_rank
        return StepTime(compute, slowest - compute, exposed, data, self.other_seconds)

    def on_link(self, link: Link) -> CostModel:
        """With another link between nodes, whose port the ranks of a node share fairly."""
        seconds = self.link_seconds.copy()
        seconds[list(BETWEEN)] = link.alpha, link.beta, link.beta
        return replace(self, link_seconds=seconds)


@lru_cache(maxsize=4096)
def served_row(strategy: Strategy, placement: Placement, model_bytes: float) -> np.ndarray:
    """`Strategy.traffic` as a row; not to be written into."""
    return strategy.traffic(placement, model_bytes).row()


@lru_cache(maxsize=4096)
def own_row(strategy: Strategy, placement: Placement, model_bytes: float) -> np.ndarray:
    """`Strategy.own_traffic` as a row; not to be written into."""
    return strategy.own_traffic(placement, model_bytes).row()
