"""The sum over the NUMA domains of a node of arrays that lie in its memory and may be used up.

    1. in each domain every rank adds up, over the arrays of the domain, a block of its own, in its own array:

           rank 0   [ a01 |     ]      rank 1   [     | b01 ]      the sum of domain 0 then lies in two arrays,
           rank 2   [ a23 |     ]      rank 3   [     | b23 ]      and so does that of domain 1

    2. after a barrier each rank adds up, over the domains, the part of the result that is its own

So each number crosses from one domain to another once, and not once a rank (`part.py`). Where a node has one domain,
the first step is left out, and with it the barrier.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import numpy as np

from hpctrain.collectives.part import Part
from hpctrain.collectives.slices import Step, combining
from hpctrain.comm.operation import Op
from hpctrain.layout.blocks import blocks


def sums_of_domain(part: Part, arrays: Sequence[np.ndarray], op: Op) -> Iterable[Step]:
    """The steps that add up this rank's block over its domain, in its own of `arrays`; none with one domain.

    `arrays` are those of all ranks of the node, in rank order: 1-D, contiguous, and of one length.
    """
    if len(part.domains) == 1:
        return ()
    near = [arrays[rank][part.alone(arrays[rank].size)] for rank in part.neighbours]
    return combining(near, [near[part.place]], op.pairwise, part.size)


def what_to_add(part: Part, arrays: Sequence[np.ndarray], cut: slice) -> Iterator[tuple[slice, list[np.ndarray]]]:
    """For each piece of `cut`, where the sums of the domains lie; or, with one domain, the numbers of all ranks."""
    if len(part.domains) == 1:
        yield cut, [array[cut] for array in arrays]
        return
    owners = [dict(zip(ranks, blocks(arrays[0].size, len(ranks)), strict=True)) for ranks in part.domains]
    bounds = {cut.start, cut.stop, *(block.start for owner in owners for block in owner.values())}
    for start, stop in pairwise(sorted(bound for bound in bounds if cut.start <= bound <= cut.stop)):
        piece = slice(start, stop)
        ranks = [next(r for r, block in owner.items() if block.start <= start < block.stop) for owner in owners]
        yield piece, [arrays[rank][piece] for rank in ranks]
