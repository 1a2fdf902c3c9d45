"""The settings of one run. Section [data] of a job file is `Data`, whose keys are in `sections/data.py`, and so on.

These pages are the reference: each key with its type, its default and what it means. `python -m hpctrain.train --help`
prints them, job files and `section.key=value` overrides are validated against them, and `job.json` in the run directory
is a dump of `Job`. Nothing here imports MPI, NumPy or torch.
"""

from __future__ import annotations

from hpctrain.job.sections.checkpoint import Checkpoint
from hpctrain.job.sections.comm import Comm
from hpctrain.job.sections.data import Data
from hpctrain.job.sections.model import Model
from hpctrain.job.sections.optimizer import Optimizer
from hpctrain.job.sections.parallel import Parallel
from hpctrain.job.sections.run import Run
from hpctrain.job.sections.schedule import Schedule
from hpctrain.job.sections.section import Section
from hpctrain.job.sections.training import Training

# Other rooms find every section here; where each one is written is this room's own business.
__all__ = ["Checkpoint", "Comm", "Data", "Job", "Model", "Optimizer", "Parallel", "Run", "Schedule", "Training"]


class Job(Section):
    """Every setting of one run."""

    run: Run = Run()
    data: Data = Data()
    model: Model = Model()
    training: Training = Training()
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()
    parallel: Parallel = Parallel()
    comm: Comm = Comm()
    checkpoint: Checkpoint = Checkpoint()
