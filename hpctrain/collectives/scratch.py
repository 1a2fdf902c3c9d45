"""Memory that the ranks of a node share for pieces of arrays on their way.

There are two of everything, taken in turn. So a rank may fill the next piece in while others still read the last one,
and one barrier a piece is enough: who has passed it knows that all have done with the piece before.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hpctrain.collectives.kept import Kept
from hpctrain.collectives.part import Part
from hpctrain.comm.communicator import Communicator

PIECE_BYTES = 512 * 1024
"""Of one piece. Those of two ranks stay in the cache of a core, those of many in that of their processor."""

TURNS = 2
"""How many there are of everything."""

_MOST_STAGES = 64  # more lengths than that are not met again and again


class Stage:
    """Where a piece of some length passes: views of shared memory, made once.

    Attributes:
        inputs: an array for each rank of the node.
        result: one for the node.
        alone, mine: the slices that this rank adds up; see `Part`.
        filled: what of this rank's numbers the others read, all but `alone`: the slices, and the views of its input.
        copied: what of the result this rank has not added up, all but `mine`: the slices, and the views of the result.
        before, after: the inputs of the own domain, cut to `alone`, before this rank's own and after it.
        own_sum: where their sum goes.
        sums: the sums of all domains, cut to `mine`; none where there is one domain.
        spare: a total for who may not let it grow in place: its own numbers are read late. Else None.
    """

    def __init__(self, part: Part, inputs: list[np.ndarray], result: np.ndarray) -> None:
        length = result.size
        self.inputs = inputs
        self.result = result
        self.alone, self.mine = part.alone(length), part.mine(length)
        self.filled = [(cut, inputs[part.rank][cut]) for cut in _all_but(self.alone, length)]
        self.copied = [(cut, result[cut]) for cut in _all_but(self.mine, length)]
        sources = [inputs[rank][self.alone] for rank in part.neighbours]
        self.before, self.after = sources[: part.place], sources[part.place + 1 :]
        self.own_sum = inputs[part.neighbours[0]][self.alone]
        several = len(part.domains) > 1
        self.sums = [inputs[ranks[0]][self.mine] for ranks in part.domains] if several else []
        late = part.place > 1 and not several
        self.spare = np.empty(self.mine.stop - self.mine.start, result.dtype) if late else None


class Scratch:
    """Of the ranks of one node. All ranks must make it; they then take the same stages, in the same order."""

    def __init__(self, node: Communicator, part: Part) -> None:
        """Raises SharedMemoryError on all ranks."""
        num_pieces = 2 * TURNS if node.rank == 0 else TURNS
        segments = node.shared_memory(num_pieces * PIECE_BYTES, "collectives on a node")
        self._node = node
        self._part = part
        self._inputs = [[_piece(segment, turn) for segment in segments] for turn in range(TURNS)]
        self._results = [_piece(segments[0], TURNS + turn) for turn in range(TURNS)]
        self._stages: Kept[tuple[int, np.dtype[Any], int], Stage] = Kept(_MOST_STAGES)
        self._long_result = np.empty(0, np.uint8)
        self._turn = 0

    def take(self, piece: np.ndarray) -> Stage:
        """A stage for a piece of PIECE_BYTES at most, that nobody uses any more."""
        return self.stage(self.next_turn(), piece.dtype, piece.size)

    def next_turn(self) -> int:
        """The number of a turn that nobody uses any more."""
        self._turn = turn = 1 - self._turn
        return turn

    def stage(self, turn: int, dtype: np.dtype[Any], length: int) -> Stage:
        """That of a certain turn, for who takes nothing, and uses it between two barriers of its own."""
        key = turn, dtype, length
        stage = self._stages.get(key)
        if stage is None:
            num_bytes = length * dtype.itemsize
            inputs = [memory[:num_bytes].view(dtype) for memory in self._inputs[turn]]
            stage = self._stages[key] = Stage(self._part, inputs, self._results[turn][:num_bytes].view(dtype))
        return stage

    def take_long(self, piece: np.ndarray) -> np.ndarray:
        """A result like `piece`, which may be longer. There is only one such."""
        if self._long_result.size < piece.nbytes:
            self._long_result = np.empty(0, np.uint8)  # first give back, then take
            num_bytes = 1 << (piece.nbytes - 1).bit_length()  # so that it does not grow again and again
            segments = self._node.shared_memory(num_bytes if self._node.rank == 0 else 0, "collectives between nodes")
            self._long_result = segments[0]
        return self._long_result[: piece.nbytes].view(piece.dtype)


def _all_but(cut: slice, length: int) -> list[slice]:
    return [rest for rest in (slice(0, cut.start), slice(cut.stop, length)) if rest.stop > rest.start]


def _piece(segment: np.ndarray, index: int) -> np.ndarray:
    return segment[index * PIECE_BYTES : (index + 1) * PIECE_BYTES]
