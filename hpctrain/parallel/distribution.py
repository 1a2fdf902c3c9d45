"""A plan at work on one model: the only place that knows both the strategies and the training loop's hooks."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np

from hpctrain.arrays.library import library_of
from hpctrain.comm.operation import Op
from hpctrain.errors import ModelError, SettingsError
from hpctrain.parallel.plan import Plan
from hpctrain.parallel.trainable import Trainable
from hpctrain.parallel.verify import Verification

_WITH_STATE = ("gradient_sync", "weight_sync", "precision")  # parts of a plan that go on from where they were


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
        if read_gradients and plan.gradient_sync.in_passing:
            raise SettingsError(
                "with parallel.shard=gradients or parameters no rank holds all gradients after backward(): say "
                "distribute(..., read_gradients=False), and clip_norm=... to clip them; or use shard=optimizer"
            )
        self.plan = plan
        self._trainable = trainable = _trainable(plan, model, optimizer, tell)
        self._read_gradients = read_gradients
        self._clip_norm = clip_norm
        self._passes = 0  # backward passes that are done since the last step
        self._started = False  # some wire has left and not come back
        self._averaged = False
        self._verification = Verification(plan, trainable, tell)
        plan.accumulation.check(trainable, read_gradients)
        for array in trainable.untrained():
            plan.group.broadcast(array)
        plan.weight_sync.attach(trainable.buckets)
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
        is_last = self._passes == len(self.plan.schedule) - 1
        self._started = self._started or self._read_gradients or is_last
        if self._started or self.plan.gradient_sync.in_passing:
            self.plan.gradient_sync.start(number)

    def _end_pass(self) -> None:
        self._passes += 1
        self.plan.gradient_sync.end_round()
        self.plan.accumulation.end_pass(self._trainable)
        if self._read_gradients:
            self._average()

    def _average(self) -> None:
        notes = self._trainable.collect()
        if self._read_gradients:
            self.plan.gradient_sync.finish_everywhere(notes)
        else:
            self._finish(notes)
        self._trainable.hand_back(notes)
        self._averaged = True
        self._started = False

    def _finish(self, notes: np.ndarray) -> None:
        """A rank that had nothing to compute has made fewer passes than the others."""
        for _ in range(self._passes, len(self.plan.schedule)):
            self.plan.gradient_sync.end_round()
        self.plan.gradient_sync.finish(notes)

    def drop_step(self) -> None:
        """Make no step of the gradients that backward passes have left. All ranks."""
        if not self._averaged:
            self._finish(self._trainable.collect())
        self.plan.weight_sync.skip_step()
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
        gradients = self._trainable.owned_gradients()
        if not self._rescale(self.plan.gradient_sync.held(gradients)):
            self._trainable.forget_gradients()
        self.plan.weight_sync.before_step()
        self._trainable.before_step(gradients)

    def _rescale(self, gradients: Sequence[Any]) -> bool:
        """Divide by the loss scale, and clip. Returns whether a step can be made of them. All ranks."""
        precision = self.plan.precision
        if not (self._clip_norm or precision.scales):
            return True
        norms = [library_of(gradient).norm(gradient) for gradient in gradients]
        total = self.plan.gradient_sync.add_owners(sum(norm * norm for norm in norms))
        norm = math.sqrt(total) / precision.loss_scale
        factor = self._clip_norm / norm if self._clip_norm and norm > self._clip_norm else 1.0
        factor /= precision.loss_scale
        if factor != 1.0:
            for gradient in gradients:
                gradient *= factor
        if precision.scales:
            precision.judge(math.isfinite(norm))
        return math.isfinite(norm) or not precision.scales

    def _after_step(self, *_: Any) -> None:
        self._trainable.after_step()
        self.plan.weight_sync.after_step(self._trainable.buckets)
        self._verification.after_step()
        if not self._read_gradients:
            self._trainable.forget_gradients()

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Inside, rank 0's model and optimizer hold all that training has come to, in all bits. All ranks."""
        with self._trainable.whole(), self.plan.weight_sync.whole_state():
            yield

    @contextmanager
    def loading(self) -> Iterator[None]:
        """Inside, every rank may write all that into its model and optimizer. All ranks, the same."""
        with self._trainable.loading(), self.plan.weight_sync.loading_state():
            yield

    def at_hand(self) -> AbstractContextManager[object]:
        """Inside, a rank may make passes of its own, with the weights as they are. All ranks."""
        return self.plan.weight_sync.at_hand()

    @contextmanager
    def consensus(self) -> Iterator[None]:
        """Inside, the model of every rank is the one that training has come to: the same bits. All ranks.

        Ranks with weights of their own have them again afterwards; running statistics are then averaged too.
        """
        with self.plan.weight_sync.consensus(self._trainable.buckets):
            if self.plan.pace.together and not self.plan.weight_sync.has_replicas:
                yield
                return
            statistics = self._trainable.statistics()
            own = [library_of(array).to_host(array) for array in statistics]
            group, workers = self.plan.group, self.plan.workers
            for array in statistics:  # those of ranks that only serve have never seen a sample
                array *= group.size / len(workers) if group.rank in workers else 0.0
                self.plan.group.all_reduce(array, Op.MEAN)
            yield
            for array, values in zip(statistics, own, strict=True):
                library_of(array).from_host(values.reshape(-1), array)

    def own_state(self) -> dict[str, np.ndarray]:
        """What this rank alone keeps of the strategy from step to step, by name, for a checkpoint. Copies nothing."""
        parts = {part: getattr(self.plan, part).state() for part in _WITH_STATE}
        return {f"{part}/{name}": array for part, arrays in parts.items() for name, array in arrays.items()}

    def load_own_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from what `own_state` gave on this rank; raises CheckpointError where it is of another strategy."""
        for part in _WITH_STATE:
            prefix = f"{part}/"
            found = {name.removeprefix(prefix): array for name, array in state.items() if name.startswith(prefix)}
            getattr(self.plan, part).load_state(found)


def _trainable(plan: Plan, model: Any, optimizer: Any, tell: Callable[[str], None]) -> Trainable:
    torch = sys.modules.get("torch")  # a torch module can only exist where torch is imported
    if torch is not None and isinstance(model, torch.nn.Module):
        from hpctrain.parallel.torch_trainable import TorchTrainable

        return TorchTrainable(model, optimizer, plan, tell)
    if hasattr(model, "named_parameters") and hasattr(model, "after_backward"):
        from hpctrain.parallel.nn_trainable import NnTrainable

        return NnTrainable(model, optimizer, plan)
    raise ModelError(f"cannot distribute a {type(model).__qualname__}: give a torch module or a model of hpctrain.nn")
