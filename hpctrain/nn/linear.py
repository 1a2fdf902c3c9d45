"""The fully connected layer."""

from __future__ import annotations

from hpctrain.nn.module import Array, ArrayModule, Module, Parameter


class Linear(Module):
    """`x @ weight.T + bias`, over the last axis. Weights start at 0: draw them yourself."""

    def __init__(self, xp: ArrayModule, in_features: int, out_features: int, dtype: str = "float32") -> None:
        super().__init__()
        self.weight = Parameter.zeros(xp, (out_features, in_features), dtype)
        self.bias = Parameter.zeros(xp, (out_features,), dtype)
        self._input: Array = None

    def forward(self, x: Array) -> Array:
        """From (n, ..., in_features) to (n, ..., out_features)."""
        out_features, in_features = self.weight.value.shape
        self._input = x.reshape(-1, in_features)
        output = self._input @ self.weight.value.T
        output += self.bias.value
        return output.reshape(*x.shape[:-1], out_features)

    def _backward(self, gradient: Array) -> Array | None:
        shape, rows = gradient.shape, gradient.reshape(-1, gradient.shape[-1])
        self.weight.gradient += rows.T @ self._input
        self.bias.gradient += rows.sum(axis=0)
        if not self.needs_input_gradient:
            return None
        if self._input.flags.c_contiguous:
            return (rows @ self.weight.value).reshape(*shape[:-1], self._input.shape[1])
        # Samples are the last axis in the memory of the input (see conv.py), and so they are in its gradient: then
        # the layers below walk through memory in one direction only. Such an input has two axes.
        return (self.weight.value.T @ rows.T).T

    def named_parameters(self) -> list[tuple[str, Parameter]]:
        """The weight (out_features, in_features) and the bias (out_features,)."""
        return [("weight", self.weight), ("bias", self.bias)]
