"""From rows to a table: the choice that follows from what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hpctrain.bench.measure import Row
from hpctrain.bench.operations import MPIS_OWN
from hpctrain.collectives.tuning.ladder import PREFERRED, best_ladder
from hpctrain.collectives.tuning.links import Links
from hpctrain.collectives.tuning.shape import Shape
from hpctrain.collectives.tuning.table import Table


def table_of(rows: Sequence[Row], library: str, shape: Shape, measured: str) -> Table:
    """The choice for the all-reduce, from its rows at all sizes.

    The doubt about it is twice the standard error of the difference between the fastest and the library's own.
    """
    sizes = tuple(sorted({row.num_bytes for row in rows}))
    found = {(row.way, row.num_bytes): row.time for row in rows if row.way != MPIS_OWN}
    names = list(dict.fromkeys(way for way, _ in found))
    seconds = {
        name: tuple(found[name, size].seconds if (name, size) in found else None for size in sizes) for name in names
    }
    doubts = []
    for size in sizes:
        here = {name: found[name, size] for name in names if (name, size) in found}
        fastest = min(here.values(), key=lambda time: time.seconds)
        doubts.append(2 * (fastest.uncertainty**2 + here.get(PREFERRED, fastest).uncertainty ** 2) ** 0.5)
    return Table(library, shape, measured, Links(), sizes, seconds, best_ladder(sizes, seconds, doubts))


def times_of(rows: Sequence[Row]) -> Mapping[int, Mapping[str, float]]:
    """Seconds by size and way."""
    times: dict[int, dict[str, float]] = {}
    for row in rows:
        times.setdefault(row.num_bytes, {})[row.way] = row.time.seconds
    return times
