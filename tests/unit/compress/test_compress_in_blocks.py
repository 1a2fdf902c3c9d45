from __future__ import annotations

import numpy as np
import pytest

from hpctrain.compress.in_blocks import in_blocks, num_blocks


@pytest.mark.parametrize(("length", "expected"), [(0, 0), (1, 1), (3, 1), (4, 1), (5, 2), (8, 2), (9, 3)])
def test_rows_are_blocks_and_zeros_follow(length: int, expected: int) -> None:
    values = np.arange(1, length + 1)
    rows = in_blocks(values, 4)
    assert rows.shape == (num_blocks(length, 4), 4) == (expected, 4)
    np.testing.assert_array_equal(rows.reshape(-1)[:length], values)
    assert not rows.reshape(-1)[length:].any()


def test_whole_blocks_are_not_copied() -> None:
    values = np.arange(8)
    assert np.shares_memory(in_blocks(values, 4), values)
