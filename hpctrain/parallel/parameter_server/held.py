"""What a server holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from hpctrain.arrays.library import host_buffer
from hpctrain.parallel.parameter_server.keys import Pieces, joined, num_elements, spread
from hpctrain.parallel.trainable import Bucket


class Held:
    """What a server holds: of each bucket its pieces, joined.

    Attributes:
        pieces: of each bucket, where they are.
        weights, gradients: of each bucket, 1-D arrays of as many elements.
    """

    def __init__(self, buckets: Sequence[Bucket], pieces: Sequence[Pieces]) -> None:
        self.pieces = pieces
        self.weights: list[np.ndarray] = []
        for bucket, its in zip(buckets, pieces, strict=True):
            with host_buffer(bucket.weights) as buffer:
                self.weights.append(np.empty(num_elements(its), buffer.dtype))
        self.gradients = [np.zeros_like(weights) for weights in self.weights]

    def take_weights(self, buckets: Sequence[Bucket]) -> None:
        """Those of the model."""
        for number, pieces in self._numbered():
            with host_buffer(buckets[number].weights) as buffer:
                self.weights[number][...] = joined(buffer, pieces)

    def take_gradients(self, buckets: Sequence[Bucket]) -> None:
        """Those in the wires."""
        for number, pieces in self._numbered():
            with host_buffer(buckets[number].wire) as buffer:
                self.gradients[number][...] = joined(buffer, pieces)

    def give_weights(self, buckets: Sequence[Bucket]) -> None:
        """Write them into the model."""
        for number, pieces in self._numbered():
            with host_buffer(buckets[number].weights) as buffer:
                spread(self.weights[number], buffer, pieces)

    def _numbered(self) -> Iterator[tuple[int, Pieces]]:
        """Buckets of which something is held: others need not leave their device."""
        return ((number, pieces) for number, pieces in enumerate(self.pieces) if pieces)
