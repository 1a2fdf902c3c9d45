"""A torch module as the strategies see it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch.nn.modules.batchnorm import _NormBase

from hpctrain.errors import ModelError
from hpctrain.layout.buckets import Entry, Slot, cut_buckets
from hpctrain.parallel.trainable import Bucket


class TorchTrainable:
    """Implements `Trainable` for torch.nn.Module.

    The weights are moved into flat buckets, of which the parameters become views; parameters that are not trained stay
    where they are. Gradients are copied into the buckets as they come, and `p.grad` then is a view too. Moving the
    model to another device or dtype afterwards would leave the buckets behind, so that must be done before.
    """

    def __init__(self, model: torch.nn.Module, bucket_bytes: int) -> None:
        self._model = model
        self._parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        if not self._parameters:
            raise ModelError("the model has no parameter that requires a gradient: there is nothing to train")
        entries = [
            Entry(name, parameter.numel(), parameter.element_size(), f"{parameter.dtype} on {parameter.device}")
            for name, parameter in model.named_parameters()
            if parameter.requires_grad
        ]
        self._slots = cut_buckets(entries, bucket_bytes)
        self.buckets: Sequence[Bucket] = [self._fill_bucket(slots) for slots in self._slots]
        self._views = [self._gradient_views(*pair) for pair in zip(self._slots, self.buckets, strict=True)]

    def _fill_bucket(self, slots: Sequence[Slot]) -> Bucket:
        first = self._parameters[slots[0].index]
        weights = torch.empty(slots[-1].stop, dtype=first.dtype, device=first.device)
        for slot in slots:
            parameter = self._parameters[slot.index]
            view = weights[slot.start : slot.stop].view(parameter.shape)
            view.copy_(parameter.detach())
            parameter.data = view
        return Bucket(weights, torch.zeros(len(weights) + len(slots), dtype=first.dtype, device=first.device))

    def _gradient_views(self, slots: Sequence[Slot], bucket: Bucket) -> list[torch.Tensor]:
        return [bucket.wire[slot.start : slot.stop].view(self._parameters[slot.index].shape) for slot in slots]

    def untrained(self) -> Sequence[torch.Tensor]:
        """The module's buffers and frozen parameters."""
        frozen = [parameter.detach() for parameter in self._model.parameters() if not parameter.requires_grad]
        return [*self._model.buffers(), *frozen]

    def statistics(self) -> Sequence[torch.Tensor]:
        """The means and variances of normalisation layers. Other buffers are left to each rank."""
        norms = [module for module in self._model.modules() if isinstance(module, _NormBase)]
        return [buffer for norm in norms for buffer in norm.buffers() if buffer.is_floating_point()]

    @torch.no_grad()
    def collect(self, scale: float) -> None:
        """Copy gradients that autograd made elsewhere; those that are views already are scaled in place."""
        for slots, bucket, views in zip(self._slots, self.buckets, self._views, strict=True):
            marks = bucket.wire[len(bucket.weights) :]
            marks.copy_(torch.tensor([self._parameters[slot.index].grad is not None for slot in slots]))
            for slot, view in zip(slots, views, strict=True):
                gradient = self._parameters[slot.index].grad
                if gradient is None:
                    view.zero_()
                elif gradient.is_sparse:
                    view.copy_(gradient.to_dense()).mul_(scale)
                else:
                    torch.mul(gradient, scale, out=view)

    def hand_back(self) -> None:
        """Point every `p.grad` into its bucket, or to None."""
        for slots, bucket, views in zip(self._slots, self.buckets, self._views, strict=True):
            marked = (bucket.wire[len(bucket.weights) :] > 0).tolist()
            for slot, view, has_gradient in zip(slots, views, marked, strict=True):
                self._parameters[slot.index].grad = view if has_gradient else None

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
