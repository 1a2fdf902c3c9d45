"""The trainer: epochs, steps, evaluations and checkpoints, in their order."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from hpctrain.collectives.group import Group
from hpctrain.data.batch import Batch
from hpctrain.data.loader import Loader
from hpctrain.data.open import OpenedData
from hpctrain.job.settings import Job
from hpctrain.optim.schedule import learning_rate
from hpctrain.parallel.distribution import Distribution
from hpctrain.parallel.plan import Plan
from hpctrain.train.agreement import Wishes, meet
from hpctrain.train.callbacks.callback import Callback, EvaluationRecord, StepRecord
from hpctrain.train.clock import Clock
from hpctrain.train.engine import Engine, Sums
from hpctrain.train.evaluate import evaluate
from hpctrain.train.ledger import Ledger, weights_sha256
from hpctrain.train.saver import Saver
from hpctrain.train.step import name_non_finite, train_step


@dataclass
class Trainer:
    """One run, from the step it starts at to its end. All ranks make one, and call `run`.

    Attributes:
        job: the settings.
        distribution: how ranks share the work, at work on the engine's model.
        engine: what computes.
        data: what is learned from.
        train_loader: its batches.
        test_loader: makes the batches of the test data for a group of ranks; None where there is none for them.
        batch_size: of the global batch.
        saver: writes the checkpoints.
        stop_signal: name of the signal by which this rank was asked to stop; None: it was not.
        callbacks: who watches; none but on rank 0.
        step: steps done.
        weights_sha256: of the weights that `run` ends with.
    """

    job: Job
    distribution: Distribution
    engine: Engine
    data: OpenedData
    train_loader: Loader
    test_loader: Callable[[Group], Loader | None]
    batch_size: int
    saver: Saver
    stop_signal: Callable[[], str | None]
    clock: Clock
    callbacks: Sequence[Callback] = ()
    step: int = field(default=0, init=False)
    ledger: Ledger = field(default_factory=Ledger)
    final: dict[str, float] = field(default_factory=dict)
    weights_sha256: str = field(default="", init=False)

    def __post_init__(self) -> None:
        self._evaluated_step = -1
        self._epoch_sums = Sums()
        self._meeting: int | None = None  # the step at whose end all ranks are together
        self._wishes = Wishes()  # what they then do

    @property
    def plan(self) -> Plan:
        """How ranks share the work."""
        return self.distribution.plan

    def start_at(self, step: int) -> None:
        """Continue an earlier run, which had done so many steps."""
        self.step = self.saver.saved_step = step

    @property
    def total_steps(self) -> int:
        """Steps of the whole job, those of earlier runs included."""
        return self.job.training.max_steps or self.job.training.epochs * self.train_loader.batches_per_epoch

    @property
    def epoch(self) -> int:
        """The epoch of the next step, from 0."""
        return self.step // self.train_loader.batches_per_epoch

    def run(self) -> str:
        """Train to the end, or until some rank is asked to stop; returns the status of the summary. All ranks.

        A checkpoint is on disk when it returns. Raises NonFiniteLossError, CheckpointError, and whatever the model
        raises.
        """
        if 0 < self.step == self.saver.saved_step and self._evaluation_is_due():
            self._evaluate_on_the_way()  # who was stopped here was gone before it
        self.clock.end_step()  # what came before is no part of the first step
        stopped = False
        while self.step < self.total_steps and not stopped:
            stopped = self._run_epoch()
            if not stopped and self._evaluation_is_due():
                self._evaluate_on_the_way()
        stopped = stopped and self.step < self.total_steps
        with self.distribution.consensus():
            if not stopped:
                self._evaluate(self.plan.group)
            self.weights_sha256 = weights_sha256(self.plan.group, self.engine.weights())
        if self.saver.saved_step != self.step:
            self._save()
        return "preempted" if stopped else "completed"

    def _run_epoch(self) -> bool:
        """The rest of the epoch; whether ranks agreed to stop in it."""
        per_epoch = self.train_loader.batches_per_epoch
        self._epoch_sums = Sums()
        with closing(self.train_loader.epoch(self.epoch, start=self.step % per_epoch)) as batches:
            while self.step < self.total_steps and (batch := self._next(batches)) is not None:
                if self._run_step(batch):
                    return True
        return False

    def _next(self, batches: Iterator[Batch]) -> Batch | None:
        with self.clock.section("data"):
            return next(batches, None)

    def _run_step(self, batch: Batch) -> bool:
        rate = learning_rate(
            self.job.schedule, self.job.optimizer.lr, self.step, self.total_steps, self.plan.group.size
        )
        mine = Wishes(stop=self.stop_signal() is not None, save=self.saver.is_due_by_time())
        agreed = train_step(self.engine, self.distribution, batch, rate, self.clock, mine)
        if agreed.is_finite:
            self._epoch_sums += agreed.sums
        else:
            self._handle_non_finite(batch)
        self.step += 1
        seconds = self.clock.end_step()
        together = self._meet(agreed.wishes)
        stops = together and self._wishes.stop
        saves = together and (self._wishes.save or self.saver.is_due_by_steps(self.step))
        record = self._record(batch, agreed.sums, rate, seconds)
        self._tell(lambda callback: callback.keep_step(record))
        if stops:
            self._save()  # before all else: who sent the signal may not wait long, nor read what is printed
            self._note_stop()
        self._tell(lambda callback: callback.on_step(record))
        if saves and not stops:
            self._save()
        return stops

    def _meet(self, wishes: Wishes) -> bool:
        """Whether all ranks are together after this step, to do something. All ranks that step together."""
        if self._meeting == self.step - 1:
            self._meeting = None  # it is over
        is_last, saves = self.step == self.total_steps, self.saver.is_due_by_steps(self.step)
        is_due = wishes or self.plan.pace.has_met or is_last or saves
        if self._meeting is None and is_due:
            self._meeting, self._wishes = meet(self.plan, self.step, wishes)
        return self._meeting == self.step

    def _note_stop(self) -> None:
        names = self.plan.group.comm.gather_objects(self.stop_signal())
        asked = {name: [rank for rank, other in enumerate(names) if other == name] for name in names if name}
        words = " and ".join(f"{name} (rank {', '.join(map(str, ranks))})" for name, ranks in asked.items())
        self._tell(lambda callback: callback.on_note(f"asked to stop by {words}: stops after step {self.step}"))

    def _handle_non_finite(self, batch: Batch) -> None:
        with self.distribution.at_hand():
            error = name_non_finite(self.engine, self.plan, batch, self.step + 1)
        if self.job.training.on_nan == "stop":
            raise error
        self._tell(lambda callback: callback.on_note(f"step {self.step + 1} skipped: {error}"))

    def _record(self, batch: Batch, sums: Sums, rate: float, seconds: dict[str, float]) -> StepRecord:
        self.ledger.add(seconds, len(batch))
        self.final.update(_metrics("train", self._epoch_sums, self._has_accuracy))
        return StepRecord(
            step=self.step,
            epoch=batch.epoch,
            loss=sums.loss / max(sums.samples, 1),
            accuracy=sums.correct / max(sums.samples, 1) if self._has_accuracy else None,
            learning_rate=rate,
            samples=sums.samples,
            seconds=seconds,
            bytes_sent=self.plan.group.traffic.bytes_sent,
        )

    @property
    def _has_accuracy(self) -> bool:
        return self.data.train.num_classes is not None

    def _evaluation_is_due(self) -> bool:
        every = self.job.training.evaluate_every
        ended = self.step % self.train_loader.batches_per_epoch == 0
        return bool(every) and ended and self.epoch % every == 0

    def _evaluate_on_the_way(self) -> None:
        """Those do that may, without waiting for others where each rank goes at its own pace."""
        pace = self.plan.pace
        if not pace.evaluates or self.step == self.total_steps:
            return
        if pace.evaluators.size == self.plan.group.size:
            with self.distribution.consensus():
                self._evaluate(pace.evaluators)
        else:
            self._evaluate(pace.evaluators)
        self.clock.end_step()  # an evaluation is no part of the next step

    def _evaluate(self, group: Group) -> None:
        loader = self.test_loader(group)
        if self._evaluated_step == self.step or loader is None:
            return
        self._evaluated_step = self.step
        start = time.perf_counter()
        sums = evaluate(self.engine, group, loader, self.batch_size)
        metrics = _metrics("test", sums, self._has_accuracy)
        self.final.update(metrics)
        record = EvaluationRecord(
            step=self.step,
            epoch=max(self.step - 1, 0) // self.train_loader.batches_per_epoch,
            loss=metrics["test_loss"],
            accuracy=metrics.get("test_accuracy"),
            samples=sums.samples,
            seconds=time.perf_counter() - start,
            more=self.plan.weight_sync.metrics(),
        )
        self._tell(lambda callback: callback.on_evaluate(record))

    def _save(self) -> None:
        self.saver.save(self.step, lambda path: self._tell(lambda callback: callback.on_checkpoint(self.step, path)))
        self.clock.end_step()  # a checkpoint is no part of the next step

    def _tell(self, tell: Callable[[Callback], None]) -> None:
        for callback in self.callbacks:
            tell(callback)


def _metrics(prefix: str, sums: Sums, has_accuracy: bool) -> dict[str, float]:
    metrics = {f"{prefix}_loss": sums.loss / max(sums.samples, 1)}
    if has_accuracy:
        metrics[f"{prefix}_accuracy"] = sums.correct / max(sums.samples, 1)
    return metrics
