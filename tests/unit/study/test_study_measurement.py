"""Measurements that cannot be are refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from synthetic import case, measured

from hpctrain.errors import DataError
from hpctrain.study.strategy import Strategy

RUN = measured(case(Strategy("all_reduce"), 3), np.random.default_rng(0), samples=4)


def test_a_transfer_is_what_the_rank_saw_that_waited_least() -> None:
    run = replace(
        RUN,
        communication=np.full((4, 3), 0.2),
        waiting=np.array([[0.0, 0.3, 0.1], [0.1, 0.4, 0.5], [0.1, 0.1, 0.2], [0.0, 0.0, 9.0]]),
    )
    assert run.transfer_seconds == pytest.approx(0.25)
    assert run.transfer_error == pytest.approx(1.2533 * np.std([0.2, 0.3, 0.3, 0.2]) / 2 / 0.25)
    assert run.seconds == np.median(run.step_seconds)


def test_samples_are_drawn_again_whole() -> None:
    again = RUN.resampled(np.random.default_rng(1))
    for row in range(4):
        source = int(np.flatnonzero(RUN.step_seconds == again.step_seconds[row])[0])
        assert (again.compute[row] == RUN.compute[source]).all()
        assert (again.communication[row] == RUN.communication[source]).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"compute": np.ones((4, 2))}, r"compute is \(4, 2\), and must be \(samples, ranks\) = \(4, 3\)"),
        ({"waiting": np.full((4, 3), -1.0)}, "waiting has seconds that are negative"),
        ({"data": np.full((4, 3), np.nan)}, "data has seconds that are negative or no numbers"),
        ({"step_seconds": np.zeros(4)}, "all_reduce, 3 ranks on 3 nodes, 32 samples a rank: every step"),
    ],
)
def test_what_cannot_be_is_refused(change: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(DataError, match=message):
        replace(RUN, **change)
