"""The mesh: ranks laid out along named axes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from hpctrain.errors import MeshError


@dataclass(frozen=True)
class Mesh:
    """`axes` maps an axis name to its degree; ranks are numbered with the last axis fastest (row-major)."""

    axes: Mapping[str, int]

    @classmethod
    def fit(cls, world_size: int, asked: Mapping[str, int]) -> Mesh:
        """The mesh of `asked` degrees over `world_size` ranks; at most one degree may be 0: whatever is left.

        Raises MeshError where the degrees do not multiply to the world size.
        """
        fixed = math.prod(degree for degree in asked.values() if degree)
        free = [axis for axis, degree in asked.items() if not degree]
        if len(free) > 1:
            raise MeshError(f"axes {', '.join(free)} are all to be whatever is left: give all of them but one")
        if free and world_size % fixed == 0:
            return cls({axis: degree or world_size // fixed for axis, degree in asked.items()})
        if not free and fixed == world_size:
            return cls(dict(asked))
        product = " x ".join(f"{axis}({degree})" for axis, degree in asked.items() if degree)
        if free:
            raise MeshError(f"{product} = {fixed} ranks do not divide the world of {world_size}")
        raise MeshError(
            f"{product} = {fixed} ranks, but the world has {world_size}: "
            f"use mpirun -n {fixed}, or set {' or '.join(f'parallel.{axis}=...' for axis in asked)}"
        )

    @property
    def size(self) -> int:
        """Number of ranks."""
        return math.prod(self.axes.values())

    def coordinates(self, rank: int) -> dict[str, int]:
        """Where `rank` stands on each axis."""
        if not 0 <= rank < self.size:
            raise ValueError(f"no rank {rank} on a mesh of {self.size}")
        position = {}
        for axis, degree in reversed(list(self.axes.items())):
            rank, position[axis] = divmod(rank, degree)
        return {axis: position[axis] for axis in self.axes}

    def rank(self, coordinates: Mapping[str, int]) -> int:
        """The rank that stands there."""
        rank = 0
        for axis, degree in self.axes.items():
            if not 0 <= coordinates[axis] < degree:
                raise ValueError(f"no place {coordinates[axis]} on the {axis} axis of {degree}")
            rank = rank * degree + coordinates[axis]
        return rank

    def group(self, axis: str, rank: int) -> list[int]:
        """The ranks that differ from `rank` on `axis` alone, itself included, in the order of the axis."""
        here = self.coordinates(rank)
        return [self.rank({**here, axis: place}) for place in range(self.axes[axis])]
