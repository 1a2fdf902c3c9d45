"""Distribute: make an ordinary training loop a parallel one."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

from hpctrain.arrays.library import library_of
from hpctrain.collectives.group import Group
from hpctrain.errors import ModelError
from hpctrain.launch.world import init
from hpctrain.parallel.plan import Plan
from hpctrain.parallel.trainable import Trainable

M = TypeVar("M")
O = TypeVar("O")  # noqa: E741


def distribute(
    model: M,
    optimizer: O,
    strategy: str | Plan = "auto",
    *,
    group: Group | None = None,
    read_gradients: bool = True,
    clip_norm: float = 0.0,
    **parallel_settings: Any,
) -> tuple[M, O]:
    """Train `model` with all ranks: afterwards the loop stays as it was.

    Call it once, after the model is on its device. Every rank starts from rank 0's weights. From then on, when
    `backward()` returns every `p.grad` is the mean over ranks, each rank's own to read, clip or change; and after
    `optimizer.step()` every rank holds the same weights. Ranks may have batches of different sizes: the mean is over
    ranks, so scale the loss by `group.size * samples_here / samples_everywhere` where it must be over samples.

    Args:
        model: a torch module, or a model of `hpctrain.nn`.
        optimizer: any torch optimizer over its parameters that needs no closure, or one of `hpctrain.optim`.
        strategy: "auto", "all_reduce", "central", or a `Plan`.
        group: the ranks; those of `hpctrain.init()` if left out.
        read_gradients: False: nobody looks at `p.grad` between `backward()` and `step()`. Gradients are then averaged
            in `step()`, once for any number of backward passes, and only where they are used.
        clip_norm: largest norm of the averaged gradient over all parameters together; 0: not clipped. This is the way
            to clip with `read_gradients=False`.
        parallel_settings: `gradient_sync`, `data`, `algorithm`, `bucket_bytes`; see `Plan.build`.

    Returns the same model and the same optimizer. All ranks must call, and must call `step()` equally often.
    Raises InputError kinds for settings that do not fit, ModelError for a model of no known library.
    """
    trainable_of = _adapter(model)
    if isinstance(strategy, Plan):
        plan = strategy
    else:
        plan = Plan.build(group or init(), model, optimizer, strategy=strategy, **parallel_settings)
        if plan.group.rank == 0:
            for note in plan.notes:
                warnings.warn(note, stacklevel=2)
    _Distributed(plan, trainable_of(model, optimizer, plan), optimizer, read_gradients, clip_norm)
    return model, optimizer


def _adapter(model: Any) -> Callable[[Any, Any, Plan], Trainable]:
    torch = sys.modules.get("torch")  # a torch module can only exist where torch is imported
    if torch is not None and isinstance(model, torch.nn.Module):
        from hpctrain.parallel.torch_trainable import TorchTrainable

        return TorchTrainable
    if hasattr(model, "named_parameters") and hasattr(model, "after_backward"):
        from hpctrain.parallel.nn_trainable import NnTrainable

        return NnTrainable
    raise ModelError(f"cannot distribute a {type(model).__qualname__}: give a torch module or a model of hpctrain.nn")


class _Distributed:
    """Hangs a plan on a model and its optimizer."""

    def __init__(
        self, plan: Plan, trainable: Trainable, optimizer: Any, read_gradients: bool, clip_norm: float
    ) -> None:
        self._plan = plan
        self._trainable = trainable
        self._read_gradients = read_gradients
        self._clip_norm = clip_norm
        self._averaged = False
        for array in trainable.untrained():
            plan.group.broadcast(array)
        if read_gradients:
            trainable.after_backward(self._average)
        optimizer.register_step_pre_hook(self._before_step)
        optimizer.register_step_post_hook(self._after_step)

    def _average(self) -> None:
        notes = self._trainable.collect()
        if self._read_gradients:
            self._plan.gradient_sync.finish_everywhere(notes)
        else:
            self._plan.gradient_sync.finish(notes)
        self._trainable.hand_back(notes)
        self._averaged = True

    def _before_step(self, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if any(map(callable, args[1:])) or kwargs.get("closure") is not None:
            raise ModelError(
                "optimizer.step(closure) cannot be distributed: the closure would compute gradients after they were "
                "averaged. Call backward() yourself, then step(), with an optimizer that needs no closure"
            )
        # A rank whose batch is empty has made no backward pass, and hands in its nothing here.
        if not self._averaged:
            self._average()
        self._averaged = False
        if self._clip_norm:
            self._clip()
        self._plan.weight_sync.before_step()
        self._trainable.before_step()

    def _clip(self) -> None:
        pairs = zip(self._trainable.buckets, self._trainable.owned, strict=True)
        gradients = [bucket.wire[owned] for bucket, owned in pairs]
        norms = [library_of(gradient).norm(gradient) for gradient in gradients]
        norm = math.sqrt(self._plan.gradient_sync.add_owners(math.fsum(norm * norm for norm in norms)))
        if norm > self._clip_norm:
            for gradient in gradients:
                gradient *= self._clip_norm / norm

    def _after_step(self, *_: Any) -> None:
        self._trainable.after_step()
        self._plan.weight_sync.after_step(self._trainable.buckets)
