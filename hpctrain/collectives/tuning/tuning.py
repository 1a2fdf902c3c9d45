"""The tables of a job, and the one that is nearest to a group."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from hpctrain.collectives.tuning.file import packaged_tables
from hpctrain.collectives.tuning.ladder import Ladder
from hpctrain.collectives.tuning.shape import Shape
from hpctrain.collectives.tuning.table import Table, family


@dataclass(frozen=True)
class Tuning:
    """What the groups of a job choose by. The same on all ranks.

    Attributes:
        tables: of a site's own file; those of the package stand behind them.
        crowded: whether the job has more ranks than cores on some node.
        processor: that rank 0 runs on, by its name.
    """

    tables: tuple[Table, ...] = ()
    crowded: bool = False
    processor: str = ""

    def ladder(self, library: str, shape: Shape, allowed: Collection[str], otherwise: str) -> Ladder:
        """Which of the `allowed` algorithms is used up to how many bytes, by what messages travel in `library`.

        From the nearest table, scaled to the shape; for sizes that it does not reach from the next that does.
        `otherwise` where they hold none of the allowed ones.
        """
        nearest, *others = self.by_nearness(library, shape, has_native="native" in allowed)
        # What is best inside a node says nothing of links between nodes, nor the other way.
        further = [table for table in others if (table.shape.num_nodes > 1) == (nearest.shape.num_nodes > 1)]
        ladder, smallest, largest = nearest.for_shape(shape).ladder, nearest.sizes[0], nearest.sizes[-1]
        for table in further:
            if table.sizes[-1] > largest:
                ladder, largest = ladder.then(largest, table.for_shape(shape).ladder), table.sizes[-1]
            if table.sizes[0] < smallest:
                ladder, smallest = table.for_shape(shape).ladder.then(smallest - 1, ladder), table.sizes[0]
        return ladder.only(allowed, otherwise)

    def by_nearness(self, library: str, shape: Shape, has_native: bool) -> list[Table]:
        """All tables, the one that is least unlike first.

        What weighs most comes first: one node against several; the family of the library (then, whether it has
        collectives of its own); the site's tables before the package's; crowded or not; octaves between the numbers of
        nodes and ranks; words in which the names of the processors differ. Of equals, the first.
        """

        def unlikeness(table: Table) -> tuple[bool | float, ...]:
            other_kind, other_crowd, octaves = shape.distance(table.shape)
            other_family = table.family != family(library)
            other_native = ("native" in table.seconds) != has_native
            packaged = not any(table is own for own in self.tables)
            other_words = len(set(self.processor.split()) ^ set(table.processor.split()))
            return other_kind, other_family, other_native, packaged, other_crowd, octaves, other_words

        return sorted((*self.tables, *packaged_tables()), key=unlikeness)
