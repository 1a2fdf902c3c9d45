"""A table: what was measured with one library in one shape, and which algorithm follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from hpctrain.collectives.tuning.ladder import Ladder, best_ladder
from hpctrain.collectives.tuning.links import Links, expected_seconds
from hpctrain.collectives.tuning.shape import Shape


@dataclass(frozen=True)
class Table:
    """The all-reduces of one library in one shape.

    Attributes:
        library: name and version of what carries the messages, as the communicator gives it.
        shape: of the group that measured.
        measured: where and when, for people.
        links: what was fitted to the times.
        sizes: bytes, rising.
        seconds: by algorithm, at each size; None where it was not measured.
        ladder: the choice.
        processor: that measured, by its name; "" where nobody noted it.
    """

    library: str
    shape: Shape
    measured: str
    links: Links
    sizes: tuple[int, ...]
    seconds: Mapping[str, tuple[float | None, ...]]
    ladder: Ladder
    processor: str = ""

    @property
    def family(self) -> str:
        """The library without its version."""
        return family(self.library)

    def for_shape(self, shape: Shape) -> Table:
        """The same, as it should be in another shape: every time is scaled as the model says that it changes.

        In the shape that was measured, and where what the links cost is not known, nothing changes.
        """
        if (shape.num_nodes, shape.ranks_per_node) == (self.shape.num_nodes, self.shape.ranks_per_node):
            return self
        seconds = {
            name: tuple(
                time and time * self._change(name, num_bytes, shape)
                for time, num_bytes in zip(times, self.sizes, strict=True)
            )
            for name, times in self.seconds.items()
        }
        return replace(self, shape=shape, seconds=seconds, ladder=best_ladder(self.sizes, seconds))

    def _change(self, name: str, num_bytes: int, shape: Shape) -> float:
        here = expected_seconds(name, self.shape, num_bytes, self.links)
        there = expected_seconds(name, shape, num_bytes, self.links)
        return there / here if here and there else 1.0


def family(library: str) -> str:
    """The name of a library without its version: "Open MPI" for "Open MPI 5.0.11"."""
    return library.rstrip(".0123456789").rstrip()
