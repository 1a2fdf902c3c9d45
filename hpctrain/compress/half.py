"""16 bits a number: IEEE half precision, and bfloat16.

    fp16    1 sign, 5 exponent, 10 mantissa bits    relative error 2**-11 from 6e-5 to 65504; absolute 3e-8 below
    bf16    1 sign, 8 exponent,  7 mantissa bits    relative error 2**-8  over nearly all of float32's range

16-bit numbers are never summed as such. As in a ring, each rank owns a block; it sums what all ranks send of it in the
gradient's own precision, in rank order, and only the mean is rounded again:

    1. rank r sends rank q its block q in 16 bits            all-to-all     (p-1)/p 2n bytes a rank
    2. rank q adds the p blocks q, and divides by p
    3. rank q sends everybody the mean of its block          all-gather     (p-1)/p 2n bytes a rank

What step 3 rounds away is known to rank q alone, so it owes p times that on top of its own: nothing is lost.

Kalamkar et al. 2019, "A study of bfloat16 for deep learning training"; Micikevicius et al. 2018, "Mixed precision
training".
"""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from hpctrain.compress.compressor import Compressor, Ranks
from hpctrain.layout.blocks import blocks

_LARGEST = np.finfo(np.float16).max


class Half(Compressor):
    """Payload: one 16-bit word a number."""

    reducible = True

    @abstractmethod
    def words(self, values: np.ndarray) -> np.ndarray:
        """Numbers as words of 16 bits, rounded to the nearest, and to even where two are as near."""

    @abstractmethod
    def numbers(self, words: np.ndarray) -> np.ndarray:
        """What words of 16 bits say, exactly, in float32."""

    def payload_bytes(self, length: int, itemsize: int) -> int:
        """2 bytes a number."""
        return 2 * length

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Round."""
        return self.words(values).view(np.uint8)

    def add(self, payload: np.ndarray, target: np.ndarray, weight: float = 1.0) -> None:
        """Widen and add."""
        target += self.numbers(payload.view(np.uint16)) * np.float32(weight)

    def average(self, owed: np.ndarray, mean: np.ndarray, ranks: Ranks) -> None:
        """As the page above says."""
        cuts = blocks(owed.size, ranks.size)
        outgoing = [self.take(owed[cut]) for cut in cuts]
        incoming = [np.empty_like(outgoing[ranks.rank]) for _ in cuts]
        ranks.all_to_all(outgoing, incoming)
        own = cuts[ranks.rank]
        mean[...] = 0
        for payload in incoming:
            self.add(payload, mean[own])
        mean[own] /= ranks.size
        parts = [np.empty_like(payload) for payload in outgoing]
        parts[ranks.rank] = self.take(mean[own])
        owed[own] += ranks.size * mean[own]
        ranks.all_gather(parts)
        mean[own] = 0
        for cut, part in zip(cuts, parts, strict=True):
            self.add(part, mean[cut])


class Fp16(Half):
    """IEEE half precision. Finite numbers beyond 65504 become 65504: the rest stays owed, and follows later."""

    def words(self, values: np.ndarray) -> np.ndarray:
        """By NumPy, but for what overflows."""
        with np.errstate(over="ignore"):
            halves = values.astype(np.float16)
        infinite = np.isinf(halves)
        if infinite.any():
            overflown = infinite & np.isfinite(values)
            halves[overflown] = np.copysign(_LARGEST, halves[overflown])
        return halves.view(np.uint16)

    def numbers(self, words: np.ndarray) -> np.ndarray:
        """By NumPy."""
        return words.view(np.float16).astype(np.float32)


class Bf16(Half):
    """The upper half of a float32. Numbers so large that they round to infinity become infinite, as in torch."""

    def words(self, values: np.ndarray) -> np.ndarray:
        """By arithmetic on the bits: add just under half of the last place that stays, or half where it is odd."""
        narrow = values.astype(np.float32, copy=False)
        bits = narrow.view(np.uint32)
        rounded = bits >> 16
        rounded &= 1
        rounded += 0x7FFF
        rounded += bits
        rounded >>= 16
        words = rounded.astype(np.uint16)
        words[np.isnan(narrow)] = 0x7FC0  # the sum may have carried a NaN over into a number
        return words

    def numbers(self, words: np.ndarray) -> np.ndarray:
        """The lower half is 0."""
        bits = words.astype(np.uint32)
        bits <<= 16
        return bits.view(np.float32)
