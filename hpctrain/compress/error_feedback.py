"""Error feedback: what compression leaves out of one step is added to the next.

    corrected = gradient + residual
    send compress(corrected)
    residual  = corrected - what that says

No part of a gradient is lost, it only comes later, and so compressed descent arrives where plain descent does.

Seide et al. 2014, "1-bit stochastic gradient descent"; Karimireddy et al. 2019, "Error feedback fixes SignSGD and other
gradient compression schemes".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from hpctrain.compress.compressor import Compressor, Ranks
from hpctrain.errors import CheckpointError


class ErrorFeedback:
    """A compressor with the memory of what it has left out: one for each bucket, on each rank.

    It holds two arrays as long as the bucket. A step with a gradient that is not finite leaves the residual as it was:
    such a step is skipped or ends the run, and must not spoil all that follow.
    """

    def __init__(self, compressor: Compressor, length: int, dtype: np.dtype[Any]) -> None:
        """For a bucket of `length` numbers of `dtype`, float32 or float64."""
        self.compressor = compressor
        self._residual = np.zeros(length, dtype)
        self._corrected = np.zeros(length, dtype)
        self._start = {name: array.copy() for name, array in compressor.state().items()}

    def average(self, gradient: np.ndarray, ranks: Ranks) -> None:
        """Replace the gradients of all ranks by the mean of what they send, the same bits on each. All ranks."""
        with self._correcting(gradient) as corrected:
            self.compressor.average(corrected, gradient, ranks)

    def encode(self, gradient: np.ndarray) -> np.ndarray:
        """The payload of a gradient, for one who then calls `compressor.add` with it. Not collective."""
        with self._correcting(gradient) as corrected:
            return self.compressor.take(corrected)

    def state(self) -> dict[str, np.ndarray]:
        """All that a resumed run needs: the residual and the compressor's own arrays, by name. Not copies."""
        return {"residual": self._residual, **self.compressor.state()}

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Take over what `state` gave, by value.

        Raises CheckpointError, with nothing changed, where names, shapes or dtypes differ.
        """
        own = self.state()
        if state.keys() != own.keys():
            raise CheckpointError(
                f"the state does not fit the compression {type(self.compressor).__name__}: "
                f"missing {sorted(own.keys() - state.keys())}, unknown {sorted(state.keys() - own.keys())}"
            )
        for name, array in own.items():
            found = state[name]
            if (found.shape, found.dtype) != (array.shape, array.dtype):
                raise CheckpointError(
                    f"the compression's state {name} is {found.dtype} {found.shape}, "
                    f"and must be {array.dtype} {array.shape}: were buckets or parameters changed?"
                )
        for name, array in own.items():
            array[...] = state[name]

    def reset(self) -> None:
        """Forget: everything is as when it was made. All ranks, or they no longer fit together."""
        self._residual[...] = 0
        for name, array in self.compressor.state().items():
            array[...] = self._start[name]

    @contextmanager
    def _correcting(self, gradient: np.ndarray) -> Iterator[np.ndarray]:
        """Gradient and residual as one array, of which what is left on leaving becomes the residual.

        `gradient` is looked at on leaving: where it is not finite, be it one's own or the mean, the residual stays.
        """
        with np.errstate(over="ignore", invalid="ignore"):  # numbers that are not finite are passed on, not warned of
            np.add(gradient, self._residual, out=self._corrected)
            yield self._corrected
        if np.isfinite(gradient).all():
            self._residual, self._corrected = self._corrected, self._residual
