"""A model of `hpctrain.nn` and its optimizer as the strategies see them, on NumPy or CuPy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from hpctrain.layout.buckets import Entry, Slot, cut_buckets
from hpctrain.parallel.plan import Plan
from hpctrain.parallel.trainable import Bucket


class NnTrainable:
    """Implements `Trainable`: weights, gradients and state are moved into flat arrays once, and never copied again."""

    def __init__(self, model: Any, optimizer: Any, plan: Plan) -> None:
        self._model = model
        named = model.named_parameters()
        self._parameters = [parameter for _, parameter in named]
        entries = [Entry(name, p.value.size, p.value.dtype.itemsize, str(p.value.dtype)) for name, p in named]
        cuts = cut_buckets(entries, plan.bucket_bytes)
        self.buckets = [self._fill_bucket(slots, plan) for slots in cuts]
        self.owned = [plan.partition.owned(len(b.weights), b.weights.itemsize) for b in self.buckets]
        for slots, owned in zip(cuts, self.owned, strict=True):
            for slot in slots:
                start, stop = max(slot.start, owned.start), min(slot.stop, owned.stop)
                name = named[slot.index][0]
                optimizer.parts[name] = slice(start - slot.start, max(start, stop) - slot.start)
        for slots in cuts:
            for kind in optimizer.slots:
                like = self._parameters[slots[0].index].value
                flat = plan.weight_sync.allocate(like, slots[-1].stop)
                for slot in slots:
                    optimizer.move_state(f"{named[slot.index][0]}.{kind}", partial(_moved, flat=flat, slot=slot))

    def _fill_bucket(self, slots: Sequence[Slot], plan: Plan) -> Bucket:
        like = self._parameters[slots[0].index].value
        weights = plan.weight_sync.allocate(like, slots[-1].stop)
        wire = plan.gradient_sync.allocate(like, slots[-1].stop)
        for slot in slots:
            parameter = self._parameters[slot.index]
            plan.group.broadcast(parameter.value)  # ranks that share the memory of the weights all write it
            for flat, name in ((weights, "value"), (wire, "gradient")):
                setattr(parameter, name, _moved(getattr(parameter, name), flat, slot))
        return Bucket(weights, wire)

    def untrained(self) -> Sequence[Any]:
        """None: all arrays of these layers are trained."""
        return []

    def collect(self) -> np.ndarray:
        """The gradients are there, and every layer of such a model takes part: nothing is to be noted."""
        return np.empty(0)

    def hand_back(self, notes: np.ndarray) -> None:
        """Gradients are views of the wires."""

    def before_step(self) -> None:
        """The optimizer knows its parts."""

    def after_step(self) -> None:
        """Its state lies where all ranks see it."""

    def forget_gradients(self) -> None:
        """Such a model's gradients are set to 0 before each step anyway: backward adds to them."""

    def around_backward(
        self, begin: Callable[[], None], filled: Callable[[int], None], end: Callable[[], None]
    ) -> None:
        """The model itself says when it is done; layers add to gradients where they lie, and do not say when."""
        self._model.after_backward(end)


def _moved(array: Any, flat: Any, slot: Slot) -> Any:
    """A view of `flat` that holds what `array` holds."""
    view = flat[slot.start : slot.stop].reshape(array.shape)
    view[...] = array
    return view
