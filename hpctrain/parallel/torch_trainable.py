"""A torch module and its optimizer as the strategies see them."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager

import numpy as np
import torch
from torch.nn.modules.batchnorm import _NormBase

from hpctrain.errors import ModelError
from hpctrain.layout.buckets import Entry, Slot, cut_buckets
from hpctrain.parallel.gradient_sync.in_passing import GradientsInPassing
from hpctrain.parallel.missing_gradients import missing_gradients
from hpctrain.parallel.partition import Sharded
from hpctrain.parallel.plan import Plan
from hpctrain.parallel.torch_gradients import Gradients, GradientsInWires, GradientsThroughWires
from hpctrain.parallel.torch_owned_step import OwnedStep, Part, Place, Step, WholeStep
from hpctrain.parallel.torch_precision import kept_dtypes, narrow_untrained
from hpctrain.parallel.torch_sharded_step import ShardedStep
from hpctrain.parallel.trainable import Bucket
from hpctrain.parallel.weight_sync.torch_on_demand import TorchWeightsOnDemand


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
        self._gradient_sync = plan.gradient_sync
        self._tell = tell
        self._told: set[int] = set()  # of which parameters
        named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
        if not named:
            raise ModelError("the model has no parameter that requires a gradient: there is nothing to train")
        self._names = [name for name, _ in named]
        self._optimizer = optimizer
        self._parameters = [parameter for _, parameter in named]
        kept_as = kept_dtypes(model, plan.precision)
        narrow_untrained(model, plan.precision)
        entries = [Entry(name, p.numel(), kept_as[p].itemsize, f"{kept_as[p]} on {p.device}") for name, p in named]
        cuts = cut_buckets(entries, plan.bucket_bytes)
        in_order = {
            slot.index: Place(self._parameters[slot.index], number, slot.start, slot.stop)
            for number, slots in enumerate(cuts)
            for slot in slots
        }
        self._places = [in_order[index] for index in range(len(named))]
        self._place_of: dict[torch.Tensor, Place] = {place.parameter: place for place in self._places}
        filled = [self._fill_bucket(slots, plan, kept_as) for slots in cuts]
        self.buckets = [bucket for bucket, _ in filled]
        self._parts = [part for _, part in filled]
        self.owned = [slice(part.start, part.start + len(part.weights)) for part in self._parts]
        wires = [bucket.wire for bucket in self.buckets]
        self._gradients: Gradients = (
            GradientsThroughWires(self._places, plan.gradient_sync)
            if isinstance(plan.gradient_sync, GradientsInPassing)
            else GradientsInWires(self._places, wires)
        )
        self._step = self._make_step(optimizer, plan)
        self._on_demand = plan.weight_sync if isinstance(plan.weight_sync, TorchWeightsOnDemand) else None
        if self._on_demand:
            weights, own = [bucket.weights for bucket in self.buckets], [part.weights for part in self._parts]
            self._on_demand.watch(model, self._places, weights, own)
        self._state_changed = False
        self._norms = [
            buffer
            for module in model.modules()
            if isinstance(module, _NormBase)
            for buffer in module.buffers()
            if buffer.is_floating_point()
        ]
        self._num_in_bucket = [len(slots) for slots in cuts]
        self._missing: list[int] = []  # of each bucket, gradients of the pass under way; empty outside of one

    def _fill_bucket(
        self, slots: Sequence[Slot], plan: Plan, kept_as: Mapping[torch.Tensor, torch.dtype]
    ) -> tuple[Bucket, Part]:
        """Weights of rank 0, and what of them this rank's optimizer updates: a view, or a copy of more bits."""
        parameters = [self._parameters[slot.index] for slot in slots]
        places = [(slot.start, tuple(parameter.shape)) for slot, parameter in zip(slots, parameters, strict=True)]
        like = torch.empty(0, dtype=kept_as[parameters[0]], device=parameters[0].device)
        weights = plan.weight_sync.allocate(like, slots[-1].stop)
        # Ranks that share the memory of the weights all write it: first they must agree what to write.
        whole = plan.group.broadcast(torch.cat([p.detach().reshape(-1) for p in parameters]))
        weights.copy_(whole)
        owned = plan.partition.owned(len(weights), weights.element_size())
        is_apart = weights.dtype != whole.dtype or isinstance(plan.weight_sync, TorchWeightsOnDemand)
        part = Part(whole[owned].clone() if is_apart else weights[owned], owned.start, is_apart)
        wire_like = part.weights if isinstance(plan.gradient_sync, GradientsInPassing) else like
        wire = plan.gradient_sync.allocate(wire_like, len(weights), places)
        for slot, parameter in zip(slots, parameters, strict=True):
            parameter.data = weights[slot.start : slot.stop].view(parameter.shape)
        return Bucket(weights, wire, places, [self._names[slot.index] for slot in slots]), part

    def _make_step(self, optimizer: torch.optim.Optimizer, plan: Plan) -> Step:
        if isinstance(plan.partition, Sharded) or plan.precision.sixteen_bits:
            contributes = not plan.partition.is_whole or self._group.rank == 0
            stay = not isinstance(plan.weight_sync, TorchWeightsOnDemand)
            weights = [bucket.weights if stay else None for bucket in self.buckets]
            return ShardedStep(
                optimizer, self._places, self._parts, weights, self._gradients.has, self._group, contributes=contributes
            )
        if plan.partition.is_whole:
            return WholeStep()
        lengths = [len(bucket.weights) for bucket in self.buckets]
        gradients = self.owned_gradients()
        return OwnedStep(
            optimizer, self._places, self._parts, gradients, lengths, self._gradients.has, plan.weight_sync
        )

    def optimizer_state(self) -> Mapping[str, Mapping[str, torch.Tensor]]:
        """Its tensors."""
        return {
            name: {kind: its for kind, its in self._optimizer.state.get(parameter, {}).items() if torch.is_tensor(its)}
            for name, parameter in zip(self._names, self._parameters, strict=True)
        }

    def untrained(self) -> Sequence[torch.Tensor]:
        """The module's buffers and frozen parameters."""
        frozen = [parameter.detach() for parameter in self._model.parameters() if not parameter.requires_grad]
        return [*self._model.buffers(), *frozen]

    def statistics(self) -> Sequence[torch.Tensor]:
        """Of normalisation layers."""
        return self._norms

    def collect(self) -> np.ndarray:
        """Fill in what autograd did not make.

        The notes are a mark for each parameter that has a gradient here, whether any has, whether the optimizer's state
        was changed from outside, and the means and variances of normalisation layers. Other buffers are left to each
        rank.
        """
        marks = self._marks = self._gradients.collect()
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
        self._gradients.hand_back((marks > 0).tolist())
        for buffer, total in zip(self._norms, statistics, strict=True):
            buffer.copy_(torch.from_numpy(total).view(buffer.shape) / self._group.size)

    def _name(self, lacking: list[int]) -> None:
        """Parameters without a gradient on ranks that have others. All ranks, before the mean takes their place."""
        self._told.update(lacking)
        here = [self._names[index] for index in lacking if not self._marks[index]] if any(self._marks) else None
        missing = self._gradient_sync.gather(here)
        if self._group.rank == 0:
            for text in missing_gradients([self._names[index] for index in lacking], missing):
                self._tell(text)

    def owned_gradients(self) -> Sequence[torch.Tensor]:
        """Of wires of 16 bits, float32 copies for the step to come."""
        wires = [bucket.wire for bucket in self.buckets]
        if isinstance(self._gradients, GradientsInWires):
            wires = [wire[owned] for wire, owned in zip(wires, self.owned, strict=True)]
        return [wire.to(part.weights.dtype) for wire, part in zip(wires, self._parts, strict=True)]

    def before_step(self, gradients: Sequence[torch.Tensor]) -> None:
        """Swap in the owned parts."""
        self._step.begin(gradients, self._state_changed)

    def after_step(self) -> None:
        """Swap them out."""
        self._step.end()

    def whole(self) -> AbstractContextManager[object]:
        """Weights that the model computes with in 16 bits are shown in float32."""
        return self._step.whole()

    def loading(self) -> AbstractContextManager[object]:
        """They may be written in float32."""
        return self._step.loading()

    def forget_gradients(self) -> None:
        """Each `p.grad` becomes None."""
        self._gradients.forget()

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
        place = self._place_of[parameter]
        self._gradients.move(place)
        self._missing[place.bucket] -= 1
        if self._missing[place.bucket] == 0:
            self._gradients.close(place.bucket)
            if self._on_demand:
                self._on_demand.leave_backward(place.bucket)
            self._filled(place.bucket)

    def _end_pass(self) -> None:
        for number, missing in enumerate(self._missing):
            if missing:
                self._gradients.close(number)
        self._missing.clear()
        if self._on_demand:
            self._on_demand.end_pass()
        self._end()
