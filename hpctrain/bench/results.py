"""What a measurement leaves behind: the tuning file and the plot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hpctrain.bench import plot
from hpctrain.bench.arguments import Asked
from hpctrain.collectives.all_reduce import ALGORITHMS
from hpctrain.collectives.tuning.file import merged, read, write
from hpctrain.collectives.tuning.table import Table
from hpctrain.errors import EnvironmentProblem


@dataclass(frozen=True)
class Results:
    """Where they go. Rank 0 alone."""

    out: Path | None
    plot: Path | None
    earlier: tuple[Table, ...]

    @classmethod
    def prepare(cls, asked: Asked) -> Results:
        """Find out beforehand what would be a pity to find out afterwards; raises HpctrainError."""
        for path in filter(None, (asked.out, asked.plot)):
            if not path.absolute().parent.is_dir():
                raise EnvironmentProblem(f"there is no folder {path.absolute().parent} to write {path.name} into")
        if asked.plot:
            plot.check_matplotlib()
        return cls(asked.out, asked.plot, read(asked.out, ALGORITHMS) if asked.out and asked.out.exists() else ())

    def keep(self, tables: Sequence[Table], say: Callable[[str], None]) -> None:
        """Write what was asked for, if there is anything to write."""
        if self.out and tables:
            write(self.out, merged(self.earlier, tables))
            say(f"#\n# tuning file: {self.out} (comm.tuning_file=..., hpctrain.init(tuning=...), HPCTRAIN_TUNING=...)")
        if self.plot and tables:
            plot.draw(self.plot, tables)
            say(f"# plot: {self.plot}")
