"""One rank of reproducible.py, which starts it through mpirun: measures contenders on a model."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from harness.measure import in_turns, slowest_rank_seconds
from harness.samples import Sample, append_samples
from models import WORKLOADS, Workload
from mpi4py import MPI

import hpctrain
from hpctrain import Group
from hpctrain.job.settings import Parallel
from hpctrain.parallel.plan import Plan

MICRO_BATCHES = 8  # over all ranks together
STEPS_PER_SAMPLE = {"cnn": 5, "mlp": 2, "gpt": 2}


@dataclass(frozen=True)
class Training:
    """A model in training, with the backward passes of a step: the batch of this rank in so many pieces."""

    workload: Workload
    optimizer: torch.optim.Optimizer
    num_passes: int

    def step(self) -> None:
        """Train on one batch."""
        workload = self.workload
        pieces = zip(workload.inputs.chunk(self.num_passes), workload.targets.chunk(self.num_passes), strict=True)
        for inputs, targets in pieces:
            outputs = workload.model(inputs)
            loss = torch.nn.functional.cross_entropy(outputs.flatten(0, -2), targets.flatten())
            (loss / self.num_passes).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()


def trained(
    group: Group, workload: Workload, num_passes: int = 1, gradient_sync: str = "replicated", **of_plan: Any
) -> Training:
    """A model in training by a plan."""
    optimizer = workload.optimizer()
    settings = Parallel(gradient_sync=gradient_sync)
    plan = Plan.build(group, workload.model, optimizer, settings, accumulate_batches=num_passes, **of_plan)
    hpctrain.distribute(workload.model, optimizer, plan, read_gradients=False)
    return Training(workload, optimizer, len(plan.schedule))


CONTENDERS: Mapping[str, Callable[[Group, Workload], Training]] = {
    "shared": lambda group, workload: trained(group, workload, gradient_sync="auto"),
    "replicated": trained,
    "accumulated": lambda group, workload: trained(group, workload, MICRO_BATCHES // group.size),
    "reproducible": lambda group, workload: trained(group, workload, micro_batches=MICRO_BATCHES),
    "verified": lambda group, workload: trained(group, workload, verify_every=1),
}


def main() -> None:
    """Measure, and append the samples to the file on rank 0."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--model", required=True, choices=WORKLOADS)
    made.add_argument("--contenders", required=True, help="comma-separated")
    made.add_argument("--repeats", type=int, required=True)
    made.add_argument("--out", type=Path, required=True)
    asked = made.parse_args()
    group, comm = hpctrain.init(), MPI.COMM_WORLD
    torch.set_num_threads(1)
    trainings = {name: CONTENDERS[name](group, _workload(asked.model, group)) for name in asked.contenders.split(",")}
    case, steps = {"model": asked.model, "ranks": comm.size}, STEPS_PER_SAMPLE[asked.model]
    samples = [
        Sample(case, name, repeat, slowest_rank_seconds(comm, trainings[name].step, steps, warm_up=2))
        for repeat, name in in_turns(trainings, asked.repeats)
    ]
    if comm.rank == 0:
        append_samples(asked.out, samples)


def _workload(name: str, group: Group) -> Workload:
    """With as many samples as there are micro-batches on a rank, at least."""
    workload = WORKLOADS[name](group.rank)
    repeats = max(1, MICRO_BATCHES // group.size // len(workload.inputs))
    inputs, targets = workload.inputs.repeat(repeats, *[1] * (workload.inputs.ndim - 1)), workload.targets
    return Workload(workload.model, inputs, targets.repeat(repeats, *[1] * (targets.ndim - 1)))


if __name__ == "__main__":
    main()
