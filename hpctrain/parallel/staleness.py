"""How stale updates are: of each one, how much its weights had changed, by others, since it was computed from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any


class Staleness:
    """Counts updates by a whole number, 0 or more, that says how stale each was."""

    def __init__(self) -> None:
        self.counts: Counter[int] = Counter()

    def add(self, staleness: int) -> None:
        """One update."""
        self.counts[staleness] += 1


def histogram(counts: Iterable[Counter[int]]) -> dict[str, Any]:
    """Of all updates that were counted, for summary.json.

    "histogram"[k] is the number of updates whose staleness was k, up to the largest; "max" and "mean" are of all
    updates, 0 where there are none.
    """
    total: Counter[int] = sum(counts, Counter())
    largest = max(total, default=0)
    mean = sum(staleness * number for staleness, number in total.items()) / max(total.total(), 1)
    return {"histogram": [total[staleness] for staleness in range(largest + 1)], "max": largest, "mean": mean}
