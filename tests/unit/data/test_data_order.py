"""Orders are permutations that depend on their key alone."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hpctrain.data.order import Purpose, batch_of, epoch_order, interleaved_batch, keyed_order, num_batches
from hpctrain.data.split import hold_out


@given(st.integers(0, 300), st.integers(0, 2**70), st.integers(0, 2**40))
def test_an_epoch_is_a_permutation(length: int, seed: int, epoch: int) -> None:
    order = epoch_order(length, seed, epoch)
    assert order.dtype == np.int64
    np.testing.assert_array_equal(np.sort(order), np.arange(length))
    np.testing.assert_array_equal(order, epoch_order(length, seed, epoch))


def test_the_order_is_the_sorting_order_of_philox() -> None:
    words = np.random.Philox(key=np.array([3, 5], dtype=np.uint64)).random_raw(100)
    np.testing.assert_array_equal(epoch_order(100, seed=3, epoch=5), np.argsort(words))


def test_seed_epoch_and_purpose_each_change_the_order() -> None:
    orders = [
        keyed_order(50, Purpose.EPOCH, 0, 0),
        keyed_order(50, Purpose.EPOCH, 1, 0),
        keyed_order(50, Purpose.EPOCH, 0, 1),
        keyed_order(50, Purpose.SPLIT, 0, 0),
        keyed_order(50, Purpose.PARTITION, 0, 0),
    ]
    assert len({tuple(order) for order in orders}) == len(orders)


def test_every_position_gets_every_sample_about_equally_often() -> None:
    counts = np.zeros((4, 4), dtype=int)
    for epoch in range(2000):
        counts[np.arange(4), epoch_order(4, 0, epoch)] += 1
    assert counts.min() > 420  # 500 expected, deviation 19
    assert counts.max() < 580


@given(st.integers(0, 200), st.integers(1, 50))
def test_batches_cover_the_order(length: int, batch_size: int) -> None:
    order = epoch_order(length, 0, 0)
    count = num_batches(length, batch_size)
    batches = [batch_of(order, batch_size, index) for index in range(count)]
    assert all(len(batch) == batch_size for batch in batches[:-1])
    np.testing.assert_array_equal(np.concatenate([np.empty(0, np.int64), *batches]), order)
    spread = [interleaved_batch(length, batch_size, index) for index in range(count)]
    assert all(0 < len(batch) <= batch_size for batch in spread)
    np.testing.assert_array_equal(np.sort(np.concatenate([np.empty(0, np.int64), *spread])), np.arange(length))


@given(st.integers(0, 300), st.floats(0, 0.999), st.integers(0, 2**32))
def test_a_split_is_disjoint_and_complete(length: int, fraction: float, seed: int) -> None:
    train, test = hold_out(length, fraction, seed)
    np.testing.assert_array_equal(np.sort(np.concatenate([train, test])), np.arange(length))
    assert (np.diff(train) > 0).all()
    assert (np.diff(test) > 0).all()
    assert length == 0 or len(train) >= 1
    assert abs(len(test) - length * fraction) <= 1
    assert len(test) > 0 or fraction == 0 or length < 2


def test_a_split_depends_on_its_seed() -> None:
    assert len(hold_out(1797, 0.2, 0)[1]) == 359
    assert not np.array_equal(hold_out(100, 0.2, 0)[1], hold_out(100, 0.2, 1)[1])
