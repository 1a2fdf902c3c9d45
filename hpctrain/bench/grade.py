"""How good a tuning file is: what "auto" chooses by it, against the best of a run that it was not made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from hpctrain.bench.measure import Row

AUTO = "auto"
MARK, TINY_SECONDS = 1.10, 5e-6
"""Within a tenth of the best, or within 5 us of it."""


@dataclass(frozen=True)
class Grade:
    """One size.

    Attributes:
        chosen: what auto uses there.
        seconds: that auto took.
        best, best_seconds: the fastest of all others, the library's own in one call included.
        noise: how far apart the two times may be by chance, in seconds: twice the standard error of the difference.
    """

    HEADER: ClassVar[str] = (
        f"#{'size':>11}  {'auto uses':<18} {'time':>10}   {'the best':<18} {'time':>10} {'ratio':>6}\n"
        f"#{'(B)':>11}  {'':<18} {'(us)':>10}   {'':<18} {'(us)':>10}"
    )

    num_bytes: int
    chosen: str
    seconds: float
    best: str
    best_seconds: float
    noise: float

    @classmethod
    def of(cls, rows: Sequence[Row], chosen: str) -> Grade:
        """From the rows of one size, one of which is AUTO's."""
        auto = next(row.time for row in rows if row.way == AUTO)
        best = min((row for row in rows if row.way != AUTO), key=lambda row: row.time.seconds)
        errors = [time.uncertainty * time.seconds for time in (auto, best.time)]
        noise = 2 * sum(error**2 for error in errors) ** 0.5
        return cls(rows[0].num_bytes, chosen, auto.seconds, best.way, best.time.seconds, noise)

    @property
    def ratio(self) -> float:
        """auto's time as a multiple of the best."""
        return self.seconds / self.best_seconds

    @property
    def verdict(self) -> str:
        """ "ok" within the mark, "noise" where the difference may be chance, else "SLOWER"."""
        if self.ratio <= MARK or self.seconds - self.best_seconds <= TINY_SECONDS:
            return "ok"
        return "noise" if self.seconds - self.best_seconds <= self.noise else "SLOWER"

    @property
    def is_slower(self) -> bool:
        """Beyond the mark, and beyond chance."""
        return self.verdict == "SLOWER"

    def __str__(self) -> str:
        return (
            f"{self.num_bytes:12d}  {self.chosen:<18} {self.seconds * 1e6:10.1f}   {self.best:<18} "
            f"{self.best_seconds * 1e6:10.1f} {self.ratio:6.2f}  {self.verdict}"
        )


def summary(grades: Sequence[Grade]) -> str:
    """One line on all sizes."""
    counts = {verdict: sum(grade.verdict == verdict for grade in grades) for verdict in ("ok", "noise", "SLOWER")}
    worst = max(grades, key=lambda grade: grade.ratio)
    return (
        f"# {len(grades)} sizes: {counts['ok']} within {MARK - 1:.0%} or {TINY_SECONDS * 1e6:.0f} us of the best, "
        f"{counts['noise']} beyond it by no more than noise, {counts['SLOWER']} slower; "
        f"largest ratio {worst.ratio:.2f} at {worst.num_bytes} B"
    )
