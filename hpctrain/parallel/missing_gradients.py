"""Parameters that got no gradient, on all ranks or on some: named, since it is often a mistake."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from hpctrain.comm.rank_words import named

_MOST_NAMES = 8


def missing_gradients(names: Sequence[str], missing: Mapping[int, Sequence[str] | None]) -> Iterator[str]:
    """What to tell of the parameters `names`, of which each rank, by its number, is missing some.

    None stands for a rank with no gradients at all: it had nothing to compute, and says nothing about parameters.
    """
    active = {rank: set(its) for rank, its in missing.items() if its is not None}
    alike: dict[tuple[int, ...], list[str]] = {}
    for name in names:
        alike.setdefault(tuple(rank for rank, its in active.items() if name in its), []).append(name)
    for ranks, group in alike.items():
        listed = ", ".join(group[:_MOST_NAMES]) + (f" and {len(group) - _MOST_NAMES} more" * (len(group) > _MOST_NAMES))
        if len(ranks) == len(active):
            yield f"no gradient of {listed} on any rank, so no update: does the loss depend on it?"
        else:
            yield f"no gradient of {listed} on {named(ranks)}, while other ranks have one: the mean counts it as 0"
