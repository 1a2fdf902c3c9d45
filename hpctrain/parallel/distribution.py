"""A plan at work on one model: the only place that knows both the strategies and the training loop's hooks."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

from hpctrain.arrays.library import library_of
from hpctrain.errors import ModelError
from hpctrain.parallel.plan import Plan
from hpctrain.parallel.trainable import Trainable


class Distribution:
    """A plan at work on a model and its optimizer: what happens in backward passes and around the optimizer's step."""

    def __init__(
        self,
        plan: Plan,
        model: Any,
        optimizer: Any,
        *,
        read_gradients: bool,
        clip_norm: float,
        tell: Callable[[str], None],
    ) -> None:
        """See `distribute`. `tell` is called on rank 0 with what a person should know. All ranks."""
        self.plan = plan
        self._trainable = trainable = _trainable(plan, model, optimizer, tell)
        self._read_gradients = read_gradients
        self._clip_norm = clip_norm
        self._passes = 0  # backward passes that are done since the last step
        self._started = False  # some wire has left and not come back
        self._averaged = False
        for array in trainable.untrained():
            plan.group.broadcast(array)
        trainable.around_backward(self._begin_pass, self._fill, self._end_pass)
        optimizer.register_step_pre_hook(self._before_step)
        optimizer.register_step_post_hook(self._after_step)

    def _begin_pass(self) -> None:
        if self._started:
            raise ModelError(
                f"backward pass {self._passes + 1} since the last step(), but gradients left in pass "
                f"{len(self.plan.schedule)}: say how many passes make a step, accumulate_batches=..., or let "
                "read_gradients be True"
            )

    def _fill(self, number: int) -> None:
        """In the last pass of a step gradients are whole, and may leave."""
        if self._read_gradients or self._passes == len(self.plan.schedule) - 1:
            self._started = True
            self.plan.gradient_sync.start(number)

    def _end_pass(self) -> None:
        self._passes += 1
        if self._read_gradients:
            self._average()

    def _average(self) -> None:
        notes = self._trainable.collect()
        if self._read_gradients:
            self.plan.gradient_sync.finish_everywhere(notes)
        else:
            self.plan.gradient_sync.finish(notes)
        self._trainable.hand_back(notes)
        self._averaged = True
        self._started = False

    def drop_step(self) -> None:
        """Make no step of the gradients that backward passes have left. All ranks."""
        if not self._averaged:
            self.plan.gradient_sync.finish(self._trainable.collect())
        self._averaged = self._started = False
        self._passes = 0

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
        self._passes = 0
        if self._clip_norm:
            self._clip()
        self.plan.weight_sync.before_step()
        self._trainable.before_step()

    def _clip(self) -> None:
        pairs = zip(self._trainable.buckets, self._trainable.owned, strict=True)
        gradients = [bucket.wire[owned] for bucket, owned in pairs]
        norms = [library_of(gradient).norm(gradient) for gradient in gradients]
        norm = math.sqrt(self.plan.gradient_sync.add_owners(math.fsum(norm * norm for norm in norms)))
        if norm > self._clip_norm:
            for gradient in gradients:
                gradient *= self._clip_norm / norm

    def _after_step(self, *_: Any) -> None:
        self._trainable.after_step()
        self.plan.weight_sync.after_step(self._trainable.buckets)
        if not self._read_gradients:
            self._trainable.forget_gradients()


def _trainable(plan: Plan, model: Any, optimizer: Any, tell: Callable[[str], None]) -> Trainable:
    torch = sys.modules.get("torch")  # a torch module can only exist where torch is imported
    if torch is not None and isinstance(model, torch.nn.Module):
        from hpctrain.parallel.torch_trainable import TorchTrainable

        return TorchTrainable(model, optimizer, plan, tell)
    if hasattr(model, "named_parameters") and hasattr(model, "after_backward"):
        from hpctrain.parallel.nn_trainable import NnTrainable

        return NnTrainable(model, optimizer, plan)
    raise ModelError(f"cannot distribute a {type(model).__qualname__}: give a torch module or a model of hpctrain.nn")
