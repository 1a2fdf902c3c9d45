"""Going on where an earlier run stopped."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hpctrain.checkpoint.store import Checkpoint, newest, read
from hpctrain.comm.communicator import Communicator
from hpctrain.errors import CheckpointError, HpctrainError, SettingsError
from hpctrain.job.settings import Job
from hpctrain.launch.run_dir import RunDir


def find_checkpoint(resume: str, run_dir: RunDir, comm: Communicator) -> tuple[Checkpoint | None, tuple[str, ...]]:
    """The checkpoint to continue from, the same on every rank, and what a person should know of others. All ranks.

    Rank 0 looks, and the others read what it found. "auto" without any checkpoint starts from the beginning. Raises
    CheckpointError, on every rank, where there are checkpoints and none can be read, or not the one asked for.
    """
    found: tuple[Path | None, tuple[str, ...]] | HpctrainError = (None, ())
    if comm.rank == 0:
        try:
            found = _look(resume, run_dir)
        except HpctrainError as error:
            found = error
    answer = comm.gather_objects(found)[0]
    if isinstance(answer, HpctrainError):
        raise answer
    path, notes = answer
    return (read(path) if path else None), notes


def _look(resume: str, run_dir: RunDir) -> tuple[Path | None, tuple[str, ...]]:
    if resume == "no":
        if any(run_dir.checkpoints.glob("step-*")):
            raise SettingsError(
                f"{run_dir.path} already holds checkpoints of a run: continue it with run.resume=auto, "
                "or give another run.dir"
            )
        return None, ()
    if resume != "auto":
        return read(Path(resume)).path, ()
    checkpoint, problems = newest(run_dir.checkpoints)
    if checkpoint is None and problems:
        raise CheckpointError("no checkpoint can be read: " + "; ".join(problems))
    return (checkpoint.path if checkpoint else None), tuple(problems)


def position_keys(job: Job, batch_size: int, num_samples: int) -> dict[str, int | float | bool | str]:
    """What must be the same for a step number to mean the same place in the same training."""
    return {
        "seed": job.run.seed,
        "batch_size": batch_size,
        "samples": num_samples,
        "shuffle": job.data.shuffle,
        "split_seed": job.data.split_seed,
        "test_fraction": job.data.test_fraction,
        "optimizer": job.optimizer.name,
    }


def check_position(state: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    """Raise SettingsError where the checkpoint's step number would mean another place in the data than here."""
    differ = [f"{name} was {state[name]} and is {here[name]}" for name in here if state.get(name) != here[name]]
    if differ:
        raise SettingsError(
            f"the run cannot be continued with other data, batches or optimizer: {'; '.join(differ)}. "
            "Set them as they were, or start anew in another run.dir"
        )
