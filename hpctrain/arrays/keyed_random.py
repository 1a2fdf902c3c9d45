"""Random numbers as a pure function of what they are for: no state, no order, no rank.

A number is a hash of its key, e.g. (seed, layer, epoch, sample, element). Whoever computes it, on however many ranks
and with whichever array library, gets the same bits; so a run does not depend on the world size or the engine. This is
the idea of counter-based generators (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"). The hash is
lowbias32 of C. Wellons (2018, "Prospecting for Hash Functions"), whose two multiplications and three shifts make every
bit of the input change every bit of the output with a probability close to one half.

For drop-out and its like: fast and well mixed, not for cryptography.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

_MASK = 0xFFFFFFFF
_START = 0x9E3779B9  # any non-zero word: the hash leaves 0 where it is


def uniform(ids: Any, elements: Any, *keys: int) -> Any:
    """Uniform random numbers in [0, 1), one row for each sample, multiples of 2**-24.

    Uses the operators of the arrays alone, so NumPy, CuPy and torch give equal numbers (as float64, float64 and torch's
    default dtype, all of which hold them exactly).

    Args:
        ids: (n,) int64, what makes a row: the numbers of the samples.
        elements: (size,) int64, what makes a column: 0 .. size - 1, of the same library and device as `ids`.
        keys: integers of up to 64 bits that all numbers share, e.g. seed, layer and epoch.

    Returns:
        (n, size), row i a function of (keys, ids[i]) alone.
    """
    state: Any = _START
    for key in (*keys, ids):
        state = _absorb(state, key)
    bits = _mix(state[:, None] ^ _mix(elements ^ _START))
    return (bits >> 8) * 2.0**-24


def keep_mask(ids: Any, elements: Any, dropped: float, *keys: int) -> Any:
    """Booleans (n, size), False with probability `dropped` (rounded to 2**-24); arguments as in `uniform`.

    The rounding makes the bound exact in float32 too: every library then draws the line at the same place.
    """
    return uniform(ids, elements, *keys) >= round(dropped * 2**24) / 2**24


def name_key(name: str) -> int:
    """A 64-bit key for a name, the same in every process (which Python's hash() is not)."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")


def generator(seed: int, name: str) -> np.random.Generator:
    """A NumPy generator of its own for each (seed, name), e.g. for the initial value of one parameter.

    Philox (Salmon et al. 2011) takes any 128-bit key, and streams of different keys are independent.
    """
    key = hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little")))


def _absorb(state: Any, key: Any) -> Any:
    """The next state: `key` is taken in as two words of 32 bits."""
    return _mix(_mix(state ^ (key & _MASK)) ^ ((key >> 32) & _MASK))


def _mix(word: Any) -> Any:
    """lowbias32 of integers in [0, 2**32), as Python integers or int64 arrays.

    The second factor is 0x846CA68B, written as the negative number it is modulo 2**32: no product leaves int64.
    """
    word = word ^ (word >> 16)
    word = (word * 0x7FEB352D) & _MASK
    word = word ^ (word >> 15)
    word = (word * -0x7B935975) & _MASK
    return word ^ (word >> 16)
