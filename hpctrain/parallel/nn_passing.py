"""Gradients of an `hpctrain.nn` model that pass through wires: each layer finds room for its own, and then lets go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from hpctrain.layout.buckets import Slot
from hpctrain.parallel.gradient_sync.in_passing import GradientsInPassing


class WiresInPassing:
    """Opens the wire of a bucket before the first layer adds to it, and says when the last one has."""

    def __init__(
        self, model: Any, cuts: Sequence[Sequence[Slot]], parameters: Sequence[Any], sync: GradientsInPassing
    ) -> None:
        self._cuts = cuts
        self._parameters = parameters
        self._sync = sync
        self._open: set[int] = set()
        self._left = [len(slots) for slots in cuts]  # of each bucket, gradients that are still to come in this pass
        self._filled: Callable[[int], None]
        buckets = {parameters[slot.index]: number for number, slots in enumerate(cuts) for slot in slots}
        for module in model.modules():
            if len(list(module.modules())) == 1 and module.named_parameters():
                numbers = [buckets[parameter] for _, parameter in module.named_parameters()]
                module.before_backward(partial(self._before, numbers))
                module.after_backward(partial(self._after, numbers))

    def watch(self, filled: Callable[[int], None]) -> None:
        """Have `filled(number)` called when all gradients of a bucket are there."""
        self._filled = filled

    def end(self) -> None:
        """The pass is over."""
        for number in tuple(self._open):
            self._close(number)
        self._left = [len(slots) for slots in self._cuts]

    def _before(self, numbers: Sequence[int]) -> None:
        for number in set(numbers) - self._open:
            slots = self._cuts[number]
            wire = self._sync.open(number, self._parameters[slots[0].index].value)
            self._open.add(number)
            for slot in slots:
                parameter = self._parameters[slot.index]
                parameter.gradient = wire[slot.start : slot.stop].reshape(parameter.value.shape)

    def _after(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            self._left[number] -= 1
            if self._left[number] == 0:
                self._close(number)
                self._filled(number)

    def _close(self, number: int) -> None:
        self._open.discard(number)
        for slot in self._cuts[number]:
            self._parameters[slot.index].gradient = None
