"""What every compressor does: one array becomes a payload of fewer bytes, and arrays of all ranks become their mean.

    encode        values    ──> payload       a number of bytes that depends on the settings and the length alone
    add           payload   ──> target += what the payload says
    take          owed      ──> payload       and owed keeps what the payload does not say
    average       owed of all ranks ──> the mean of what they sent, the same bits on all; each keeps what it did not say

Arrays are 1-D, C-contiguous, float32 or float64, in the memory of the host. Numbers that are not finite are never
hidden: where one goes in, some that are not finite come out, of a payload and of a mean alike.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Protocol

import numpy as np


class Ranks(Protocol):
    """What a compressor asks of the ranks: three collectives on buffers in the memory of the host. All ranks."""

    @property
    def rank(self) -> int:
        """This rank."""

    @property
    def size(self) -> int:
        """The number of ranks."""

    def mean(self, array: np.ndarray) -> None:
        """Replace a 1-D array by its mean over all ranks, the same bits on each."""

    def all_gather(self, parts: Sequence[np.ndarray]) -> None:
        """Fill `parts[q]` with rank q's own part, for every other rank q; lengths may differ."""

    def all_to_all(self, outgoing: Sequence[np.ndarray], incoming: Sequence[np.ndarray]) -> None:
        """Send `outgoing[q]` to every rank q, and fill `incoming[q]` with what rank q has for this one."""


class Compressor(ABC):
    """Base of all compressors. One belongs to one bucket of one rank, and is made with the same settings on all ranks.

    Attributes:
        reducible: whether what ranks send can be summed on its way, so that `average` needs no more bytes a rank in
            larger worlds. All others gather the payloads of all ranks, and each rank adds them in rank order.
    """

    reducible: ClassVar[bool] = False

    @abstractmethod
    def payload_bytes(self, length: int, itemsize: int) -> int:
        """The bytes of the payload of `length` numbers of `itemsize` bytes."""

    @abstractmethod
    def encode(self, values: np.ndarray) -> np.ndarray:
        """The payload of an array, uint8. `values` are left alone."""

    @abstractmethod
    def add(self, payload: np.ndarray, target: np.ndarray, weight: float = 1.0) -> None:
        """Add `weight` times what a payload of any rank says to `target`, of the length and dtype that was encoded."""

    def take(self, owed: np.ndarray) -> np.ndarray:
        """The payload of an array, which keeps the rest: afterwards `owed` is what the payload does not say."""
        payload = self.encode(owed)
        self.add(payload, owed, -1.0)
        return payload

    def average(self, owed: np.ndarray, mean: np.ndarray, ranks: Ranks) -> None:
        """Fill `mean` with the mean of what ranks send of their `owed`, which keep what is not in it. All ranks.

        To rounding, mean + (the mean of `owed` over ranks) is afterwards what the mean of `owed` was before.
        """
        payloads = np.empty((ranks.size, self.payload_bytes(owed.size, owed.itemsize)), np.uint8)
        payloads[ranks.rank] = self.take(owed)
        ranks.all_gather(list(payloads))
        mean[...] = 0
        for payload in payloads:
            self.add(payload, mean)
        mean /= ranks.size

    def wire_bytes(self, length: int, itemsize: int, size: int) -> int:
        """The bytes that all `size` ranks together send in one `average`, by rings.

        A payload that is gathered goes from each rank to all others; one that is reduced goes round twice.
        """
        return self.payload_bytes(length, itemsize) * (size - 1) * (2 if self.reducible else size)

    def state(self) -> dict[str, np.ndarray]:
        """The arrays that go from step to step, by name; not copies. Whoever loads a state writes into them."""
        return {}
