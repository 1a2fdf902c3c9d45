"""A ladder: which algorithm is used up to how many bytes; and the best ladder for measured times."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

PREFERRED = "native"
LEAST_LEAD = 0.05
"""By so much another has to be faster than the library's own to be used in its place."""
LEAST_GAIN = 0.03
"""So much has to be gained by each change from one size to the next."""

Seconds = Mapping[str, Sequence[float | None]]
"""By algorithm, the time at each of some sizes; None where it was not measured."""


@dataclass(frozen=True)
class Ladder:
    """`names[i]` is used up to and with `bounds[i]` bytes, the last name beyond all bounds, which rise."""

    bounds: tuple[float, ...]
    names: tuple[str, ...]

    def at(self, num_bytes: int) -> str:
        """The name for so many bytes. On the way of every collective: it costs a tenth of a microsecond."""
        return self.names[bisect_left(self.bounds, num_bytes)]

    def only(self, allowed: Collection[str], otherwise: str) -> Ladder:
        """Without the names that are not allowed: the next larger size's takes their place, or the next smaller's.

        `otherwise` is for all sizes, where no name is left.
        """
        rungs = [(bound, name) for bound, name in zip(self.rungs, self.names, strict=True) if name in allowed]
        bounds, names = zip(*rungs, strict=True) if rungs else ((math.inf,), (otherwise,))
        return Ladder(bounds[:-1], names)

    def then(self, last: int, other: Ladder) -> Ladder:
        """This one up to and with `last` bytes, the other beyond."""
        mine, others = bisect_left(self.bounds, last), bisect_right(other.bounds, last)
        bounds = (*self.bounds[:mine], last, *other.bounds[others:])
        return Ladder(bounds, (*self.names[: mine + 1], *other.names[others:]))

    @property
    def rungs(self) -> tuple[float, ...]:
        """The upper bound of every name, infinite for the last."""
        return (*self.bounds, math.inf)


def best_ladder(sizes: Sequence[int], seconds: Seconds, doubts: Sequence[float] | None = None) -> Ladder:
    """The ladder that loses least against the fastest at every size, without changes that noise could explain.

    Each size costs what is lost there: r = log(time / least time) of the algorithm that is used; log(1 + LEAST_LEAD)
    besides, if that is not `PREFERRED`; and log(1 + LEAST_GAIN), if it is another than at the size before. Where r is
    not large against the doubt d about it, it counts for little: r^2 / (r + d). The cheapest sequence is found by
    dynamic programming (Viterbi's algorithm). Between two sizes the change is where the lines through the times of the
    two algorithms cross, both scales being logarithmic.

    Args:
        sizes: bytes, rising.
        seconds: by algorithm, at each size; at least one of them was measured at each.
        doubts: at each size, the share by which times may differ by chance; without them, none.
    """
    doubts = doubts or [0.0] * len(sizes)
    names = sorted(seconds, key=lambda name: (name != PREFERRED, name))
    total = dict.fromkeys(names, 0.0)
    came_from: list[dict[str, str]] = []
    for index, doubt in enumerate(doubts):
        least = min(time for times in seconds.values() if (time := times[index]) is not None)
        before = min(names, key=total.__getitem__)
        changed = total[before] + math.log1p(LEAST_GAIN)
        came_from.append({name: name if total[name] <= changed else before for name in names})
        total = {
            name: min(total[name], changed)
            + _loss(seconds[name][index], least, doubt)
            + (0.0 if name == PREFERRED else math.log1p(LEAST_LEAD))
            for name in names
        }
    path = [min(names, key=total.__getitem__)]
    for steps in reversed(came_from[1:]):
        path.append(steps[path[-1]])
    path.reverse()
    changes = [index for index, (name, following) in enumerate(pairwise(path)) if name != following]
    bounds = [_crossing(sizes, seconds, index, path[index], path[index + 1]) for index in changes]
    return Ladder(tuple(bounds), (*(path[index] for index in changes), path[-1]))


def _loss(time: float | None, least: float, doubt: float) -> float:
    if time is None:
        return math.inf
    ratio = math.log(time / least)
    return ratio and ratio * ratio / (ratio + doubt)


def _crossing(sizes: Sequence[int], seconds: Seconds, index: int, name: str, following: str) -> int:
    """The size from `index` to the next at which `following` becomes as fast as `name`; the middle if they do not."""
    share = 0.5
    here, there = (_log_ratio(seconds[following][place], seconds[name][place]) for place in (index, index + 1))
    if here is not None and there is not None and here > 0 > there:
        share = here / (here - there)
    return int(sizes[index] * float(sizes[index + 1] / sizes[index]) ** share)


def _log_ratio(time: float | None, other: float | None) -> float | None:
    return None if time is None or other is None else math.log(time / other)
