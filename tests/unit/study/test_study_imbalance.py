"""The largest of many draws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpctrain.study.imbalance import Spread


def spread_of(times: np.ndarray) -> Spread:
    return Spread.of([(times, 1)])


def test_an_exponential_tail_grows_by_harmonic_numbers() -> None:
    """The largest of p exponential times is H_p times their mean."""
    spread = spread_of(np.random.default_rng(1).exponential(1.0, (50000, 1)))
    for size in (1, 10, 1000, 65536):
        harmonic = (1 / np.arange(1, size + 1)).sum()
        assert spread.expected_largest(size) == pytest.approx(harmonic, rel=0.06)


@pytest.mark.parametrize("size", [2, 4, 8, 16])
def test_in_small_worlds_it_is_what_drawing_shows(size: int) -> None:
    draw = np.random.default_rng(2)
    times = draw.gamma(100, 0.01, (400, 1))
    shown = draw.choice(times.ravel(), (20000, size)).max(axis=1).mean() / times.mean()
    assert spread_of(times).expected_largest(size) - 1 == pytest.approx(shown - 1, rel=0.1)


def test_for_normal_times_it_is_too_long_by_a_third_of_the_excess_at_most() -> None:
    spread = spread_of(np.random.default_rng(3).normal(1.0, 0.03, (2000, 1)))
    true = 4.3 * 0.03  # the expected largest of 65,536 normal numbers is 4.3 deviations from the mean
    assert true < spread.expected_largest(65536) - 1 < 1.4 * true


@given(st.lists(st.floats(0.1, 10.0), min_size=1, max_size=30), st.integers(1, 10**5), st.integers(1, 100))
def test_more_ranks_never_wait_less_and_more_steps_never_more(times: list[float], size: int, steps: int) -> None:
    spread = spread_of(np.array(times)[:, None])
    here = spread.expected_largest(size)
    assert here >= 1
    assert spread.expected_largest(2 * size) >= here * (1 - 1e-9)
    assert spread.expected_largest(size, steps) <= here * (1 + 1e-9)


def test_ranks_that_are_all_alike_do_not_wait() -> None:
    assert spread_of(np.full((5, 4), 0.3)).expected_largest(65536) == pytest.approx(1.0)


def test_runs_of_different_length_are_compared_by_shares() -> None:
    spread = Spread.of([(np.array([[1.0, 3.0]]), 1), (np.array([[10.0, 30.0], [20.0, 20.0]]), 1)])
    assert spread.lasting.tolist() == [0.5, 1.5, 0.75, 1.25, 0.75, 1.25]
    assert spread.passing == pytest.approx([1, 1, 10 / 15, 30 / 25, 20 / 15, 20 / 25])


def test_what_lasts_is_waited_for_however_seldom_and_what_passes_is_not() -> None:
    draw = np.random.default_rng(4)
    slow_host, noise = np.tile([1.0, 1.0, 1.0, 1.3], (200, 1)), draw.gamma(100, 0.01, (200, 4))
    lasting, passing = spread_of(slow_host), spread_of(noise)
    assert lasting.expected_largest(64, 100) == pytest.approx(lasting.expected_largest(64))
    assert passing.expected_largest(64, 100) - 1 < 0.2 * (passing.expected_largest(64) - 1)


def test_means_of_several_steps_tell_the_spread_of_one() -> None:
    steps = np.random.default_rng(5).gamma(100, 0.01, (10000, 4))
    means = steps.reshape(-1, 10, 4).mean(axis=1)
    single, of_means = Spread.of([(steps, 1)]), Spread.of([(means, 10)])
    assert of_means.expected_largest(8) - 1 == pytest.approx(single.expected_largest(8) - 1, rel=0.1)
