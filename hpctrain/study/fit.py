"""From measurements on few ranks to a cost model, and how far it can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hpctrain.errors import DataError, SettingsError
from hpctrain.study.cost_model import ALPHAS, BETWEEN, CostModel, own_row, served_row
from hpctrain.study.grade import Compared, Grade
from hpctrain.study.imbalance import Spread
from hpctrain.study.least_squares import nonnegative
from hpctrain.study.measurement import Measurement
from hpctrain.study.traffic import LINK_COLUMNS

NUM_REPLICATES = 100
_HIDDEN_SHARES = np.linspace(0.0, 1.0, 21)
_PULL = 10.0  # times the relative error of measured transfers: how bad it is to put all of them down to steps
_LEAST_PULL, _MOST_PULL = 0.02, 0.4
_LEAST_WEIGHED = 0.05  # a transfer's error counts relative to itself, but to this share of the step where it is shorter


@dataclass(frozen=True)
class Fit:
    """A cost model.

    Attributes:
        model: of all measurements.
        replicates: the same from samples that were drawn again (bootstrap): how they differ is how sure the model is.
        left_out: every measurement beside what a model says that was fitted without it, where there can be one.
        notes: what had to be assumed, in sentences.
    """

    model: CostModel
    replicates: tuple[CostModel, ...]
    left_out: Grade
    notes: tuple[str, ...]


def fit(measurements: Sequence[Measurement], num_replicates: int = NUM_REPLICATES, seed: int = 0) -> Fit:
    """Fit all. `seed` is that of what is drawn again; the same measurements give the same fit.

    Raises DataError without measurements.
    """
    if not measurements:
        raise DataError("no measurement to fit: measure one rank, and two world sizes more")
    draw = np.random.default_rng(seed)
    replicates = tuple(fit_model([run.resampled(draw) for run in measurements]) for _ in range(num_replicates))
    return Fit(fit_model(measurements), replicates, leave_one_out(measurements), tuple(_notes(measurements)))


def leave_one_out(measurements: Sequence[Measurement]) -> Grade:
    """Each measurement as predicted by the others; those are not in it that the others cannot tell."""
    rows = []
    for index, run in enumerate(measurements):
        others = [*measurements[:index], *measurements[index + 1 :]]
        if not others:
            continue
        try:
            predicted = fit_model(others).step(run.case).seconds
        except SettingsError:  # it alone shows a link
            continue
        rows.append(Compared(run.case, predicted, run.seconds))
    return Grade(tuple(rows))


def fit_model(measurements: Sequence[Measurement]) -> CostModel:
    """The cost model of these measurements, at least one."""
    spread = Spread.of((run.compute, run.steps_per_sample) for run in measurements)
    step, sample, neighbour = map(float, _fit_compute(measurements))
    data = float(np.median([run.data.mean() / run.case.batch_per_rank for run in measurements]))
    blank = CostModel(step, sample, neighbour, data, 0.0, np.zeros(len(LINK_COLUMNS)), 0.0, spread)
    overlapping = any(run.case.strategy.overlaps for run in measurements)
    models = [_with_links(blank, measurements, share) for share in (_HIDDEN_SHARES if overlapping else [0.0])]
    return min(models, key=lambda model: _error(model, measurements))


def _fit_compute(measurements: Sequence[Measurement]) -> np.ndarray:
    """Seconds a step, a sample, and a sample and neighbour. What the measurements cannot tell apart is 0."""
    batches = np.array([run.case.batch_per_rank for run in measurements], float)
    neighbours = np.array([run.case.placement.neighbours for run in measurements], float)
    turns = np.array([run.case.placement.ranks_per_core for run in measurements])
    rows = np.column_stack([turns, turns * batches, turns * batches * neighbours])
    told = [len(set(batches)) > 1, True, len(set(neighbours)) > 1]
    seconds = np.array([run.compute.mean() for run in measurements])
    return nonnegative(rows * told / seconds[:, None], np.ones(len(seconds)))


def _with_links(blank: CostModel, measurements: Sequence[Measurement], hidden_share: float) -> CostModel:
    """With the links that fit best if so much of computing hides transfers, and what is left over as `other`.

    Of runs in which no rank waits for another only the model tells which limits them, their own transfers or what all
    of them ask for. So it is fitted again until it says the same as before.
    """
    model, limited = replace(blank, hidden_share=hidden_share), [False] * len(measurements)
    for _ in measurements:
        model = replace(model, link_seconds=_fit_links(model, measurements, limited))
        before, limited = limited, [run.case.strategy.is_free and _is_limited(model, run) for run in measurements]
        if limited == before:
            break
    known = _known(model)
    left_over = [run.seconds - known.step(run.case).seconds for run in measurements]
    return replace(model, other_seconds=max(0.0, float(np.median(left_over))))


def _fit_links(model: CostModel, measurements: Sequence[Measurement], limited: Sequence[bool]) -> np.ndarray:
    """Seconds by `LINK_COLUMNS`; of the links in `model` nothing is used."""
    rows, targets, weights = [], [], []
    for run, is_limited in zip(measurements, limited, strict=True):
        case, transfer = run.case, run.transfer_seconds
        if case.strategy.overlaps and transfer < _LEAST_WEIGHED * run.seconds:
            continue  # all is hidden, and nobody can see how long it took
        hidden = is_limited + model.hidden_share * case.strategy.overlaps
        row_of = own_row if case.strategy.is_free and not is_limited else served_row
        rows.append(row_of(case.strategy, case.placement, case.model_bytes))
        targets.append(transfer + hidden * model.slowest_seconds(case))
        weights.append(1 / max(targets[-1], _LEAST_WEIGHED * run.seconds))
    seconds = np.full(len(model.link_seconds), np.nan)
    if not rows:
        return seconds
    table, weight = np.array(rows), np.array(weights)
    told = table.sum(axis=0) > 0
    noise = float(np.median([run.transfer_error for run in measurements]))
    weighted = np.vstack([table * weight[:, None], _bytes_first(table * weight[:, None], noise)])[:, told]
    seconds[told] = nonnegative(weighted, np.append(np.array(targets) * weight, np.zeros(len(ALPHAS))))
    _, beta, queued = BETWEEN
    if not told[queued]:
        seconds[queued] = seconds[beta]
    return seconds


def _bytes_first(weighted: np.ndarray, noise: float) -> np.ndarray:
    """A row more for each alpha, which pulls it to 0: where runs cannot tell steps from bytes, bytes take the time.

    The steps of a ring grow with the ranks and its bytes hardly do, so an error of alpha is an error many times as
    large in a larger world. The less sure the times are, the stronger is the pull.
    """
    pull = min(max(_PULL * noise, _LEAST_PULL), _MOST_PULL)
    rows = np.zeros((len(ALPHAS), weighted.shape[1]))
    rows[range(len(ALPHAS)), ALPHAS] = pull * np.sqrt((weighted[:, ALPHAS] ** 2).sum(axis=0))
    return rows


def _is_limited(model: CostModel, run: Measurement) -> bool:
    """Whether what all ranks ask for takes longer than one of them by itself."""
    case = run.case
    own, served = (
        _known(model).transfer_seconds(row_of(case.strategy, case.placement, case.model_bytes))
        for row_of in (own_row, served_row)
    )
    return served > own + model.slowest_seconds(case)


def _known(model: CostModel) -> CostModel:
    """With links that take no time where nothing is known of them."""
    return replace(model, link_seconds=np.where(np.isnan(model.link_seconds), 0.0, model.link_seconds))


def _error(model: CostModel, measurements: Sequence[Measurement]) -> float:
    known = _known(model)
    return sum((known.step(run.case).seconds / run.seconds - 1) ** 2 for run in measurements)


def _notes(measurements: Sequence[Measurement]) -> list[str]:
    notes = []
    if len({run.case.batch_per_rank for run in measurements}) < 2:
        notes.append(
            "All runs had the same samples a rank: computing is taken to be proportional to them. Measure a second "
            "batch size before you trust strong scaling."
        )
    if all(run.case.placement.num_nodes == 1 for run in measurements):
        notes.append("No run had several nodes: the link between them has to be named.")
    elif all(run.case.placement.local_size == 1 for run in measurements):
        notes.append("All runs had one rank a node: with more, they are taken to share its port fairly.")
    if len({run.case.placement.world_size for run in measurements}) < 3:
        notes.append("Fewer than three world sizes were measured: seconds a step and a byte are hardly told apart.")
    return notes
