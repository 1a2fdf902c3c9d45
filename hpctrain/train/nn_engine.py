"""Our own layers compute, on NumPy or CuPy: no torch is needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from hpctrain.data.batch import Batch
from hpctrain.errors import CheckpointError
from hpctrain.nn.dropout import key_dropout
from hpctrain.nn.loss import cross_entropy, mean_squared_error
from hpctrain.train.engine import Arrays, Sums, check_arrays

LOSSES: Mapping[str, Callable[..., tuple[float, Any, float | None]]] = {
    "cross_entropy": cross_entropy,
    "mse": mean_squared_error,
}


class NnEngine:
    """Implements `Engine` with a model of `hpctrain.nn` and an optimizer of `hpctrain.optim`; `xp` is their library."""

    def __init__(self, model: Any, optimizer: Any, xp: Any, *, loss: str) -> None:
        self.model = model
        self.optimizer = optimizer
        self._xp = xp
        self._loss = LOSSES[loss]

    @property
    def device(self) -> str:
        """E.g. "cpu" or "cuda:0"."""
        if self._xp is np:
            return "cpu"
        return f"cuda:{self._xp.cuda.runtime.getDevice()}"

    @property
    def num_weights(self) -> int:
        """Number of trained weights."""
        return sum(parameter.value.size for _, parameter in self.model.named_parameters())

    def forward_backward(self, batch: Batch, scale: float) -> Sums:
        """One forward and backward pass; none for an empty batch."""
        if not len(batch):
            return Sums()
        self.model.train()
        key_dropout(self.model, batch.epoch, batch.ids)
        outputs = self.model.forward(self._xp.asarray(batch.inputs))
        loss, gradient, correct = self._loss(self._xp, outputs, self._xp.asarray(batch.targets))
        gradient *= scale
        self.model.backward(gradient)
        return Sums(loss, correct or 0.0, len(batch))

    def evaluate(self, batch: Batch) -> Sums:
        """One forward pass; none for an empty batch."""
        if not len(batch):
            return Sums()
        self.model.eval()
        outputs = self.model.forward(self._xp.asarray(batch.inputs))
        loss, _, correct = self._loss(self._xp, outputs, self._xp.asarray(batch.targets))
        return Sums(loss, correct or 0.0, len(batch))

    def zero_grad(self) -> None:
        """Fill the gradients with 0."""
        self.optimizer.zero_grad()

    def step(self, learning_rate: float) -> None:
        """Update the weights."""
        self.optimizer.lr = learning_rate
        self.optimizer.step()

    def weights(self) -> dict[str, np.ndarray]:
        """The parameters."""
        return {name: _to_numpy(parameter.value) for name, parameter in self.model.named_parameters()}

    def shards(self) -> dict[str, dict[str, np.ndarray]]:
        """The weights, and the optimizer's state as it names it."""
        return {
            "model": self.weights(),
            "optimizer": {name: _to_numpy(value) for name, value in self.optimizer.state_dict().items()},
        }

    def load(self, shards: Mapping[str, Arrays]) -> None:
        """Write the weights in place: they are views of buckets."""
        parameters = dict(self.model.named_parameters())
        expected = {name: (tuple(p.value.shape), str(p.value.dtype)) for name, p in parameters.items()}
        if problems := check_arrays("the checkpoint", shards["model"], expected):
            raise CheckpointError("the checkpoint is of another model: " + "; ".join(problems[:5]))
        for name, parameter in parameters.items():
            parameter.value[...] = self._xp.asarray(shards["model"][name])
        if state := shards.get("optimizer"):
            self.optimizer.load_state_dict(
                {key: state[key] if key == "step" else self._xp.asarray(state[key]) for key in state}
            )


def _to_numpy(value: Any) -> np.ndarray:
    return np.asarray(value.get() if hasattr(value, "get") else value)
