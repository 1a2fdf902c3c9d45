"""A rank among its gossip neighbours: in each round it sends them arrays, and gets theirs.

Bytes sent in an exchange: those of the array to each peer that hears this rank, its degree in the graph of the round.
"""

from __future__ import annotations

import numpy as np

from hpctrain.comm.communicator import Communicator, wait_for
from hpctrain.layout.mixing import Mixing, Neighbours
from hpctrain.parallel.gossip.sums import Heard


class Neighbourhood:
    """Counts rounds; all ranks are in the same one when they exchange.

    Attributes:
        mixing: who hears whom, with which weights.
        rank: this rank.
        round: int64 (1,): the number of rounds that are over.
    """

    def __init__(self, comm: Communicator, mixing: Mixing) -> None:
        self.mixing = mixing
        self.rank = comm.rank
        self.round = np.zeros(1, np.int64)
        self._comm = comm
        self._memory = np.empty(0, np.uint8)

    @property
    def present(self) -> Neighbours:
        """Those of this round."""
        return self.mixing.neighbours(int(self.round[0]), self.rank)

    def exchange(self, outgoing: np.ndarray) -> list[Heard]:
        """What the neighbours of this round sent, in rising order of peers; overwritten by the next exchange.

        `outgoing` is 1-D and contiguous, in the memory of the host, of the same length and dtype on all ranks. Receives
        are started before sends, and no rank waits before it has started both: no graph can make ranks wait for each
        other in a circle. All ranks.
        """
        present = self.present
        heard = [
            Heard(peer, weight, array)
            for (peer, weight), array in zip(
                present.sources, self._incoming(len(present.sources), outgoing), strict=True
            )
        ]
        arrivals = [self._comm.irecv(array, peer) for peer, _, array in heard]
        departures = [self._comm.isend(outgoing, peer) for peer in present.destinations]
        wait_for((*arrivals, *departures))
        return heard

    def advance(self) -> None:
        """The round is over. All ranks."""
        self.round += 1

    def _incoming(self, number: int, like: np.ndarray) -> list[np.ndarray]:
        """So many arrays like that one, in memory that is kept."""
        if self._memory.size < number * like.nbytes:
            self._memory = np.empty(number * like.nbytes, np.uint8)
        starts = range(0, number * like.nbytes, like.nbytes)
        return [self._memory[start : start + like.nbytes].view(like.dtype) for start in starts]
