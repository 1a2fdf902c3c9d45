"""Moments merge: any partition gives what one process gives, to 1e-12, far from zero too."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpctrain.data.partition import by_hash, by_random, by_range
from hpctrain.data.statistics import Moments, merge_all
from hpctrain.data.transform import per


def exact(values: np.ndarray) -> tuple[float, float]:
    """Mean and sum of squared deviations in rational arithmetic."""
    numbers = [Fraction(float(value)) for value in values]
    mean = sum(numbers) / len(numbers)
    return float(mean), float(sum((number - mean) ** 2 for number in numbers))


def cut(samples: np.ndarray, how: str, ranks: int) -> list[Moments]:
    rows = {
        "range": lambda rank: by_range(len(samples), ranks, rank),
        "random": lambda rank: by_random(len(samples), ranks, rank, 3),
        "hash": lambda rank: by_hash(len(samples), ranks, rank, 3),
    }[how]
    return [Moments.of(samples[rows(rank)]) for rank in range(ranks)]


@pytest.mark.parametrize("how", ["range", "random", "hash"])
@pytest.mark.parametrize("ranks", [1, 2, 3, 7, 64, 1500])
@pytest.mark.parametrize(("mean", "deviation"), [(0, 1), (1e8, 1), (-1e8, 1e-3), (1e-9, 1e-12), (5, 1e6)])
def test_any_partition_gives_the_exact_moments(how: str, ranks: int, mean: float, deviation: float) -> None:
    samples = np.random.default_rng(0).normal(mean, deviation, (1001, 2))
    merged = merge_all(cut(samples, how, ranks), (2,))
    assert merged.count.tolist() == [1001, 1001]
    for column in range(2):
        exact_mean, exact_m2 = exact(samples[:, column])
        np.testing.assert_allclose(merged.mean[column], exact_mean, rtol=1e-12)
        np.testing.assert_allclose(merged.m2[column], exact_m2, rtol=1e-12)
        np.testing.assert_allclose(merged.deviation[column], np.sqrt(exact_m2 / 1001), rtol=1e-12)
    single = Moments.of(samples)
    np.testing.assert_allclose(merged.deviation, single.deviation, rtol=1e-12)


def test_sorted_data_with_parts_of_very_different_means() -> None:
    samples = np.sort(np.random.default_rng(1).normal(1e8, 1, (5000, 1)), axis=0)
    merged = merge_all(cut(samples, "range", 8), (1,))
    np.testing.assert_allclose(merged.m2[0], exact(samples[:, 0])[1], rtol=1e-12)


@given(st.lists(st.lists(st.floats(-1e6, 1e6), max_size=8), max_size=8))
def test_merging_in_any_order_and_with_empty_parts(parts: list[list[float]]) -> None:
    values = np.array([value for part in parts for value in part])
    moments = [Moments.of(np.array(part, dtype=float).reshape(-1, 1)) for part in parts]
    for order in (moments, moments[::-1]):
        merged = merge_all(order, (1,))
        assert merged.count[0] == len(values)
        if len(values):
            scale = max(np.abs(values).max(), 1e-300)
            np.testing.assert_allclose(merged.mean[0], exact(values)[0], atol=1e-12 * scale, rtol=1e-12)
            np.testing.assert_allclose(merged.m2[0], exact(values)[1], atol=1e-12 * scale**2, rtol=1e-11)


def test_missing_and_infinite_values_are_not_counted() -> None:
    samples = np.array([[1.0, np.nan, 5], [3.0, np.nan, np.inf], [np.nan, np.nan, 7]])
    moments = Moments.of(samples)
    assert moments.count.tolist() == [2, 0, 2]
    assert moments.mean.tolist() == [2, 0, 6]
    assert moments.m2.tolist() == [2, 0, 2]
    imputed = np.where(np.isfinite(samples), samples, moments.mean)
    np.testing.assert_allclose(moments.counting(3).deviation[[0, 2]], imputed.std(axis=0)[[0, 2]], rtol=1e-15)


def test_the_deviation_of_a_constant_is_one() -> None:
    samples = np.full((1000, 3), [0.1, 0.0, 1e8 / 3])
    assert merge_all(cut(samples, "range", 7), (3,)).deviation.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("shape", "axes", "result"),
    [
        ((6,), (0,), (6,)),
        ((4, 5), (0, 1), (1, 5)),
        ((3, 4, 5), (0, 2, 3), (3, 1, 1)),
        ((2, 3, 4, 5), (0, 2, 3, 4), (2, 1, 1, 1)),
    ],
)
def test_pooling_per_feature(shape: tuple[int, ...], axes: tuple[int, ...], result: tuple[int, ...]) -> None:
    samples = np.random.default_rng(2).normal(1e6, 2, (50, *shape))
    pooled = per(Moments.of(samples), "feature")
    assert pooled.mean.shape == result
    np.testing.assert_allclose(pooled.mean.ravel(), samples.mean(axis=axes).ravel(), rtol=1e-12)
    np.testing.assert_allclose(pooled.deviation.ravel(), samples.std(axis=axes).ravel(), rtol=1e-12)


def test_small_integers_and_no_samples() -> None:
    moments = Moments.of(np.array([[0, 255], [255, 255]], dtype=np.uint8))
    assert moments.mean.tolist() == [127.5, 255]
    empty = Moments.of(np.empty((0, 2)))
    assert empty.count.tolist() == [0, 0]
    assert empty.merge(moments).m2.tolist() == moments.m2.tolist()
