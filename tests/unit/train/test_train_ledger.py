from collections.abc import Sequence

import numpy as np
import pytest

from hpctrain.collectives.group import Group
from hpctrain.comm.solo import Solo
from hpctrain.train.clock import SECTIONS
from hpctrain.train.ledger import KEPT_STEPS, Ledger, weights_sha256


def test_totals_leave_the_first_step_out_of_the_median() -> None:
    ledger = Ledger()
    for seconds in (100.0, 1.0, 2.0, 3.0):
        ledger.add(
            {"compute": seconds / 2, "communication": 0.0, "optimizer": 0.0, "data": seconds / 2, "other": 0.0}, 53
        )
    totals = ledger.totals(Group(Solo()))
    assert totals["step_seconds"] == {"median": 2.0, "p90": pytest.approx(2.8)}
    assert totals["breakdown_seconds"]["compute"] == pytest.approx(106 / 8)
    assert totals["samples_per_second"] == pytest.approx(2.0)
    assert totals["train_seconds"] == pytest.approx(106)
    assert totals["bytes_sent"] == [0]
    assert totals["peak_rss_bytes"][0] > 10**6
    assert ledger.warm_up_seconds(Group(Solo())) == pytest.approx(98.0)


def test_a_first_step_faster_than_a_median_one_warmed_nothing_up() -> None:
    ledger = Ledger()
    for seconds in (1.0, 5.0):
        ledger.add({**dict.fromkeys(SECTIONS, 0.0), "compute": seconds}, 1)
    assert ledger.warm_up_seconds(Group(Solo())) == 0


def test_a_run_without_steps_has_totals_too() -> None:
    assert Ledger().totals(Group(Solo()))["samples_per_second"] == 0
    assert Ledger().gather_steps(Group(Solo())) == {}
    assert Ledger().warm_up_seconds(Group(Solo())) == 0


def ledger_of(num_steps: int) -> Ledger:
    """Step s computes for s seconds, and makes data ready for 2 s."""
    ledger = Ledger()
    for step in range(num_steps):
        ledger.add({**dict.fromkeys(SECTIONS, 0.0), "compute": step, "data": 2 * step}, 1)
    return ledger


@pytest.mark.parametrize(
    ("num_steps", "kept"),
    [
        (1, [0]),
        (3, [2]),
        (5, [3, 4]),
        (KEPT_STEPS + 1, range(3, KEPT_STEPS + 1)),
        (KEPT_STEPS + 9, range(9, KEPT_STEPS + 9)),
    ],
)
def test_the_newest_steps_are_kept_without_the_first_ones(num_steps: int, kept: Sequence[int]) -> None:
    steps = ledger_of(num_steps).gather_steps(Group(Solo()))
    assert list(steps) == list(SECTIONS)
    assert steps["compute"].dtype == np.float32
    assert steps["compute"].tolist() == [[step] for step in kept]
    assert steps["data"].tolist() == [[2 * step] for step in kept]
    assert not steps["optimizer"].any()


def test_the_hash_sees_every_bit_name_and_shape() -> None:
    group = Group(Solo())
    weights = {"a": np.zeros((2, 3), np.float32), "b": np.ones(1)}
    hashes = {weights_sha256(group, weights)}
    hashes.add(weights_sha256(group, {**weights, "a": np.zeros((3, 2), np.float32)}))
    hashes.add(weights_sha256(group, {**weights, "b": np.ones(1) + 1e-16 + np.finfo(float).eps}))
    hashes.add(weights_sha256(group, {"a": weights["a"], "c": weights["b"]}))
    assert len(hashes) == 4
    assert weights_sha256(group, dict(reversed(weights.items()))) in hashes
