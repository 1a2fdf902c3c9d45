from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hpctrain.arrays.keyed_random import _mix, generator, keep_mask, name_key, uniform

IDS, SIZE = np.arange(1000), 1000


def numbers(*keys: int, ids: np.ndarray = IDS, size: int = SIZE) -> np.ndarray:
    return uniform(ids, np.arange(size), *keys)


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def lowbias32(word: int) -> int:
    """As published, in arithmetic modulo 2**32."""
    word ^= word >> 16
    word = word * 0x7FEB352D % 2**32
    word ^= word >> 15
    word = word * 0x846CA68B % 2**32
    return word ^ word >> 16


@given(st.integers(0, 2**32 - 1))
def test_the_hash_is_lowbias32_for_integers_and_arrays(word: int) -> None:
    assert _mix(word) == lowbias32(word)
    assert _mix(np.array([word]))[0] == lowbias32(word)
    assert _mix(torch.tensor([word]))[0] == lowbias32(word)


def test_numbers_are_uniform() -> None:
    drawn = numbers(7, 1)
    assert drawn.shape == (1000, 1000)
    assert drawn.min() >= 0
    assert drawn.max() < 1
    assert abs(drawn.mean() - 1 / 2) < 5 * np.sqrt(1 / 12 / drawn.size)
    assert abs(drawn.var() - 1 / 12) < 5 * np.sqrt(1 / 180 / drawn.size)
    counts = np.histogram(drawn, bins=256, range=(0, 1))[0]
    expected = drawn.size / 256
    chi_square = ((counts - expected) ** 2 / expected).sum()  # mean 255, deviation 22.6
    assert 255 - 5 * 22.6 < chi_square < 255 + 5 * 22.6


def test_every_row_and_every_column_is_uniform() -> None:
    drawn = numbers(0)
    bound = 5 * np.sqrt(1 / 12 / 1000)
    assert abs(drawn.mean(axis=0) - 1 / 2).max() < bound
    assert abs(drawn.mean(axis=1) - 1 / 2).max() < bound


@pytest.mark.parametrize("step", [1, 2, 16, 256])
def test_neighbours_are_uncorrelated(step: int) -> None:
    drawn = numbers(3, 4, 5)
    bound = 5 / np.sqrt(drawn.size)
    assert abs(correlation(drawn[step:], drawn[:-step])) < bound, "ids"
    assert abs(correlation(drawn[:, step:], drawn[:, :-step])) < bound, "elements"
    assert abs(correlation(drawn, numbers(3, 4, 5 + step))) < bound, "last key"
    assert abs(correlation(drawn, numbers(3 + step, 4, 5))) < bound, "first key"


def test_keys_are_ordered_and_use_all_64_bits() -> None:
    one = numbers(1, 2)
    for other in (numbers(2, 1), numbers(1, 2 + 2**32), numbers(1, 2, 0), numbers(1, 2 + 2**63)):
        assert abs(correlation(one, other)) < 0.01
    assert not np.array_equal(numbers(ids=np.array([5])), numbers(ids=np.array([5 + 2**40])))


def test_a_row_depends_on_its_id_alone() -> None:
    ids = np.array([3, 900, 12, 12])
    drawn = numbers(9, ids=ids)
    np.testing.assert_array_equal(drawn, numbers(9)[ids])
    np.testing.assert_array_equal(drawn[:, :10], numbers(9, ids=ids, size=10))


@pytest.mark.parametrize(("num_ids", "size"), [(0, 5), (5, 0), (0, 0)])
def test_nothing_is_drawn_for_nothing(num_ids: int, size: int) -> None:
    assert numbers(1, ids=np.arange(num_ids), size=size).shape == (num_ids, size)


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1), st.integers(0, 2**40), st.floats(0, 1, exclude_max=True))
def test_torch_draws_the_same_bits(seed: int, layer: int, first: int, dropped: float) -> None:
    ids, elements = np.arange(first, first + 7), np.arange(33)
    for draw in (uniform, lambda *arguments: keep_mask(*arguments[:2], dropped, *arguments[2:])):
        ours = draw(ids, elements, seed, layer, 2)
        theirs = draw(torch.from_numpy(ids), torch.from_numpy(elements), seed, layer, 2)
        np.testing.assert_array_equal(ours, theirs.numpy())


@pytest.mark.parametrize("dropped", [0.0, 0.1, 0.5, 0.6, 0.9])
def test_a_mask_drops_its_share(dropped: float) -> None:
    mask = keep_mask(IDS, np.arange(SIZE), dropped, 1, 2, 3)
    assert mask.dtype == bool
    assert abs((~mask).mean() - dropped) <= 5 * np.sqrt(dropped * (1 - dropped) / mask.size)


def test_the_arguments_are_left_alone() -> None:
    ids, elements = np.arange(4), np.arange(5)
    uniform(ids, elements, 1)
    np.testing.assert_array_equal(ids, np.arange(4))
    np.testing.assert_array_equal(elements, np.arange(5))


def test_names_have_one_key_in_every_process() -> None:
    program = "from hpctrain.arrays.keyed_random import name_key; print(name_key('dropout0'))"
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(other.stdout) == name_key("dropout0")
    assert len({name_key(f"layer{index}") for index in range(1000)}) == 1000


def test_generators_are_their_own_for_each_seed_and_name() -> None:
    def draw(seed: int, name: str) -> np.ndarray:
        return generator(seed, name).random(1000)

    np.testing.assert_array_equal(draw(1, "0.weight"), draw(1, "0.weight"))
    for other in (draw(2, "0.weight"), draw(1, "1.weight"), draw(1, "0.bias")):
        assert abs(correlation(draw(1, "0.weight"), other)) < 5 / np.sqrt(1000)


def test_numbers_are_the_same_on_every_machine_and_in_every_version() -> None:
    drawn = generator(0, "0.weight").random(3)
    np.testing.assert_array_equal(drawn, [0.12713521639912373, 0.050455354718086154, 0.9923024666781968])
    drawn = numbers(1, 2, ids=np.array([3]), size=3) * 2**24
    np.testing.assert_array_equal(drawn, [[2532168, 6508555, 9282461]])
