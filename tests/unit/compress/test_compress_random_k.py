from __future__ import annotations

import numpy as np
import pytest
from compress_world import averages, decoded, gradients

from hpctrain.compress.random_k import RandomK


def test_places_are_keyed_by_seed_bucket_and_step() -> None:
    base = RandomK(0.1, 3, 4).places(1000, 5)
    assert base.size == np.unique(base).size == 100
    assert (np.diff(base) > 0).all()
    np.testing.assert_array_equal(base, RandomK(0.1, 3, 4).places(1000, 5))
    for seed, bucket, step in [(2, 4, 5), (3, 5, 5), (3, 4, 6)]:
        other = RandomK(0.1, seed, bucket).places(1000, step)
        assert np.intersect1d(base, other).size < 40  # 10 are expected


def test_every_place_has_its_turn() -> None:
    turns = np.zeros(100)
    for step in range(1000):
        turns[RandomK(0.1, 0, 0).places(100, step)] += 1
    assert abs(turns - 100).max() < 5 * np.sqrt(1000 * 0.1 * 0.9)


def test_the_mean_is_exact_at_this_steps_places_and_0_elsewhere() -> None:
    steps = [gradients(3, 50), np.zeros((3, 50), np.float32)]
    means, residuals, _ = averages(lambda: RandomK(0.2, 1, 2), steps)
    total = np.zeros(50, np.float32)
    for step, mean in enumerate(means[:, 0]):
        places = RandomK(0.2, 1, 2).places(50, step)
        assert set(np.flatnonzero(mean)) <= set(places)
        total[places] = steps[0].mean(axis=0)[places]
    np.testing.assert_allclose(means[:, 0].sum(axis=0), total, atol=1e-6)
    assert ((residuals == 0).all(axis=0) == (total != 0)).all()


def test_a_payload_says_its_step() -> None:
    sender, receiver = RandomK(0.1, 1, 2), RandomK(0.1, 1, 2)
    values = gradients(200)
    sender.encode(values)
    payload = sender.encode(values)
    target = np.zeros_like(values)
    receiver.add(payload, target)
    np.testing.assert_array_equal(np.flatnonzero(target), receiver.places(200, 1))


def test_it_sends_everything_in_any_order_at_a_ratio_of_1() -> None:
    values = gradients(77)
    np.testing.assert_array_equal(decoded(RandomK(1.0, 0, 0), values), values)


@pytest.mark.parametrize("length", [0, 1])
def test_short_buckets(length: int) -> None:
    assert RandomK(0.001, 0, 0).places(length, 0).tolist() == list(range(length))
