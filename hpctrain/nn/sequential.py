"""Layers one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from hpctrain.nn.module import Array, Module, Parameter


class Sequential(Module):
    """Each layer takes the output of the one before.

    Parameters are called after the layer, which has the name that it is given, or its position: "0.weight", "2.1.bias".
    """

    def __init__(self, layers: Sequence[Module] | Mapping[str, Module]) -> None:
        super().__init__()
        named = layers if isinstance(layers, Mapping) else {str(index): layer for index, layer in enumerate(layers)}
        self._names, self.layers = list(named), list(named.values())
        self._first = 0  # backward ends with this layer

    def forward(self, x: Array) -> Array:
        """Through all layers."""
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def _backward(self, gradient: Array) -> Array | None:
        for layer in reversed(self.layers[self._first :]):
            gradient = layer.backward(gradient)
        return gradient if self.needs_input_gradient else None

    def named_parameters(self) -> list[tuple[str, Parameter]]:
        """Those of all layers, under "<name of the layer>.<name in the layer>"."""
        return [
            (f"{own_name}.{name}", parameter)
            for own_name, layer in zip(self._names, self.layers, strict=True)
            for name, parameter in layer.named_parameters()
        ]

    def modules(self) -> Iterator[Module]:
        """This one, and all that its layers hold."""
        yield self
        for layer in self.layers:
            yield from layer.modules()

    def skip_input_gradient(self) -> None:
        """Let backward end in the first layer with parameters."""
        super().skip_input_gradient()
        learning = [position for position, layer in enumerate(self.layers) if layer.named_parameters()]
        self._first = learning[0] if learning else len(self.layers)
        for position in learning[:1]:
            self.layers[position].skip_input_gradient()
