"""One rank of step_time.py and of hosts_step_time.py, which start it through mpirun: measures contenders on a model."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

import torch
from contenders import CONTENDERS, Training, gloo
from harness.measure import in_turns, slowest_rank_seconds
from harness.samples import Sample, append_samples
from models import WORKLOADS
from mpi4py import MPI

import hpctrain

STEPS_PER_SAMPLE = {"cnn": 10, "mlp": 3, "gpt": 2, "mlp_adam": 3}
# Sums of float32 in another order differ in the last of about 7 digits, and steps make differences grow.
LOSS_TOLERANCE = 1e-5


def main() -> None:
    """Measure, append the samples to the file on rank 0, and check that all who communicate learned the same."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, choices=WORKLOADS)
    parser.add_argument("--contenders", required=True, help="comma-separated")
    parser.add_argument("--repeats", type=int, required=True)
    parser.add_argument("--warm-up", type=int, default=3, help="turns of one step, not counted")
    parser.add_argument("--steps", type=int, help="in a sample, after one that is not counted")
    parser.add_argument("--address", default="127.0.0.1", help="of rank 0, for Gloo")
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    hpctrain.init()
    torch.set_num_threads(1)
    comm = MPI.COMM_WORLD
    with gloo(asked.address):
        trainings = {name: CONTENDERS[name](WORKLOADS[asked.model](comm.rank)) for name in asked.contenders.split(",")}
        samples = measure(trainings, asked)
        check_losses({name: mean_loss(training) for name, training in trainings.items() if name != "alone"})
        if comm.rank == 0:
            append_samples(asked.out, samples)


def measure(trainings: dict[str, Training], asked: argparse.Namespace) -> list[Sample]:
    """Samples of all contenders, in turns. All ranks."""
    comm = MPI.COMM_WORLD
    case = {"model": asked.model, "ranks": comm.size}
    steps = asked.steps or STEPS_PER_SAMPLE[asked.model]
    for _, training in in_turns(trainings.values(), asked.warm_up):
        training.step()
    return [
        Sample(case, name, repeat, slowest_rank_seconds(comm, trainings[name].step, steps))
        for repeat, name in in_turns(trainings, asked.repeats)
    ]


def mean_loss(training: Training) -> float:
    """The loss on the batches of all ranks. All ranks."""
    with torch.no_grad():
        mine = float(training.workload.loss(training.workload.model))
    total: float = MPI.COMM_WORLD.allreduce(mine)
    return total / MPI.COMM_WORLD.size


def check_losses(losses: dict[str, float]) -> None:
    """End the job unless all who communicate have the same loss: else they have not done the same work."""
    if losses and not math.isclose(min(losses.values()), max(losses.values()), rel_tol=LOSS_TOLERANCE):
        shown = ", ".join(f"{contender} {loss:.9g}" for contender, loss in losses.items())
        if MPI.COMM_WORLD.rank == 0:
            print(f"losses differ by more than {LOSS_TOLERANCE}: {shown}", file=sys.stderr, flush=True)
        MPI.COMM_WORLD.Abort(1)


if __name__ == "__main__":
    main()
