"""The same bits at any world size: one sum over the micro-batches, in the order of one fixed tree.

    micro-batches   0   1   2   3   4   5   6   7        The global batch is cut into so many at any world size, and
    rank            0   0   0   1   1   1   2   2        each one's gradient is computed by itself.
    partial sums    0-1     2   3   4-5     6-7          What is whole of the tree on a rank is joined there;
    slices          each rank gets its slice of all of these, joins the rest, and all gather the result.

Every addition of the tree (`layout/binary_tree.py`) is made once, with the same operands, wherever that is: the sum has
the same bits at 1, 3 or 8 ranks. Only messages between two ranks are used, so they are the same over MPI and without.

Bytes sent per rank and step, for gradients of n bytes: (k+1) (p-1)/p n, where k is the number of partial sums of the
rank: 1, as with a ring, where p and the number of micro-batches are powers of two; else at most 2 log2(m) + 1
for m micro-batches on the rank. Memory beyond that of all-reduce: k+1 times n at once, in the memory of the host.

The idea of a fixed order of summation: Demmel and Nguyen, "Parallel reproducible summation", IEEE Transactions on
Computers 64 (2015), section 1, who also make the sum independent of the order, at a greater cost.
"""

from __future__ import annotations

from itertools import chain

import numpy as np

from hpctrain.arrays.library import host_buffer, library_of
from hpctrain.collectives.all_gather import all_gather
from hpctrain.collectives.group import Group
from hpctrain.comm.communicator import wait_for
from hpctrain.comm.operation import Op
from hpctrain.errors import ModelError
from hpctrain.layout.binary_tree import Subtree, TreeSum, subtrees
from hpctrain.layout.blocks import blocks
from hpctrain.parallel.memory import PrivateWires
from hpctrain.parallel.trainable import Trainable


class ReproducibleGradients(PrivateWires):
    """Implements `GradientSync` and `Accumulation`: rank r computes its block of the micro-batches.

    Gradients are added up and not averaged, which would round differently at each world size: what is scaled is the
    loss. Micro-batches that lack samples, and so a backward pass, are the last ones, and count as zeros.
    """

    loss_scale = 1

    def __init__(self, group: Group, num_micro_batches: int) -> None:
        super().__init__(group)
        self._num_micro_batches = num_micro_batches
        cuts = blocks(num_micro_batches, group.size)
        self._mine = cuts[group.rank]
        self._partials = [subtrees(cut, num_micro_batches) for cut in cuts]  # of each rank
        self.num_passes = self._mine.stop - self._mine.start
        self.description = f"reproducible ({num_micro_batches} micro-batches, fixed order)"
        self._begin()

    def _begin(self) -> None:
        """A new step."""
        self._next = self._mine.start
        self._sums: TreeSum[list[np.ndarray]] = TreeSum(self._num_micro_batches, _add_all)
        self._notes: list[np.ndarray] = []

    def check(self, trainable: Trainable, read_gradients: bool) -> None:
        """Refuse what depends on which rank has seen which sample."""
        if read_gradients:
            raise ModelError("micro-batches make one sum for a step, not one for each backward(): read_gradients=False")
        if trainable.statistics():
            raise ModelError(
                "training.reproducible=true: a layer such as BatchNorm keeps running means of the samples that its own "
                "rank has seen, which depend on the number of ranks: use GroupNorm or LayerNorm in its place"
            )

    def end_pass(self, trainable: Trainable) -> None:
        """Take the gradients of this pass, and leave nothing of them to the next one."""
        self._notes.append(trainable.collect())
        self._push([library_of(wire).to_host(wire) for wire in self._wires])
        for wire in self._wires:
            wire[...] = 0  # some backward passes add to what is there
        trainable.forget_gradients()

    def _push(self, gradients: list[np.ndarray]) -> None:
        self._sums.push(Subtree(self._next, self._next + 1), gradients)
        self._next += 1

    def finish(self, notes: np.ndarray) -> None:
        """Sum every wire over all micro-batches. Of notes, which say what there is, the largest counts."""
        while self._next < self._mine.stop:
            self._push([np.zeros_like(library_of(wire).to_host(wire)) for wire in self._wires])
        np.maximum.reduce([notes, *self._notes], out=notes)
        self._group.all_reduce(notes, Op.MAX)
        with self._group.traffic.timed():
            for number, wire in enumerate(self._wires):
                with host_buffer(wire) as total:
                    self._add_up([sums[number] for _, sums in self._sums.parts], total)
        self._begin()

    def finish_everywhere(self, notes: np.ndarray) -> None:
        """Every rank has all sums anyway."""
        self.finish(notes)

    def _add_up(self, own: list[np.ndarray], total: np.ndarray) -> None:
        """Make `total` the sum of all ranks' partial sums, of which this rank has its own."""
        comm = self._group.comm
        cuts = blocks(total.size, comm.size)
        mine = cuts[comm.rank]
        parts = [[np.empty(mine.stop - mine.start, total.dtype) for _ in its] for its in self._partials]
        parts[comm.rank] = [sums[mine] for sums in own]
        peers = [(comm.rank + step) % comm.size for step in range(1, comm.size)]
        transfers = [comm.irecv(part, peer) for peer in peers for part in parts[peer]]
        transfers += [comm.isend(sums[cuts[peer]], peer) for peer in peers for sums in own]
        wait_for(transfers)
        tree: TreeSum[np.ndarray] = TreeSum(self._num_micro_batches, _add)
        for subtree, part in zip(chain(*self._partials), chain(*parts), strict=True):
            tree.push(subtree, part)
        total[mine] = tree.parts[0][1]
        all_gather(comm, [total[cut] for cut in cuts])

    def add_owners(self, number: float) -> float:
        """Every rank owns everything."""
        return number


def _add(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    np.add(left, right, out=left)
    return left


def _add_all(left: list[np.ndarray], right: list[np.ndarray]) -> list[np.ndarray]:
    return [_add(*pair) for pair in zip(left, right, strict=True)]
