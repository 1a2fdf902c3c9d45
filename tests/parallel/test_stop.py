"""A run that is asked to stop, and may be killed any moment."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from hpctrain.job.load import load_job
from hpctrain.launch.run_dir import RunDir
from hpctrain.launch.stage.staged import Staged
from hpctrain.launch.world import join
from hpctrain.resilience.stop_request import StopRequest
from hpctrain.train.assemble import assemble
from hpctrain.train.callbacks.callback import Callback, EvaluationRecord, StepRecord
from hpctrain.train.clock import Clock


class Watcher(Callback):
    """Notes what it is told, and asks to stop."""

    def __init__(self, stop: StopRequest) -> None:
        self.told: list[tuple[str, int]] = []
        self._stop = stop

    def keep_step(self, record: StepRecord) -> None:
        self.told.append(("keep", record.step))

    def on_step(self, record: StepRecord) -> None:
        self.told.append(("step", record.step))
        if record.step == 2:
            self._stop.signal = signal.SIGTERM

    def on_evaluate(self, record: EvaluationRecord) -> None:
        self.told.append(("evaluate", record.step))

    def on_checkpoint(self, step: int, path: Path) -> None:
        self.told.append(("checkpoint", step))


def test_what_a_checkpoint_has_is_kept_before_and_shown_after(repository: Path, tmp_path: Path) -> None:
    """Who goes on from it misses no step in metrics.jsonl; and nobody waits for a terminal before it is there."""
    world, stop = join(), StopRequest()
    settings = ["model.engine=numpy", "training.max_steps=9", "checkpoint.every_steps=0"]
    job = load_job(repository / "jobs" / "digits_cnn.toml", settings)
    trainer = assemble(job, world, Staged(), RunDir(tmp_path), stop, Clock(world.group.traffic), pytest.fail)
    watcher = Watcher(stop)
    if world.group.rank == 0:
        trainer.callbacks = [watcher]
    assert trainer.run() == "preempted"
    last = trainer.step
    if world.group.rank == 0:
        assert last < 9
        assert watcher.told[:4] == [("keep", 1), ("step", 1), ("keep", 2), ("step", 2)]
        assert watcher.told[-3:] == [("keep", last), ("checkpoint", last), ("step", last)]
