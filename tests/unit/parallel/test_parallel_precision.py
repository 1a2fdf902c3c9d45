"""The loss scale of mixed precision."""

from __future__ import annotations

import pytest

from hpctrain.errors import CheckpointError
from hpctrain.parallel.precision import Precision


@pytest.mark.parametrize(("name", "dtype"), [("full", ""), ("bf16_mixed", "bfloat16")])
def test_only_float16_is_scaled(name: str, dtype: str) -> None:
    precision = Precision(name)
    assert (precision.sixteen_bits, precision.scales, precision.loss_scale) == (dtype, False, 1.0)
    assert precision.state() == precision.report() == {}


def test_the_scale_is_halved_by_an_overflow_and_doubled_after_2000_good_steps() -> None:
    precision = Precision("fp16_mixed")
    assert precision.loss_scale == 2**16
    for _ in range(1999):
        precision.judge(is_finite=True)
    precision.judge(is_finite=False)
    assert precision.loss_scale == 2**15
    for _ in range(1999):
        precision.judge(is_finite=True)
    assert precision.loss_scale == 2**15
    precision.judge(is_finite=True)
    assert precision.loss_scale == 2**16
    assert precision.report() == {"loss_scale": 2**16, "steps_skipped_by_overflow": 1}


def test_the_scale_keeps_within_bounds() -> None:
    precision = Precision("fp16_mixed")
    for _ in range(100):
        precision.judge(is_finite=False)
    assert precision.loss_scale == 1
    for _ in range(30 * 2000):
        precision.judge(is_finite=True)
    assert precision.loss_scale == 2**24


def test_a_run_goes_on_with_the_scale_and_the_count() -> None:
    first, second = Precision("fp16_mixed"), Precision("fp16_mixed")
    first.judge(is_finite=False)
    for _ in range(1500):
        first.judge(is_finite=True)
    second.load_state(first.state())
    for precision in (first, second):
        for _ in range(500):
            precision.judge(is_finite=True)
    assert first.report() == second.report() == {"loss_scale": 2**16, "steps_skipped_by_overflow": 1}


def test_the_state_of_something_else_is_refused() -> None:
    state = {"other": Precision("fp16_mixed").state()["loss_scale"]}
    with pytest.raises(CheckpointError, match="other"):
        Precision("fp16_mixed").load_state(state)
