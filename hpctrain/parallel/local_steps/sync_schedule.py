"""When ranks that step alone average: every so many steps, or more and more rarely, and the model in parts or at once.

    sync_every = 4, fragments = 2       step   1  2  3  4  5  6  7  8
                                        part 0    x           x
                                        part 1          x           x

Growing intervals: Lin et al. 2020, "Don't use large mini-batches, use local SGD". Fragments that take turns: Douillard
et al. 2025, "Streaming DiLoCo with overlapping communication".
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_NEVER = 2**62  # steps


class SyncSchedule:
    """Counts steps. The same on all ranks.

    Attributes:
        counts: int64, of each fragment the steps until its next average, and the averages that it has had. This is all
            that it knows: whoever writes here what was there before goes on from then.
    """

    def __init__(self, sync_every: int, growth: float, num_fragments: int) -> None:
        """The first averages of fragments are `sync_every / num_fragments` steps apart, the last one at `sync_every`.

        After a fragment's k-th average, the next one is round(sync_every * growth^k) steps away.
        """
        self._sync_every = sync_every
        self._growth = growth
        first = [-(-(number + 1) * sync_every // num_fragments) for number in range(num_fragments)]  # rounded up
        self.counts = np.array([first, np.zeros(num_fragments)], np.int64).T.copy()

    def advance(self) -> Sequence[int]:
        """One more step has been made: the fragments that are to be averaged now, in order."""
        self.counts[:, 0] -= 1
        due: list[int] = np.flatnonzero(self.counts[:, 0] == 0).tolist()
        for number in due:
            self.counts[number, 1] += 1
            self.counts[number, 0] = self._interval(int(self.counts[number, 1]))
        return due

    def _interval(self, num_averages: int) -> int:
        return round(min(self._sync_every * self._growth**num_averages, _NEVER))
