"""What the bench prints: the columns of nccl-tests, and afterwards what follows from them."""

from __future__ import annotations

from collections.abc import Sequence

from hpctrain.bench.fit import Fit
from hpctrain.bench.measure import Row
from hpctrain.bench.sizes import words
from hpctrain.collectives.tuning.ladder import Ladder
from hpctrain.collectives.tuning.table import Table

HEADER = f"""\
#{"size":>11} {"count":>10} {"type":>8} {"redop":>5}  {"algorithm":<18} {"time":>10} {"":>5} {"algbw":>8} {"busbw":>8} \
{"#wrong":>7} {"of 1st":>7}
#{"(B)":>11} {"(elements)":>10} {"":>8} {"":>5}  {"":<18} {"(us)":>10} {"+-":>5} {"(GB/s)":>8} {"(GB/s)":>8} \
{"":>7} {"row":>7}"""

LEVELS = {
    "messages": "inside a node, by messages",
    "shared": "inside a node, through shared memory",
    "between": "between nodes",
}


def lines_of(rows: Sequence[Row]) -> str:
    """The rows of one size. The last column is the time as a multiple of the first row's, which is MPI's own."""
    return "\n".join(
        f"{row.num_bytes:12d} {row.count:10d} {row.dtype:>8} {row.reduces:>5}  {row.way:<18} "
        f"{row.time.seconds * 1e6:10.{_decimals(row.time.seconds)}f} {row.time.uncertainty:5.0%} "
        f"{row.algbw / 1e9:8.3f} {row.busbw / 1e9:8.3f} {row.num_wrong:7d} "
        f"{row.time.seconds / rows[0].time.seconds:7.2f}"
        for row in rows
    )


def choice_of(table: Table) -> str:
    """The ladder, a rung a line."""
    return "\n".join([f"#\n# auto, {table.shape}:", *(f"#   {rung}" for rung in rungs_of(table.ladder))])


def rungs_of(ladder: Ladder) -> list[str]:
    """Each rung in words, aligned."""
    bounds = [f"up to {words(bound)}" for bound in ladder.bounds]
    bounds.append("beyond" if bounds else "all sizes")
    width = max(map(len, bounds))
    return [f"{bound:<{width}}  {name}" for bound, name in zip(bounds, ladder.names, strict=True)]


def link_in_words(level: str, fit: Fit) -> str:
    """A fitted link level, and how well it fits."""
    speed = f"{1e-9 / fit.link.beta:.3g} GB/s" if fit.link.beta else "bytes cost nothing that was seen"
    return f"# {LEVELS[level]}: alpha {fit.link.alpha * 1e6:.3g} us, beta {speed} (median error {fit.error:.0%})"


def _decimals(seconds: float) -> int:
    return 2 if seconds < 1e-4 else 1 if seconds < 1e-2 else 0
