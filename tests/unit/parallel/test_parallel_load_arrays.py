"""What comes back from a checkpoint fits, or is refused as a whole."""

from __future__ import annotations

import numpy as np
import pytest

from hpctrain.errors import CheckpointError
from hpctrain.parallel.load_arrays import load_arrays


def test_arrays_are_written_in_place() -> None:
    own = {"round": np.zeros(1, np.int64), "copy": np.zeros((2, 3))}
    kept = own["copy"]
    load_arrays(own, {"copy": np.ones((2, 3)), "round": np.array([4])}, "gossip", "parallel.gossip")
    np.testing.assert_array_equal(kept, np.ones((2, 3)))
    assert own["round"][0] == 4


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({}, r"round is nothing in the checkpoint, and int64 \(1,\) in this job"),
        ({"round": np.zeros(1)}, r"round is float64 \(1,\) in the checkpoint, and int64 \(1,\) in this job"),
        ({"round": np.zeros(2, np.int64)}, r"round is int64 \(2,\) in the checkpoint"),
        ({"round": np.ones(1, np.int64), "weight": np.ones(1)}, r"weight is float64 \(1,\) .* and nothing in this job"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_written(found: dict[str, np.ndarray], words: str) -> None:
    own = {"round": np.zeros(1, np.int64)}
    with pytest.raises(CheckpointError, match=f"kept of gossip does not fit: {words}.*go on with its parallel.gossip"):
        load_arrays(own, found, "gossip", "parallel.gossip")
    assert own["round"][0] == 0
