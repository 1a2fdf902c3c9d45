from __future__ import annotations

import numpy as np
import pytest
from compress_world import LENGTHS, decoded, gradients

from hpctrain.compress.sign import BLOCK, Sign


def naive(values: np.ndarray) -> np.ndarray:
    blocks = [values[start : start + BLOCK] for start in range(0, values.size, BLOCK)]
    return np.concatenate([np.zeros(0), *(np.where(block < 0, -1, 1) * np.abs(block).mean() for block in blocks)])


@pytest.mark.parametrize("length", LENGTHS)
def test_it_equals_the_naive_version(length: int) -> None:
    values = gradients(length)
    np.testing.assert_allclose(decoded(Sign(), values), naive(values), rtol=1e-6)


def test_the_mean_magnitude_is_the_best_scale() -> None:
    values = gradients(BLOCK)
    found = decoded(Sign(), values)
    errors = [np.linalg.norm(values - factor * found) for factor in (0.98, 1.0, 1.02)]
    assert errors[1] == min(errors)


def test_one_sign_is_one_bit() -> None:
    assert Sign().payload_bytes(2**20, 4) == 2**20 // 8 + 4 * 2**10
    payloads = [Sign().encode(np.array([1, 1, sign, 1], np.float32)) for sign in (1, -1)]
    assert np.unpackbits(payloads[0] ^ payloads[1]).sum() == 1


def test_0_among_others_counts_as_positive() -> None:
    values = np.array([3, 0, -3, -0.0], np.float32)
    np.testing.assert_array_equal(decoded(Sign(), values), [1.5, 1.5, -1.5, 1.5])


def test_zeros_stay_zeros() -> None:
    assert not decoded(Sign(), np.zeros(BLOCK + 1, np.float32)).any()
