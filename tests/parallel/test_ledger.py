"""What the ledger gathers from all ranks."""

from __future__ import annotations

import numpy as np

from hpctrain import Group
from hpctrain.train.clock import SECTIONS
from hpctrain.train.ledger import Ledger


def test_rank_0_gets_the_steps_of_all_ranks(group: Group) -> None:
    """A rank that did more steps, at its own pace, shows its last ones."""
    ledger = Ledger()
    for step in range(5 + group.rank):
        ledger.add({**dict.fromkeys(SECTIONS, 0.0), "compute": group.rank + step / 100, "other": 1.0}, 1)
    steps = ledger.gather_steps(group)
    if group.rank:
        assert steps == {}
    else:
        ranks = np.arange(group.size)
        last = ranks + (4 + ranks) / 100
        np.testing.assert_allclose(steps["compute"], [last - 0.01, last], rtol=1e-6)
        assert steps["other"].shape == (2, group.size)
        assert not steps["data"].any()
