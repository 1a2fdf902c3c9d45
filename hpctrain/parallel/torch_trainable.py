"""A torch module as the strategies see it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch.nn.modules.batchnorm import _NormBase

from hpctrain.errors import ModelError
from hpctrain.layout.buckets import Entry, Slot, cut_buckets
from hpctrain.parallel.trainable import Bucket

LARGE_BYTES = 2**20
"""A gradient of this size travels from where autograd made it; smaller ones are copied together, to travel as one."""


class TorchTrainable:
    """Implements `Trainable` for torch.nn.Module.

    The weights are moved into flat buckets, of which the parameters become views; parameters that are not trained stay
    where they are. Small gradients are copied into the wires, and `p.grad` then is a view too. Moving the model to
    another device or dtype afterwards would leave the buckets behind, so that must be done before.
    """

    def __init__(self, model: torch.nn.Module, bucket_bytes: int) -> None:
        self._model = model
        named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
        if not named:
            raise ModelError("the model has no parameter that requires a gradient: there is nothing to train")
        self._parameters = [parameter for _, parameter in named]
        entries = [Entry(name, p.numel(), p.element_size(), f"{p.dtype} on {p.device}") for name, p in named]
        cuts = cut_buckets(entries, bucket_bytes)
        small = [slots for slots in cuts if not self._is_large(slots)] or [[]]  # the marks always have a message
        self._large = [(cut[0].index, Bucket(self._move_weights(cut), None)) for cut in cuts if self._is_large(cut)]
        self._small = [(slots, self._bucket(slots, num_marks=0)) for slots in small[:-1]]
        self._small.append((small[-1], self._bucket(small[-1], num_marks=len(named))))
        carrier = self._small[-1][1]
        self._marks = carrier.wire[len(carrier.weights) :]
        self.buckets: Sequence[Bucket] = [bucket for _, bucket in [*self._large, *self._small]]
        self._views = [
            (slot.index, bucket.wire[slot.start : slot.stop].view(self._parameters[slot.index].shape))
            for slots, bucket in self._small
            for slot in slots
        ]

    def _is_large(self, slots: Sequence[Slot]) -> bool:
        first = self._parameters[slots[0].index]
        return len(slots) == 1 and first.numel() * first.element_size() >= LARGE_BYTES

    def _bucket(self, slots: Sequence[Slot], num_marks: int) -> Bucket:
        weights = self._move_weights(slots)
        return Bucket(weights, weights.new_zeros(len(weights) + num_marks))

    def _move_weights(self, slots: Sequence[Slot]) -> torch.Tensor:
        like = self._parameters[slots[0].index if slots else 0].detach()
        weights = like.new_empty(slots[-1].stop if slots else 0)
        for slot in slots:
            parameter = self._parameters[slot.index]
            view = weights[slot.start : slot.stop].view(parameter.shape)
            view.copy_(parameter.detach())
            parameter.data = view
        return weights

    def untrained(self) -> Sequence[torch.Tensor]:
        """The module's buffers and frozen parameters."""
        frozen = [parameter.detach() for parameter in self._model.parameters() if not parameter.requires_grad]
        return [*self._model.buffers(), *frozen]

    def statistics(self) -> Sequence[torch.Tensor]:
        """The means and variances of normalisation layers. Other buffers are left to each rank."""
        norms = [module for module in self._model.modules() if isinstance(module, _NormBase)]
        return [buffer for norm in norms for buffer in norm.buffers() if buffer.is_floating_point()]

    @torch.no_grad()
    def collect(self) -> None:
        """Small gradients are copied, unless they are there already; large ones stay where they are."""
        self._marks.copy_(torch.tensor([parameter.grad is not None for parameter in self._parameters]))
        for index, view in self._views:
            gradient = self._parameters[index].grad
            if gradient is None:
                view.zero_()
            elif gradient is not view:
                view.copy_(gradient.to_dense() if gradient.is_sparse else gradient)
        for index, bucket in self._large:
            parameter = self._parameters[index]
            gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            gradient = gradient.to_dense() if gradient.is_sparse else gradient
            parameter.grad = gradient.contiguous()
            bucket.wire = parameter.grad.view(-1)

    def hand_back(self) -> None:
        """Point every small `p.grad` into its wire; one that no rank has marked becomes None."""
        marked = (self._marks > 0).tolist()
        for index, view in self._views:
            self._parameters[index].grad = view if marked[index] else None
        for index, _ in self._large:
            if not marked[index]:
                self._parameters[index].grad = None

    def leave_updates_to_others(self, optimizer: torch.optim.Optimizer) -> None:
        """Take every `p.grad` away just before a step: torch's optimizers pass such parameters over."""

        def drop_gradients(*_: object) -> None:
            for parameter in self._parameters:
                parameter.grad = None

        optimizer.register_step_pre_hook(drop_gradients)

    def after_backward(self, callback: Callable[[], None]) -> None:
        """The first gradient of a pass asks autograd to call back when the pass is over, as torch's own DDP does."""
        queued: list[None] = []

        def at_the_end() -> None:
            queued.clear()
            callback()

        def on_gradient(_: torch.Tensor) -> None:
            if not queued:
                queued.append(None)
                torch.autograd.Variable._execution_engine.queue_callback(at_the_end)

        for parameter in self._parameters:
            parameter.register_post_accumulate_grad_hook(on_gradient)  # type: ignore[no-untyped-call]
