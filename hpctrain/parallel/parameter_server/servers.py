"""Who serves, who works, and who holds what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hpctrain.arrays.library import host_buffer
from hpctrain.collectives.group import Group
from hpctrain.errors import SettingsError
from hpctrain.job.settings import Parallel
from hpctrain.parallel.parameter_server.keys import CUTS, Pieces, joined, spread


@dataclass(frozen=True)
class Servers:
    """The roles of the ranks of a group.

    Attributes:
        ranks: that hold a part of the weights each, in the order of the parts.
        workers: that compute; a rank may be both.
        keys: name of the way in which weights are cut.
    """

    ranks: tuple[int, ...]
    workers: tuple[int, ...]
    keys: str

    @classmethod
    def of(cls, settings: Parallel, size: int) -> Servers:
        """Those that the settings ask for: dedicated ones are the last ranks, others are spread evenly over all.

        Raises SettingsError where there are not as many ranks.
        """
        number = settings.num_servers
        if settings.dedicated_servers and number >= size:
            raise SettingsError(
                f"parallel.num_servers={number} with dedicated_servers leaves no rank of {size} to compute: use at "
                f"most {size - 1} servers, or dedicated_servers=false"
            )
        if number > size:
            raise SettingsError(
                f"parallel.num_servers={number} in a world of {size}: each server is a rank of its own, so there can "
                f"be at most {size}"
            )
        if settings.dedicated_servers:
            return cls(tuple(range(size - number, size)), tuple(range(size - number)), settings.keys)
        return cls(tuple(index * size // number for index in range(number)), tuple(range(size)), settings.keys)

    def parts(self, bucket: int, length: int) -> list[Pieces]:
        """Of each server, what it holds of a bucket of so many elements."""
        return CUTS[self.keys](length, len(self.ranks), bucket)

    def part_of(self, rank: int, bucket: int, length: int) -> Pieces:
        """The same of one rank; nothing where it does not serve."""
        return self.parts(bucket, length)[self.ranks.index(rank)] if rank in self.ranks else []

    @property
    def words(self) -> str:
        """E.g. "2 dedicated servers"."""
        kind = "dedicated " * (not set(self.ranks) & set(self.workers))
        return f"{len(self.ranks)} {kind}server{'s' * (len(self.ranks) != 1)}"


def tell_all(group: Group, servers: Servers, bucket: int, array: Any) -> None:
    """Have `array` be everywhere what each server has in its part of it. All ranks."""
    with host_buffer(array) as buffer:
        for rank, pieces in zip(servers.ranks, servers.parts(bucket, len(buffer)), strict=True):
            values = np.ascontiguousarray(joined(buffer, pieces))
            group.broadcast(values, rank)
            if group.rank != rank:
                spread(values, buffer, pieces)
