"""The numbers that dashboards get are those of metrics.jsonl, under names that they group by."""

from __future__ import annotations

import math

from hpctrain.train.callbacks.metric_lines import Told, scalars


def test_numbers_of_a_step() -> None:
    line = {
        "step": 20,
        "epoch": 1,
        "loss": 0.5,
        "accuracy": None,
        "learning_rate": 0.01,
        "samples_per_second": 12.0,
        "seconds": {"compute": 0.25, "data": 0.5},
        "bytes_sent": 7,
    }
    assert scalars(line) == {
        "epoch": 1.0,
        "train/loss": 0.5,
        "learning_rate": 0.01,
        "samples_per_second": 12.0,
        "seconds/compute": 0.25,
        "seconds/data": 0.5,
        "bytes_sent": 7.0,
    }


def test_numbers_of_an_evaluation_and_what_a_strategy_adds() -> None:
    line = {"step": 20, "epoch": 1, "test_loss": math.nan, "test_accuracy": 0.5, "consensus_distance": 2}
    found = scalars(line)
    assert math.isnan(found.pop("test/loss"))
    assert found == {"epoch": 1.0, "test/accuracy": 0.5, "consensus_distance": 2.0}


def test_a_problem_is_told_once() -> None:
    told: list[str] = []
    tell = Told(told.append)
    tell("a")
    tell("b")
    assert told == ["a"]
