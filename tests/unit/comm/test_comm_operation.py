import numpy as np
import pytest

from hpctrain.comm.operation import Op
from hpctrain.errors import CommunicationError


@pytest.mark.parametrize(
    ("op", "expected"), [("sum", [5, 7]), ("min", [1, 3]), ("max", [4, 4]), ("product", [4, 12]), ("mean", [2.5, 3.5])]
)
def test_two_ranks_numbers_are_combined(op: str, expected: list[float]) -> None:
    into = np.array([1.0, 4.0])
    Op.named(op).combine(into, np.array([4.0, 3.0]))
    Op.named(op).finish(into, 2)
    assert into.tolist() == expected


def test_an_unknown_name_is_told_the_allowed_ones() -> None:
    with pytest.raises(CommunicationError, match='no operation "avg": use one of sum, mean, min, max, product'):
        Op.named("avg")


def test_a_mean_of_integers_is_refused_not_truncated() -> None:
    with pytest.raises(CommunicationError, match="int64"):
        Op.MEAN.check(np.dtype(np.int64))
