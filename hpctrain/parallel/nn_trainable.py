"""A model of `hpctrain.nn` as the strategies see it, on NumPy or CuPy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hpctrain.arrays.library import library_of
from hpctrain.layout.buckets import Entry, Slot, cut_buckets
from hpctrain.parallel.trainable import Bucket


class NnTrainable:
    """Implements `Trainable`: weights and gradients are moved into the buckets once, and never copied again."""

    def __init__(self, model: Any, bucket_bytes: int) -> None:
        self._model = model
        named = model.named_parameters()
        self._parameters = [parameter for _, parameter in named]
        entries = [Entry(name, p.value.size, p.value.dtype.itemsize, str(p.value.dtype)) for name, p in named]
        self.buckets: Sequence[Bucket] = [self._fill_bucket(slots) for slots in cut_buckets(entries, bucket_bytes)]

    def _fill_bucket(self, slots: Sequence[Slot]) -> Bucket:
        like = self._parameters[slots[0].index].value
        library = library_of(like)
        weights = library.empty(like, slots[-1].stop)
        wire = library.empty(like, len(weights))
        for slot in slots:
            parameter = self._parameters[slot.index]
            for flat, name in ((weights, "value"), (wire, "gradient")):
                old = getattr(parameter, name)
                view = flat[slot.start : slot.stop].reshape(old.shape)
                view[...] = old
                setattr(parameter, name, view)
        return Bucket(weights, wire)

    def untrained(self) -> Sequence[Any]:
        """None: all arrays of these layers are trained."""
        return []

    def statistics(self) -> Sequence[Any]:
        """None."""
        return []

    def collect(self) -> None:
        """The gradients are there. Marks are not needed: every layer of such a model takes part."""

    def hand_back(self) -> None:
        """Gradients are views of the buckets."""

    def leave_updates_to_others(self, optimizer: Any) -> None:
        """Take every parameter away from the optimizer."""
        optimizer.parameters = []

    def after_backward(self, callback: Callable[[], None]) -> None:
        """The model itself calls back."""
        self._model.after_backward(callback)
