"""A model of `hpctrain.nn` and its optimizer as the strategies see them, on NumPy or CuPy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from hpctrain.arrays.library import host_buffer, library_of
from hpctrain.layout.buckets import Entry, Slot, cut_buckets
from hpctrain.parallel.gradient_sync.in_passing import GradientsInPassing
from hpctrain.parallel.memory import private
from hpctrain.parallel.nn_passing import WiresInPassing
from hpctrain.parallel.partition import Nothing, Sharded
from hpctrain.parallel.plan import Plan
from hpctrain.parallel.trainable import Bucket


class NnTrainable:
    """Implements `Trainable`: weights, gradients and state are moved into flat arrays once, and never copied again."""

    def __init__(self, model: Any, optimizer: Any, plan: Plan) -> None:
        self._model = model
        self._optimizer = optimizer
        self._group = plan.group
        self._named = model.named_parameters()
        self._parameters = [parameter for _, parameter in self._named]
        entries = [Entry(name, p.value.size, p.value.dtype.itemsize, str(p.value.dtype)) for name, p in self._named]
        self._cuts = cut_buckets(entries, plan.bucket_bytes)
        self._passing: WiresInPassing | None = None
        if isinstance(plan.gradient_sync, GradientsInPassing):
            self._passing = WiresInPassing(model, self._cuts, self._parameters, plan.gradient_sync)
        self.buckets = [self._fill_bucket(slots, plan) for slots in self._cuts]
        self.owned = [plan.partition.owned(len(b.weights), b.weights.itemsize) for b in self.buckets]
        self._shards = plan.partition if isinstance(plan.partition, Sharded) else None
        self._own_state: dict[tuple[int, str], Any] = {}
        for number, (slots, owned) in enumerate(zip(self._cuts, self.owned, strict=True)):
            for slot in slots:
                self._own(number, slot, owned)
            for kind in optimizer.slots:
                like = self._parameters[slots[0].index].value
                if isinstance(plan.partition, Nothing):
                    continue  # whoever updates keeps it; see `parameter_server.part_optimizer`
                if self._shards:
                    self._own_state[number, kind] = private(like, owned.stop - owned.start)
                    self._keep_own(number, kind)
                    continue
                flat = plan.weight_sync.allocate(like, slots[-1].stop)
                for slot in slots:
                    optimizer.move_state(self._key(slot, kind), partial(_moved, flat=flat, slot=slot))

    def _fill_bucket(self, slots: Sequence[Slot], plan: Plan) -> Bucket:
        like = self._parameters[slots[0].index].value
        weights = plan.weight_sync.allocate(like, slots[-1].stop)
        places = [(slot.start, self._parameters[slot.index].value.shape) for slot in slots]
        wire = plan.gradient_sync.allocate(like, slots[-1].stop, places)
        for slot in slots:
            parameter = self._parameters[slot.index]
            plan.group.broadcast(parameter.value)  # ranks that share the memory of the weights all write it
            parameter.value = _moved(parameter.value, weights, slot)
            parameter.gradient = None if self._passing else _moved(parameter.gradient, wire, slot)
        return Bucket(weights, wire, places, [self._named[slot.index][0] for slot in slots])

    def _own(self, number: int, slot: Slot, owned: slice) -> None:
        """Have the optimizer update the owned part of a parameter."""
        name = self._named[slot.index][0]
        part = _part(slot, owned)
        self._optimizer.parts[name] = part
        if self._passing:
            first = slot.start + part.start - owned.start
            self._optimizer.gradients[name] = self.buckets[number].wire[first : first + part.stop - part.start]

    def _key(self, slot: Slot, kind: str) -> str:
        return f"{self._named[slot.index][0]}.{kind}"

    def _keep_own(self, number: int, kind: str) -> None:
        """Have the optimizer keep state of the owned parts alone."""
        own, owned = self._own_state[number, kind], self.owned[number]
        for slot in self._cuts[number]:
            part = _part(slot, owned)
            first = slot.start + part.start - owned.start
            kept = own[first : first + part.stop - part.start]
            self._optimizer.move_state(self._key(slot, kind), partial(_cut, kept=kept, part=part))

    def optimizer_state(self) -> Mapping[str, Mapping[str, Any]]:
        """Its arrays."""
        state = self._optimizer.state_dict()
        kinds = self._optimizer.slots
        return {name: {kind: state[f"{name}.{kind}"] for kind in kinds} for name, _ in self._named}

    def untrained(self) -> Sequence[Any]:
        """None: all arrays of these layers are trained."""
        return []

    def statistics(self) -> Sequence[Any]:
        """None of these layers keeps any."""
        return []

    def collect(self) -> np.ndarray:
        """The gradients are there, and every layer of such a model takes part: nothing is to be noted."""
        return np.empty(0)

    def hand_back(self, notes: np.ndarray) -> None:
        """Gradients are views of the wires."""

    def owned_gradients(self) -> Sequence[Any]:
        """Views of the wires."""
        if self._passing:
            return [bucket.wire for bucket in self.buckets]
        return [bucket.wire[owned] for bucket, owned in zip(self.buckets, self.owned, strict=True)]

    def before_step(self, gradients: Sequence[Any]) -> None:
        """The optimizer knows its parts, and reads their gradients in the wires."""

    def after_step(self) -> None:
        """Its state lies where all ranks see it."""

    @contextmanager
    def whole(self) -> Iterator[None]:
        """The weights always are."""
        kept: dict[str, Any] = {}
        for (number, kind), own in self._own_state.items():
            whole = self._gathered(own, len(self.buckets[number].weights))
            if self._group.rank == 0:
                kept |= self._show(number, kind, whole)
        yield
        for key, array in kept.items():
            self._optimizer.move_state(key, lambda _, array=array: array)

    @contextmanager
    def loading(self) -> Iterator[None]:
        """Whole arrays for the optimizer's state, of which each rank then keeps its own part."""
        for number, kind in self._own_state:
            weights = self.buckets[number].weights
            self._show(number, kind, private(weights, len(weights)))
        yield
        for number, kind in self._own_state:
            self._keep_own(number, kind)

    def _gathered(self, own: Any, length: int) -> Any:
        """On rank 0, the parts of all ranks; elsewhere nothing. All ranks."""
        library, comm = library_of(own), self._group.comm
        if comm.rank:
            comm.send(library.to_host(own), 0)
            return None
        whole = library.empty(own, length)
        with host_buffer(whole) as buffer:
            assert self._shards  # else no state is of this rank alone
            cuts = self._shards.all_owned(length, buffer.itemsize)
            buffer[cuts[0]] = library.to_host(own)
            for rank, cut in enumerate(cuts[1:], start=1):
                comm.recv(buffer[cut], rank)
        return whole

    def _show(self, number: int, kind: str, whole: Any) -> dict[str, Any]:
        """Have the optimizer's state lie in `whole`; returns where it was, by key."""
        state = self._optimizer.state_dict()
        before = {}
        for slot in self._cuts[number]:
            key, shape = self._key(slot, kind), self._parameters[slot.index].value.shape
            before[key] = state[key]
            self._optimizer.move_state(
                key, lambda _, slot=slot, shape=shape: whole[slot.start : slot.stop].reshape(shape)
            )
        return before

    def forget_gradients(self) -> None:
        """Such a model's gradients are set to 0 before each step anyway: backward adds to them."""

    def around_backward(
        self, begin: Callable[[], None], filled: Callable[[int], None], end: Callable[[], None]
    ) -> None:
        """The model itself says when it is done; layers add to gradients where they lie, and in passing say when."""
        if self._passing:
            self._passing.watch(filled)
            self._model.after_backward(self._passing.end)
        self._model.after_backward(end)


def _part(slot: Slot, owned: slice) -> slice:
    """The owned elements of a parameter."""
    start, stop = max(slot.start, owned.start), min(slot.stop, owned.stop)
    start = min(start, slot.stop)
    return slice(start - slot.start, max(start, stop) - slot.start)


def _cut(array: Any, kept: Any, part: slice) -> Any:
    """`kept`, holding that part of what `array` holds."""
    kept[...] = array.reshape(-1)[part]
    return kept


def _moved(array: Any, flat: Any, slot: Slot) -> Any:
    """A view of `flat` that holds what `array` holds."""
    view = flat[slot.start : slot.stop].reshape(array.shape)
    view[...] = array
    return view
