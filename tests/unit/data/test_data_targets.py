"""Targets: classes or values, decided by all parts of the data together."""

from __future__ import annotations

from functools import reduce

import numpy as np
import pytest

from hpctrain.data.targets import TargetSurvey
from hpctrain.errors import DataError

FLOAT32 = np.dtype(np.float32)


def survey(*parts: list[object] | np.ndarray) -> TargetSurvey:
    return reduce(TargetSurvey.merge, (TargetSurvey.of(np.asarray(part)) for part in parts), TargetSurvey())


def test_words_are_classes_in_sorted_order() -> None:
    targets = survey(["b", "c", ""], ["a", "b"], np.empty(0, np.str_)).targets(1, FLOAT32, "f")
    assert targets.classes is not None
    assert (targets.classes.tolist(), targets.outputs) == (["a", "b", "c"], 3)
    encoded = targets.encode(np.array(["c", "a"]))
    assert (encoded.tolist(), encoded.dtype) == ([2, 0], np.int64)


@pytest.mark.parametrize("parts", [([10, 9, 2],), (["10", "9"], ["2"]), ([10, 2], ["9", "+10"])])
def test_whole_numbers_are_classes_in_the_order_of_numbers(parts: tuple[list[object], ...]) -> None:
    targets = survey(*parts).targets(1, FLOAT32, "f")
    assert targets.classes is not None
    assert targets.classes.tolist() == [2, 9, 10]
    assert targets.encode(np.array([10, 2], np.uint8)).tolist() == [2, 0]
    assert targets.encode(np.array(["9", "+10"])).tolist() == [1, 2]


def test_whole_numbers_among_words_are_words() -> None:
    targets = survey(["1", "2"], np.array([3]), ["other"]).targets(1, FLOAT32, "f")
    assert targets.classes is not None
    assert targets.classes.tolist() == ["1", "2", "3", "other"]
    assert targets.encode(np.array([3, 1])).tolist() == [2, 0]


def test_one_real_number_makes_a_regression() -> None:
    targets = survey(["1", "2"], ["2.5"], np.array([3])).targets(1, FLOAT32, "f")
    assert targets.classes is None
    encoded = targets.encode(np.array(["1", " 2.5"]))
    assert (encoded.tolist(), encoded.dtype, targets.outputs) == ([[1], [2.5]], np.float32, 1)
    assert targets.encode(np.array([4])).tolist() == [[4]]


def test_a_regression_of_several_values() -> None:
    targets = survey(np.ones((3, 2))).targets(2, FLOAT32, "f")
    assert targets.encode(np.ones((3, 2))).shape == (3, 2)
    assert targets.encode(np.ones((0, 2))).shape == (0, 2)


@pytest.mark.parametrize("parts", [(["1.5", "cat"],), (["1.5", "2"], ["cat"]), (["cat"], np.array([0.5]), ["1"])])
def test_real_numbers_and_words_do_not_mix(parts: tuple[list[object], ...]) -> None:
    with pytest.raises(
        DataError, match='f: a regression needs numbers alone, and among the targets are words such as "cat"'
    ):
        survey(*parts).targets(1, FLOAT32, "f")


def test_truth_values_are_two_classes() -> None:
    targets = survey(np.array([True, False])).targets(1, FLOAT32, "f")
    assert targets.encode(np.array([True, False])).tolist() == [1, 0]
