"""The best solution without negative numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpctrain.study.least_squares import nonnegative


@given(st.integers(1, 12), st.integers(1, 6), st.integers(0, 10**6))
def test_it_is_the_best_there_is(num_rows: int, num_columns: int, seed: int) -> None:
    """Karush, Kuhn and Tucker: no column that is used can be changed, and none that is not can be added, for better."""
    draw = np.random.default_rng(seed)
    rows, targets = draw.normal(size=(num_rows, num_columns)), draw.normal(size=num_rows)
    found = nonnegative(rows, targets)
    gradient = rows.T @ (targets - rows @ found)
    assert (found >= 0).all()
    assert gradient.max() < 1e-8
    np.testing.assert_allclose(gradient[found > 0], 0, atol=1e-8)


def test_what_is_not_negative_is_found_again_whatever_its_unit() -> None:
    rows = np.array([[2.0, 1e6], [6.0, 1.5e6], [14.0, 1.75e6]])
    assert nonnegative(rows, rows @ [1e-6, 1e-9]) == pytest.approx([1e-6, 1e-9])


def test_a_column_of_zeros_and_targets_of_zero_give_zeros() -> None:
    assert nonnegative(np.array([[1.0, 0.0]]), np.array([3.0])).tolist() == [3.0, 0.0]
    assert nonnegative(np.ones((2, 2)), np.zeros(2)).tolist() == [0.0, 0.0]
