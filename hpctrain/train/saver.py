"""The checkpoints of a run: when one is due, and how ranks bring it to the disk together."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hpctrain.checkpoint.store import prune, write
from hpctrain.job.settings import Checkpoint
from hpctrain.parallel.distribution import Distribution
from hpctrain.train.engine import Engine
from hpctrain.train.rank_shards import rank_shards


@dataclass
class Saver:
    """Writes checkpoints. All ranks make one.

    Attributes:
        settings: how often, and how many are kept.
        folder: where they go.
        distribution: how ranks share the work.
        engine: what computes, whose model and optimizer are saved.
        state: what else stands in a checkpoint, besides its step: of which run it is.
        saved_step: the step of the newest one; -1 before the first.
    """

    settings: Checkpoint
    folder: Path
    distribution: Distribution
    engine: Engine
    state: Mapping[str, Any]
    saved_step: int = field(default=-1, init=False)

    def __post_init__(self) -> None:
        self._saved_at = time.monotonic()

    def is_due_by_steps(self, step: int) -> bool:
        """Whether one is to be written after so many steps; the same on all ranks."""
        every = self.settings.every_steps
        return bool(every) and step % every == 0

    def is_due_by_time(self) -> bool:
        """Whether one is to be written soon. Rank 0 alone looks at its clock: the others must hear of it."""
        minutes = self.settings.every_minutes
        is_first = self.distribution.plan.group.rank == 0
        return bool(minutes) and is_first and time.monotonic() - self._saved_at >= 60 * minutes

    def save(self, step: int, tell: Callable[[Path], None]) -> None:
        """Rank 0 writes the model, and what each rank alone keeps; the others wait. All ranks.

        `tell` is given, on rank 0, where the checkpoint is. Raises CheckpointError, on every rank, where it cannot be
        written.
        """
        self._saved_at, self.saved_step = time.monotonic(), step
        group = self.distribution.plan.group
        own = rank_shards(group.comm, self.distribution, self.engine)
        with self.distribution.consensus(), self.distribution.whole():
            if group.rank == 0:
                path = write(self.folder, step, {**self.engine.shards(), **own}, {"step": step, **self.state})
                prune(self.folder, self.settings.keep)
                tell(path)
            group.comm.idle_barrier()
