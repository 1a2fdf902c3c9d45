"""A torch module and its optimizer as the strategies see them."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch.nn.modules.batchnorm import _NormBase

from hpctrain.errors import ModelError
from hpctrain.layout.buckets import Entry, Slot, cut_buckets
from hpctrain.parallel.missing_gradients import missing_gradients
from hpctrain.parallel.plan import Plan
from hpctrain.parallel.torch_owned_step import OwnedStep, Place, WholeStep
from hpctrain.parallel.trainable import Bucket


class TorchTrainable:
    """Implements `Trainable` for torch.nn.Module and torch.optim.Optimizer.

    Every rank starts from rank 0's weights. They are moved into flat buckets, of which the parameters become views;
    parameters that are not trained stay where they are. A gradient is moved into its wire as soon as autograd has made
    it, while it is in the caches, and `p.grad` then is a view too. Moving the model to another device or dtype
    afterwards would leave the buckets behind, so that must be done before.
    """

    def __init__(
        self, model: torch.nn.Module, optimizer: torch.optim.Optimizer, plan: Plan, tell: Callable[[str], None]
    ) -> None:
        """`tell` is called, on rank 0 alone, with what a person should be told once: gradients that are missing."""
        self._model = model
        self._group = plan.group
        self._tell = tell
        self._told: set[int] = set()  # of which parameters
        named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
        if not named:
            raise ModelError("the model has no parameter that requires a gradient: there is nothing to train")
        self._names = [name for name, _ in named]
        self._parameters = [parameter for _, parameter in named]
        self._gradients: dict[torch.Tensor, torch.Tensor] = {}  # of each parameter, its place in a wire
        entries = [Entry(name, p.numel(), p.element_size(), f"{p.dtype} on {p.device}") for name, p in named]
        cuts = cut_buckets(entries, plan.bucket_bytes)
        self.buckets = [self._fill_bucket(slots, plan) for slots in cuts]
        self.owned = [
            plan.partition.owned(len(bucket.weights), bucket.weights.element_size()) for bucket in self.buckets
        ]
        places = [
            Place(self._parameters[slot.index], number, slot.start, slot.stop)
            for number, slots in enumerate(cuts)
            for slot in slots
        ]
        self._step = (
            WholeStep()
            if plan.partition.is_whole
            else OwnedStep(optimizer, places, self.buckets, self.owned, plan.weight_sync)
        )
        self._state_changed = False
        self._norms = [
            buffer
            for module in model.modules()
            if isinstance(module, _NormBase)
            for buffer in module.buffers()
            if buffer.is_floating_point()
        ]
        self._bucket_of: dict[torch.Tensor, int] = {place.parameter: place.bucket for place in places}
        self._num_in_bucket = [len(slots) for slots in cuts]
        self._missing: list[int] = []  # of each bucket, gradients of the pass under way; empty outside of one

    def _fill_bucket(self, slots: Sequence[Slot], plan: Plan) -> Bucket:
        like = self._parameters[slots[0].index].detach()
        weights = plan.weight_sync.allocate(like, slots[-1].stop)
        wire = plan.gradient_sync.allocate(like, slots[-1].stop)
        # Ranks that share the memory of the weights all write it: first they must agree what to write.
        parameters = [self._parameters[slot.index] for slot in slots]
        weights.copy_(plan.group.broadcast(torch.cat([p.detach().reshape(-1) for p in parameters])))
        for slot, parameter in zip(slots, parameters, strict=True):
            parameter.data = weights[slot.start : slot.stop].view(parameter.shape)
            self._gradients[parameter] = wire[slot.start : slot.stop].view(parameter.shape)
        return Bucket(weights, wire)

    def untrained(self) -> Sequence[torch.Tensor]:
        """The module's buffers and frozen parameters."""
        frozen = [parameter.detach() for parameter in self._model.parameters() if not parameter.requires_grad]
        return [*self._model.buffers(), *frozen]

    @torch.no_grad()
    def _move_gradient(self, parameter: torch.Tensor) -> None:
        place, gradient = self._gradients[parameter], parameter.grad
        if gradient is not None and gradient is not place:
            place.copy_(gradient.to_dense() if gradient.is_sparse else gradient)
            parameter.grad = place

    def collect(self) -> np.ndarray:
        """Fill in what autograd did not make.

        The notes are a mark for each parameter that has a gradient here, whether any has, whether the optimizer's state
        was changed from outside, and the means and variances of normalisation layers. Other buffers are left to each
        rank.
        """
        marks = [parameter.grad is not None for parameter in self._parameters]
        for parameter, is_there in zip(self._parameters, marks, strict=True):
            if is_there:
                self._move_gradient(parameter)  # which somebody may have set without a backward pass
            else:
                self._gradients[parameter].zero_()
        statistics = [buffer.detach().double().cpu().reshape(-1).numpy() for buffer in self._norms]
        return np.concatenate([np.array([*marks, any(marks), self._step.is_foreign()], np.float64), *statistics])

    @torch.no_grad()
    def hand_back(self, notes: np.ndarray) -> None:
        """A parameter for which no rank has a gradient gets none."""
        self._missing.clear()  # whatever became of the last pass
        lengths = [len(self._parameters), 1, 1, *(buffer.numel() for buffer in self._norms)]
        marks, active, foreign, *statistics = np.split(notes, np.cumsum(lengths)[:-1])
        self._state_changed = foreign[0] > 0
        lacking = np.flatnonzero(marks < active)
        if not self._told.issuperset(lacking):
            self._name(sorted({*lacking.tolist()} - self._told))
        for parameter, mark in zip(self._parameters, marks.tolist(), strict=True):
            parameter.grad = self._gradients[parameter] if mark else None
        for buffer, total in zip(self._norms, statistics, strict=True):
            buffer.copy_(torch.from_numpy(total).view(buffer.shape) / self._group.size)

    def _name(self, lacking: list[int]) -> None:
        """Parameters without a gradient on ranks that have others. All ranks, before the mean takes their place."""
        self._told.update(lacking)
        idle = all(parameter.grad is None for parameter in self._parameters)
        here = None if idle else [self._names[index] for index in lacking if self._parameters[index].grad is None]
        missing = self._group.comm.gather_objects(here)
        if self._group.rank == 0:
            for text in missing_gradients([self._names[index] for index in lacking], missing):
                self._tell(text)

    def before_step(self) -> None:
        """Swap in the owned parts."""
        self._step.begin(self._state_changed)

    def after_step(self) -> None:
        """Swap them out."""
        self._step.end()

    def forget_gradients(self) -> None:
        """Each `p.grad` becomes None."""
        for parameter in self._parameters:
            parameter.grad = None

    def around_backward(
        self, begin: Callable[[], None], filled: Callable[[int], None], end: Callable[[], None]
    ) -> None:
        """Autograd tells of each gradient, and calls back when a pass is over, as for torch's own DDP."""
        self._begin, self._filled, self._end = begin, filled, end
        # Autograd holds its hooks where Python's garbage collector does not see them: they must not hold the model.
        here = weakref.ref(self)

        def on_gradient(parameter: torch.Tensor) -> None:
            if (trainable := here()) is not None:
                trainable._on_gradient(parameter)

        for parameter in self._parameters:
            parameter.register_post_accumulate_grad_hook(on_gradient)  # type: ignore[no-untyped-call]

    def _on_gradient(self, parameter: torch.Tensor) -> None:
        if not self._missing:
            self._begin()
            self._missing.extend(self._num_in_bucket)
            torch.autograd.Variable._execution_engine.queue_callback(self._end_pass)
        self._move_gradient(parameter)
        number = self._bucket_of[parameter]
        self._missing[number] -= 1
        if self._missing[number] == 0:
            self._filled(number)

    def _end_pass(self) -> None:
        self._missing.clear()
        self._end()
