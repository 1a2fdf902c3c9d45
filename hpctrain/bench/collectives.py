"""`bench collectives`: every collective, algorithm and size, in the shapes of groups that the job offers."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from hpctrain.bench import report
from hpctrain.bench.arguments import Asked
from hpctrain.bench.fit import Fit, fit_level, links_of
from hpctrain.bench.grade import AUTO, Grade
from hpctrain.bench.measure import Effort, Row, measure
from hpctrain.bench.operations import Operation
from hpctrain.bench.tables import table_of, times_of
from hpctrain.collectives.group import Group
from hpctrain.collectives.tuning.shape import Shape
from hpctrain.collectives.tuning.table import Table
from hpctrain.launch.cores import cores_of_node
from hpctrain.launch.host import cpu_model
from hpctrain.launch.world import World

Say = Callable[[str], None]
TUNED = "all_reduce"


@dataclass(frozen=True)
class Part:
    """A group to measure, and whether this rank is in the one that does: of several alike, the one with rank 0."""

    group: Group
    measures: bool

    @property
    def shape(self) -> Shape:
        """Of the group."""
        return Shape.of(self.group.topology, self.group.tuning.crowded)


def measure_all(world: World, asked: Asked, say: Say) -> dict[Shape, list[Row]]:
    """Measure every collective that is asked for in every shape; the rows, which rank 0 has all of. All ranks."""
    rows: dict[Shape, list[Row]] = {}
    for part, found in _races(world.group, asked, report.HEADER, lambda part, made: made, say):
        rows.setdefault(part.shape, []).extend(found)
        say(report.lines_of(found))
    return rows


def grade_all(world: World, asked: Asked, say: Say) -> list[Grade]:
    """Measure the all-reduce anew, "auto" among the others; how good it was, which rank 0 knows for all. All ranks."""

    def with_auto(part: Part, made: Operation) -> Operation:
        return replace(made, ways={**made.ways, AUTO: partial(part.group.all_reduce, algorithm=AUTO)})

    grades: list[Grade] = []
    for part, found in _races(world.group, replace(asked, operations=(TUNED,)), Grade.HEADER, with_auto, say):
        grades.append(Grade.of(found, part.group.ladder.at(found[0].num_bytes)))
        say(str(grades[-1]))
    return grades


def tables_of(rows: Mapping[Shape, Sequence[Row]], library: str, say: Say) -> list[Table]:
    """A table for each shape in which the all-reduce was measured, with the links that all of them show."""
    tuned = {shape: [row for row in found if row.operation == TUNED] for shape, found in rows.items()}
    tuned = {shape: found for shape, found in tuned.items() if found}
    fits = _fits(tuned)
    processor = cpu_model()
    where = f"{library}, {processor}, {cores_of_node()} cores, {datetime.date.today().isoformat()}"
    tables = [
        replace(table_of(found, library, shape, where), links=links_of(fits), processor=processor)
        for shape, found in tuned.items()
    ]
    for table in tables:
        say(report.choice_of(table))
    for level, fit in fits.items():
        say(report.link_in_words(level, fit))
    return tables


def _races(
    group: Group, asked: Asked, header: str, make: Callable[[Part, Operation], Operation], say: Say
) -> Iterator[tuple[Part, list[Row]]]:
    """The rows of each size in turn, on the ranks that measure them. All ranks."""
    say(f"# {group.comm.library}, {datetime.date.today().isoformat()}")
    parts = _parts(group)
    effort = Effort(asked.repeats, asked.max_seconds / (len(parts) * len(asked.operations)))
    for part in parts:
        if part.measures:
            say(f"#\n# {part.shape}\n#\n{header}")
            for name in asked.operations:
                note, maker = _commented(say), partial(make, part)
                for found in measure(part.group, name, asked.dtype, asked.sizes, effort, note, maker):
                    yield part, found
        group.comm.idle_barrier()  # the others sleep meanwhile


def _parts(group: Group) -> list[Part]:
    """All ranks; and, on several nodes with several ranks, the ranks of one node, and one rank of each node."""
    parts = [Part(group, True)]
    if group.num_nodes > 1 and max(group.topology.local_size(rank) for rank in range(group.size)) > 1:
        parts.append(Part(group.split(group.node), group.node == 0))
        parts.append(Part(group.split(group.local_rank), group.local_rank == 0))
    return parts


def _fits(rows: Mapping[Shape, Sequence[Row]]) -> dict[str, Fit]:
    """Each link level, from the shape that shows it most purely: that with one rank on a node shows what is between."""
    fits: dict[str, Fit] = {}
    for shape in sorted(rows, key=lambda shape: (shape.ranks_per_node, shape.num_nodes)):
        for level in report.LEVELS:
            found = fit_level(shape, times_of(rows[shape]), level)
            if found is not None:
                fits.setdefault(level, found)
    return fits


def _commented(say: Say) -> Say:
    return lambda text: say(f"# {text}")
