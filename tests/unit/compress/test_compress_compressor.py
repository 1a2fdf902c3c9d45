"""What is true of every compressor."""

from __future__ import annotations

import numpy as np
import pytest
from compress_world import LENGTHS, LOSSY, NAMES, averages, build, decoded, gradients
from hypothesis import given
from hypothesis import strategies as st

DTYPES = ["float32", "float64"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_payload_is_as_long_as_the_formula_says(name: str, length: int, dtype: str) -> None:
    compressor = build(name, length, dtype)
    values = gradients(length, dtype=dtype)
    before = values.copy()
    payload = compressor.encode(values)
    assert payload.dtype == np.uint8
    assert payload.shape == (compressor.payload_bytes(length, values.itemsize),)
    np.testing.assert_array_equal(values, before)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_what_is_taken_and_what_is_owed_are_the_whole(name: str, length: int, dtype: str) -> None:
    compressor = build(name, length, dtype)
    values = gradients(length, dtype=dtype)
    owed = values.copy()
    taken = np.zeros_like(values)
    compressor.add(compressor.take(owed), taken)
    np.testing.assert_allclose(taken + owed, values, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_payload_is_added_with_its_weight_wherever_it_lies(name: str) -> None:
    compressor = build(name, 2500)
    payload = compressor.encode(gradients(2500))
    once = np.zeros(2500, np.float32)
    compressor.add(payload, once)
    memory = np.empty(payload.size + 1, np.uint8)
    memory[1:] = payload  # at an odd address, as one row of payloads of odd length behind another
    target = gradients(2500, seed=1)
    compressor.add(memory[1:], target, -2.0)
    np.testing.assert_allclose(target, gradients(2500, seed=1) - 2 * once, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("length", [0, 1, 7, 257, 1025])
@pytest.mark.parametrize("dtype", DTYPES)
def test_ranks_get_the_same_bits_nothing_is_lost_and_the_bytes_are_counted(
    name: str, size: int, length: int, dtype: str
) -> None:
    steps = [gradients(size, length, seed=step, dtype=dtype) for step in range(4)]
    means, residuals, num_bytes = averages(lambda: build(name, length, dtype), steps)
    for mean in means:
        assert all(mean[rank].tobytes() == mean[0].tobytes() for rank in range(size))
    told = means[:, 0].sum(axis=0) + residuals.mean(axis=0)
    np.testing.assert_allclose(told, np.sum(steps, axis=0).mean(axis=0), rtol=0, atol=2e-5)
    expected = build(name, length, dtype).wire_bytes(length, steps[0].itemsize, size)
    assert num_bytes == len(steps) * expected


def test_without_compression_the_mean_is_that_of_an_all_reduce() -> None:
    steps = [gradients(3, 1000)]
    means, residuals, num_bytes = averages(lambda: build("none", 1000), steps)
    np.testing.assert_allclose(means[0, 0], steps[0].mean(axis=0), rtol=0, atol=1e-6)
    assert not residuals.any()
    assert num_bytes == 2 * 2 * 4000


@pytest.mark.parametrize("name", LOSSY)
def test_fewer_bytes_travel_than_without(name: str) -> None:
    plain = build("none", 2500).wire_bytes(2500, 4, 3)
    assert build(name, 2500).wire_bytes(2500, 4, 3) <= plain * 0.87  # powersgd: the one matrix is a quarter of it


@pytest.mark.parametrize(
    ("name", "expected"),
    [("fp16", 2 * 3 * 5000), ("int8", 3 * 4 * (2500 + 40)), ("sign", 3 * 4 * (313 + 12)), ("top_k", 3 * 4 * 125 * 8),
     ("random_k", 2 * 3 * 125 * 4), ("powersgd", 2 * 3 * 4 * (2 * 50 + 1900))],
)  # fmt: skip
def test_bytes_that_four_ranks_send(name: str, expected: int) -> None:
    assert build(name, 2500).wire_bytes(2500, 4, 4) == expected


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 300, 1100, 2499])
def test_what_is_not_finite_shows_on_every_rank_and_is_forgotten(name: str, bad: float, place: int) -> None:
    good = [gradients(3, 2500, seed=step) for step in range(3)]
    spoilt = good[1].copy()
    spoilt[1, place] = bad
    means, residuals, _ = averages(lambda: build(name, 2500), [good[0], spoilt, good[2]])
    assert not np.isfinite(means[1]).all(axis=1).any()
    assert np.isfinite(means[[0, 2]]).all()
    # The spoilt step is as if it had not been: what is told later is that of the two others.
    told = means[[0, 2], 0].sum(axis=0) + residuals.mean(axis=0)
    np.testing.assert_allclose(told, (good[0] + good[2]).mean(axis=0), rtol=0, atol=2e-5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_payload_hides_nothing_that_is_not_finite(name: str, bad: float) -> None:
    values = gradients(2500)
    values[2000] = bad
    with np.errstate(invalid="ignore"):
        assert not np.isfinite(decoded(build(name, 2500), values)).all()


@given(st.sampled_from([name for name in NAMES if name != "powersgd"]), st.integers(0, 600), st.integers(0, 2**31))
def test_no_more_is_owed_than_there_was(name: str, length: int, seed: int) -> None:
    """A compressor is a contraction of the Euclidean norm, on which the proofs of convergence rest."""
    owed = gradients(length, seed=seed) * np.float32(10.0) ** gradients(length, seed=seed + 1)
    before = np.linalg.norm(owed)
    build(name, length).take(owed)
    assert np.linalg.norm(owed) <= before * (1 + 1e-6)
