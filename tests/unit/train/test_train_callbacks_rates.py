"""Means and rates over the newest steps, against a naive count."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpctrain.train.callbacks import formatting, rates
from hpctrain.train.callbacks.callback import StepRecord

times = st.sampled_from([0.0, 1e-4, 0.02, 0.5, 3.0, 10.0])
records = st.builds(
    StepRecord,
    step=st.integers(1, 1000),
    epoch=st.just(0),
    loss=st.floats(0.0, 1e3),
    accuracy=st.floats(0.0, 1.0),
    learning_rate=st.just(0.1),
    samples=st.integers(1, 100),
    seconds=st.fixed_dictionaries({"compute": times, "communication": times}),
)


@given(st.lists(records, min_size=1, max_size=30), st.integers(1, 5), st.floats(0.0, 20.0))
def test_window_holds_the_newest_steps(steps: list[StepRecord], least: int, seconds: float) -> None:
    window = rates.Window(least, seconds)
    for record in steps:
        window.add(record)
    assert window.newest == steps[-least:]
    kept = steps[len(steps) - window.tally.steps :]
    assert len(kept) >= min(least, len(steps))
    assert window.tally.samples == sum(record.samples for record in kept)
    durations = [sum(record.seconds.values()) for record in kept]
    assert window.tally.seconds == pytest.approx(sum(durations))
    assert len(kept) == len(steps) or sum(durations) >= seconds - 1e-9  # nothing of the last seconds was dropped
    assert len(kept) <= least or sum(durations[1:]) < seconds + 1e-9  # and nothing older was kept


@given(st.lists(records, min_size=1, max_size=20))
def test_means_against_numpy(steps: list[StepRecord]) -> None:
    samples = np.array([record.samples for record in steps])
    loss = np.average([record.loss for record in steps], weights=samples)
    assert rates.mean_loss(steps) == pytest.approx(loss)
    accuracy = np.average([record.accuracy for record in steps if record.accuracy is not None], weights=samples)
    assert rates.mean_accuracy(steps) == pytest.approx(accuracy)
    parts = ["compute", "communication"]
    seconds = np.array([[record.seconds[part] for part in parts] for record in steps])
    tally = rates.Tally()
    for record in steps:
        tally.add(record)
    assert tally.mean_seconds() == pytest.approx(dict(zip(parts, seconds.mean(axis=0), strict=True)))
    if seconds.sum() > 0:
        assert tally.samples_per_second() == pytest.approx(samples.sum() / seconds.sum())
        assert tally.share("communication") == pytest.approx(seconds[:, 1].sum() / seconds.sum())
    else:
        assert tally.samples_per_second() == tally.share("communication") == 0.0


def test_steps_without_a_finite_loss_do_not_count() -> None:
    bad, good = (StepRecord(1, 0, loss, None, 0.1, 4, {"compute": 1.0}) for loss in (math.inf, 2.0))
    assert rates.mean_loss([bad, good, bad]) == 2.0
    assert math.isnan(rates.mean_loss([bad]))
    assert rates.mean_accuracy([bad, good]) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 ms"),
        (0.0121, "12.1 ms"),
        (0.34, "340 ms"),
        (4.24, "4.2 s"),
        (99.96, "1 min 40 s"),
        (3599.9, "1 h 00 min"),
        (7380, "2 h 03 min"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert formatting.duration(seconds) == text


def test_other_numbers() -> None:
    assert [formatting.loss(x) for x in (0.0, 0.0812, 3.1e-7, 12345.0, math.nan, math.inf)] == [
        "0.0000", "0.0812", "3.10e-07", "1.23e+04", "nan", "inf",
    ]  # fmt: skip
    assert [formatting.rate(x) for x in (0.0, 3.44, 1934.4)] == ["0.0", "3.4", "1,934"]
    assert [formatting.size(x) for x in (12, 1200, 412e6, 3.14e9)] == ["12 bytes", "1.2 kB", "412 MB", "3.14 GB"]
    assert [formatting.percent(0.1234), formatting.percent(0.9739, 1)] == ["12%", "97.4%"]
    assert [formatting.count(n, "rank") for n in (0, 1, 1438)] == ["0 ranks", "1 rank", "1,438 ranks"]
