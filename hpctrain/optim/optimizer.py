"""What all optimizers share: the walk over the parameters, the state, and the hooks around a step.

The arithmetic calls NumPy's functions with `out=`; NumPy hands those on CuPy arrays to CuPy, so that nothing here
imports it. A family (sgd.py, adam.py, ...) is one method, `_update`.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Protocol, Self

import numpy as np

from hpctrain.errors import CheckpointError

Array = Any  # numpy.ndarray or cupy.ndarray
StepHook = Callable[["Optimizer", tuple[Any, ...], dict[str, Any]], object]

# Elements that one pass works on: with their gradients and state they stay in a core's cache from the first operation
# to the last, where whole arrays would come from memory for each. A GPU has no use for it and takes arrays whole.
_BLOCK = 32768


class Parameter(Protocol):
    """What an optimizer needs of a parameter. Both arrays are C-contiguous, looked up at every step."""

    value: Array
    gradient: Array


@dataclass(frozen=True)
class Handle:
    """Says how to take a hook off again; a second time does nothing."""

    remove: Callable[[], object]


class Optimizer(ABC):
    """Base of all optimizers. Values change in place; gradients are only read, but for `zero_grad`.

    Attributes:
        lr: the learning rate; may be set between steps.
        weight_decay: this much of the value is added to the gradient (L2 regularisation).
        parameters: with their names.
        parts: of each parameter, by name, the elements that `step` updates: all, unless other ranks own the rest. State
            may be kept of these alone (`move_state`).
        gradients: by name, of parameters whose gradient is not their own array: 1-D, of the part that `step` updates.
        num_steps: that were made; the corrections of Adam's moments go by it.
    """

    slots: ClassVar[tuple[str, ...]] = ()  # names of the state arrays of each parameter, as torch calls them

    def __init__(self, parameters: Sequence[tuple[str, Parameter]], lr: float, weight_decay: float = 0.0) -> None:
        self.lr = lr
        self.weight_decay = weight_decay
        self.parameters = tuple(parameters)
        self.parts = {name: slice(0, int(parameter.value.size)) for name, parameter in parameters}
        self.gradients: dict[str, Array] = {}
        self.num_steps = 0
        self._state = {
            # memory of which nothing is touched yet, so that none is taken where only a part will be kept
            f"{name}.{slot}": np.zeros(parameter.value.shape, parameter.value.dtype, like=parameter.value)
            for name, parameter in parameters
            for slot in self.slots
        }
        self._scratch = _scratch([parameter.value for _, parameter in parameters])
        self._pre_hooks: dict[object, StepHook] = {}
        self._post_hooks: dict[object, StepHook] = {}

    def step(self) -> None:
        """Update every value by its gradient."""
        for hook in tuple(self._pre_hooks.values()):
            hook(self, (), {})
        self.num_steps += 1
        for name, parameter in self.parameters:
            part = self.parts[name]
            own_gradient = self.gradients.get(name, parameter.gradient)
            state = [self._state[f"{name}.{slot}"] for slot in self.slots]
            flat = [_of_part(array, part) for array in (parameter.value, own_gradient, *state)]
            scratch = self._scratch[parameter.value.dtype]
            block = scratch.shape[1]
            for start in range(0, part.stop - part.start, block):
                value, gradient, *slots = (array[start : start + block] for array in flat)
                decayed, free = scratch[:, : value.size]
                if self.weight_decay:
                    np.multiply(value, self.weight_decay, out=decayed)
                    decayed += gradient
                    gradient = decayed
                self._update(value, gradient, slots, free)
        for hook in tuple(self._post_hooks.values()):
            hook(self, (), {})

    @abstractmethod
    def _update(self, value: Array, gradient: Array, slots: list[Array], scratch: Array) -> None:
        """Change 1-D `value` and `slots` in place; `gradient` is left alone; `scratch`, of their size, is free."""

    def zero_grad(self) -> None:
        """Set the gradients of all parameters to 0, but those that are not their own arrays."""
        for name, parameter in self.parameters:
            if name not in self.gradients:
                parameter.gradient[...] = 0

    def state_dict(self) -> dict[str, Any]:
        """All that a resumed run needs: {"step": int, "<parameter>.<slot>": array}. The arrays are not copies."""
        return {"step": self.num_steps, **self._state}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave, by value. Arrays may be NumPy's on every engine.

        Raises CheckpointError, with nothing changed, where names, shapes or dtypes differ.
        """
        expected = {"step", *self._state}
        if state.keys() != expected:
            raise CheckpointError(
                f"the state does not fit the optimizer {type(self).__name__}: "
                f"missing {sorted(expected - state.keys())}, unknown {sorted(state.keys() - expected)}"
            )
        for key, array in self._state.items():
            found = state[key]
            if (found.shape, found.dtype) != (array.shape, array.dtype):
                raise CheckpointError(
                    f"the optimizer's state {key} is {found.dtype} {found.shape}, "
                    f"and must be {array.dtype} {array.shape}"
                )
        self.num_steps = int(state["step"])
        for key, array in self._state.items():
            array[...] = state[key]

    def move_state(self, key: str, move: Callable[[Array], Array]) -> None:
        """Have the array under `key` of `state_dict` lie elsewhere: `move(array)` gives one of the same numbers.

        It may be 1-D, of the part that `step` updates.
        """
        self._state[key] = move(self._state[key])

    def over(self, parameters: Sequence[tuple[str, Parameter]]) -> Self:
        """An optimizer of the same rule and options for other parameters: with a state of its own, and no hooks."""
        other = copy.copy(self)
        Optimizer.__init__(other, parameters, self.lr, self.weight_decay)
        return other

    def register_step_pre_hook(self, hook: StepHook) -> Handle:
        """Have `hook(optimizer, args, kwargs)` called before every step, with empty args and kwargs."""
        return _register(self._pre_hooks, hook)

    def register_step_post_hook(self, hook: StepHook) -> Handle:
        """Have `hook(optimizer, args, kwargs)` called after every step, with empty args and kwargs."""
        return _register(self._post_hooks, hook)


def _of_part(array: Array, part: slice) -> Array:
    """1-D; of what holds the part alone, all."""
    flat = array.reshape(-1)
    return flat if flat.size == part.stop - part.start else flat[part]


def _register(hooks: dict[object, StepHook], hook: StepHook) -> Handle:
    key = object()
    hooks[key] = hook
    return Handle(partial(hooks.pop, key, None))


def _scratch(values: Sequence[Array]) -> dict[Any, Array]:
    """Two rows of working memory for each dtype, as long as a step takes at once."""
    longest = {value.dtype: value for value in sorted(values, key=lambda value: int(value.size))}
    return {dtype: np.empty_like(value, shape=(2, _block_length(value))) for dtype, value in longest.items()}


def _block_length(value: Array) -> int:
    whole = max(1, int(value.size))
    return min(whole, _BLOCK) if isinstance(value, np.ndarray) else whole
