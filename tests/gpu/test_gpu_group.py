"""The collectives of a group on arrays in GPU memory, in a world of one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from libraries import combined, operations, whole_numbers

import hpctrain

pytestmark = pytest.mark.gpu


def test_all_reduce_returns_the_array_on_its_gpu(group: hpctrain.Group, library: Any) -> None:
    for dtype in library.dtypes:
        for op in operations(dtype):
            for shape in (0, 1, (3, 5)):
                values = whole_numbers(0, shape, dtype)
                array = library.array(values, dtype)
                assert group.all_reduce(array, op) is array
                np.testing.assert_array_equal(library.numpy(array), combined([values], op, dtype))


def test_the_other_collectives(group: hpctrain.Group, library: Any) -> None:
    values = whole_numbers(0, (3, 5), "float32")
    array = library.array(values, "float32")
    np.testing.assert_array_equal(library.numpy(group.broadcast(array)), values)
    np.testing.assert_array_equal(library.numpy(group.all_gather(array)), values)
    np.testing.assert_array_equal(library.numpy(group.reduce_scatter(array)), values.reshape(-1))
    np.testing.assert_array_equal(library.numpy(group.all_to_all([array])[0]), values.reshape(-1))
    arrived = library.array(np.zeros_like(values), "float32")
    group.send(array, 0)
    np.testing.assert_array_equal(library.numpy(group.recv(arrived, 0)), values)
