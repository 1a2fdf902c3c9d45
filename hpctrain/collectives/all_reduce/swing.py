"""Swing: halving and doubling whose peers stay near on a ring or torus.

In step s = 0, 1, 2, ... rank r meets the rank at the distance d(s) = 1 - 2 + 4 - ... + (-2)^s = (1 - (-2)^(s+1)) / 3,
that is 1, -1, 3, -5, 11, ...: ahead of it when r is even, behind it when r is odd. That is at most about two thirds of
the 2^s of recursive doubling, in turn to one side and to the other, so fewer messages share a link.

    step 0:  0 <──> 1    2 <──> 3    4 <──> 5    6 <──> 7
    step 1:  7 <──> 0    1 <──> 2    3 <──> 4    5 <──> 6
    step 2:  0 <──> 3    2 <──> 5    4 <──> 7    6 <──> 1

Why halving works with these peers, for p = 2^k ranks. d(s) is odd: an even rank meets an odd one, and each is the
other's peer. Let T(r, s) be the ranks that r reaches in the steps s, ..., k-1, whose pieces r is responsible for when
step s begins. For even r these are the even ranks r + 2^(s+1) Z and the odd ranks r + d(s) + 2^(s+1) Z, modulo p:
- in the last step, s = k-1, that is r and its peer;
- T(r, s) is T(r, s+1) and T(peer, s+1). Their even ranks are r + 2^(s+2) Z and, since the peer r + d(s) meets
  r + d(s) - d(s+1) = r - (-2)^(s+1), r + 2^(s+1) + 2^(s+2) Z: together r + 2^(s+1) Z. Their odd ranks lie likewise at
  r + d(s+1) + 2^(s+2) Z and r + d(s) + 2^(s+2) Z, which differ by 2^(s+1): together r + d(s) + 2^(s+1) Z.
So in each step the ranks fall into 2^s classes of p / 2^s, every class parts into two for the next step, and peers part
there. With the pieces laid out in the order of the classes, what a rank gives away is one half of what it has. Bit s+1
tells the even ranks of a class from those of its twin: the class where it is 0 keeps the lower half.

Steps: 2 log2 p. Bytes sent per rank: 2 (p-1)/p n. Where p is no power of two, its largest power of two takes the place
of p, and `fold.py` adds 2 steps, and n bytes on the ranks that fold. (The paper goes on without folding for even p; the
pieces of one message then lie scattered over the buffer.)

De Sensi, Bonato, Saam and Hoefler, "Swing: Short-cutting rings for higher bandwidth allreduce", NSDI 2024, section 3.
"""

from __future__ import annotations

import numpy as np

from hpctrain.collectives import partners
from hpctrain.collectives.all_reduce.fold import folded
from hpctrain.collectives.all_reduce.halving import halve_and_double
from hpctrain.comm.communicator import Communicator
from hpctrain.comm.operation import Op


def swing(comm: Communicator, buffer: np.ndarray, op: Op) -> None:
    """Combine the contiguous `buffer` of all ranks, in place. All ranks."""
    folded(comm, buffer.reshape(-1), op, _among_a_power_of_two)


def _among_a_power_of_two(comm: Communicator, buffer: np.ndarray, op: Op, size: int) -> None:
    halve_and_double(comm, buffer, op, partners.swing(comm.rank, size))
