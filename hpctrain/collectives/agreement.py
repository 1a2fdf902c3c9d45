"""Ranks agree on what they are about to do together, before they do it.

One all-reduce of 16 bytes: the largest of h and of -h over all ranks, where h hashes what a rank is about to do. All
ranks are about to do the same if and only if the two are of the same size; so every rank knows, and where they differ
all tell each other.
"""

from __future__ import annotations

from collections import defaultdict
from hashlib import blake2b

import numpy as np

from hpctrain.collectives.all_reduce.recursive_doubling import recursive_doubling
from hpctrain.comm.communicator import Communicator
from hpctrain.comm.operation import Op
from hpctrain.comm.rank_words import named
from hpctrain.errors import CommunicationError


class Agreement:
    """Of the ranks of one group. `comm` is for it alone, so that it can meet nothing else. All ranks must make it."""

    def __init__(self, comm: Communicator) -> None:
        self._comm = comm

    def reach(self, intent: str) -> None:
        """Return when all ranks have called with the same words for what they are about to do. All ranks.

        Raises CommunicationError on all ranks where the words differ, with those of each rank.
        """
        digest = int.from_bytes(blake2b(intent.encode(), digest_size=8).digest()) >> 1  # fits an int64, also negative
        votes = np.array([digest, -digest])
        if self._comm.native:
            self._comm.native.all_reduce(votes, Op.MAX)
        else:
            recursive_doubling(self._comm, votes, Op.MAX)
        if votes[0] != -votes[1]:
            raise CommunicationError(self._difference(intent))

    def close(self) -> None:
        """Give back the communicator. All ranks."""
        self._comm.close()

    def _difference(self, intent: str) -> str:
        ranks = defaultdict(list)
        for rank, told in enumerate(self._comm.gather_objects(intent)):
            ranks[told].append(rank)
        sides = "; ".join(f"{named(who)}: {told}" for told, who in ranks.items())
        return f"all ranks of a group must call the same collective from the same line, and they do not: {sides}"
