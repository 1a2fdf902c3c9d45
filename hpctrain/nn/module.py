"""What a layer is: values with gradients, a forward pass, and a backward pass written by hand."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

Array = Any  # numpy.ndarray or cupy.ndarray
ArrayModule = Any  # numpy or cupy


@dataclass(eq=False)
class Parameter:
    """One array that is learned.

    Layers read both arrays anew each time and change them in place alone: they may be views of flat buffers which
    travel between ranks.

    Attributes:
        value: the weights, C-contiguous.
        gradient: of the same shape and dtype; every backward pass adds to it.
    """

    value: Array
    gradient: Array

    @classmethod
    def zeros(cls, xp: ArrayModule, shape: tuple[int, ...], dtype: str) -> Parameter:
        """A parameter of zeros, with no gradient yet."""
        return cls(xp.zeros(shape, dtype), xp.zeros(shape, dtype))


@dataclass(frozen=True)
class Handle:
    """Says how to take a callback off again; a second time does nothing."""

    remove: Callable[[], object]


class Module(ABC):
    """Base of all layers and of models.

    `backward` belongs to the last `forward`, of which the layer keeps what it needs.

    Attributes:
        training: whether layers that differ, such as dropout, behave as in training (the default).
        needs_input_gradient: whether `backward` returns the gradient of the input.
    """

    training = True
    needs_input_gradient = True

    def __init__(self) -> None:
        self._before_backward: dict[object, Callable[[], None]] = {}
        self._after_backward: dict[object, Callable[[], None]] = {}

    @abstractmethod
    def forward(self, x: Array) -> Array:
        """The output for `x`, whose first axis counts the samples; there may be none. `x` is left as it is."""

    def backward(self, gradient: Array) -> Array | None:
        """Add to the gradients of the parameters, and go on to the input.

        Args:
            gradient: of the loss by the output of the last `forward`, of its shape. Left as it is.

        Returns:
            The gradient by the input, or None after `skip_input_gradient()`.
        """
        for callback in tuple(self._before_backward.values()):
            callback()
        input_gradient = self._backward(gradient)
        for callback in tuple(self._after_backward.values()):
            callback()
        return input_gradient

    @abstractmethod
    def _backward(self, gradient: Array) -> Array | None:
        """What `backward` says, without the callbacks."""

    def before_backward(self, callback: Callable[[], None]) -> Handle:
        """Have `callback()` called at the start of every `backward` of this very module."""
        key = object()
        self._before_backward[key] = callback
        return Handle(partial(self._before_backward.pop, key, None))

    def after_backward(self, callback: Callable[[], None]) -> Handle:
        """Have `callback()` called at the end of every `backward` of this very module (not of one that holds it)."""
        key = object()
        self._after_backward[key] = callback
        return Handle(partial(self._after_backward.pop, key, None))

    def named_parameters(self) -> list[tuple[str, Parameter]]:
        """All parameters in the order of the forward pass, under the names that torch gives them."""
        return []

    def modules(self) -> Iterator[Module]:
        """This module and all that it holds."""
        yield self

    def train(self) -> None:
        """From now on behave as in training."""
        for module in self.modules():
            module.training = True

    def eval(self) -> None:
        """From now on behave as in use."""
        for module in self.modules():
            module.training = False

    def skip_input_gradient(self) -> None:
        """Never compute the gradient of the input: nobody needs that of the data, and it can cost a third of a pass."""
        self.needs_input_gradient = False
