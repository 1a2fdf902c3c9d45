"""How much longer the slowest of many ranks takes than a mean one.

Who waits for all p ranks computes for the largest of p draws from the distribution of computing times. Few runs show
only its middle, so it is put together from two parts:
- Up to its 90th percentile it is as measured. In small worlds, where little else counts, nothing is assumed.
- Beyond that it is exponential, with the mean excess that was measured. The largest of p then grows as ln p, which is
  Gumbel's law: the limit for every distribution whose tail falls off exponentially or faster. The measured
  distribution alone would say that no rank is ever slower than the slowest one seen; a normal one, whose maximum grows
  as sqrt(2 ln p), makes light of the rare long interruptions that machines have. For normal times the forecast
  is too long by about a third of the excess at 65,536 ranks.

Some ranks are slower all the time, and every rank is now and then. Who waits only after H steps waits for sums: what
lasts stays, and what passes shrinks with the root of H.

Gumbel, "Statistics of extremes" (1958); Petrini, Kerbyson and Pakin, "The case of the missing supercomputer
performance", SC 2003, for what noise does to many ranks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import sqrt

import numpy as np

TAIL_SHARE = 0.1
_FEWEST_IN_TAIL = 2  # of fewer times a mean excess says nothing
_POINTS = (np.arange(1000) + 0.5) / 1000


@dataclass(frozen=True)
class Spread:
    """How computing times differ. Element for element, measured times are the product of two shares of the mean.

    Attributes:
        lasting: the mean of the rank, over the mean of all ranks; float64, at least one.
        passing: the rank's time in one step, over the mean of the rank.
    """

    lasting: np.ndarray
    passing: np.ndarray
    _known: dict[tuple[int, int], float] = field(default_factory=dict, repr=False)  # the means that were asked for

    @classmethod
    def of(cls, measured: Iterable[tuple[np.ndarray, int]]) -> Spread:
        """From the times (samples, ranks) of runs, and of how many steps each sample is the mean. Runs may differ."""
        lasting, passing = [], []
        for times, num_steps in measured:
            ranks = np.broadcast_to(times.mean(axis=0), times.shape)
            lasting.append((ranks / times.mean()).ravel())
            passing.append((1 + (times / ranks - 1) * sqrt(num_steps)).ravel())
        return cls(np.concatenate(lasting), np.maximum(np.concatenate(passing), 0.0))

    def expected_largest(self, num_ranks: int, num_steps: int = 1) -> float:
        """The expected largest share among `num_ranks` in the mean of `num_steps` steps, at least 1."""
        for asked in {(1, num_steps), (num_ranks, num_steps)} - self._known.keys():
            self._known[asked] = self._mean_largest(*asked)
        return max(1.0, self._known[num_ranks, num_steps] / self._known[1, num_steps])

    def _mean_largest(self, num_ranks: int, num_steps: int) -> float:
        """The integral over w in (0, 1) of Q(w^(1/p)), with the quantile function Q."""
        shares = np.sort(self.lasting * (1 + (self.passing - 1) / sqrt(num_steps)))
        number = len(shares)
        in_tail = max(_FEWEST_IN_TAIL, round(TAIL_SHARE * number))
        if number <= in_tail:
            return float(shares.mean())
        above = -np.expm1(np.log(_POINTS) / num_ranks)  # the share of times that are longer
        threshold = shares[-in_tail - 1]
        excess = float(shares[-in_tail:].mean() - threshold)
        body = np.interp(1 - above, (np.arange(number) + 0.5) / number, shares)
        tail = threshold - excess * np.log(np.minimum(above * number / in_tail, 1.0))
        return float(np.where(above * number < in_tail, tail, np.minimum(body, threshold)).mean())
