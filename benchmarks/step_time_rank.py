"""One rank of step_time.py, which starts it through mpirun: measures all contenders on some models."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

import torch
from contenders import CONTENDERS, connect_gloo
from harness.measure import in_turns, slowest_rank_seconds
from harness.samples import Sample, append_samples
from models import WORKLOADS, Workload
from mpi4py import MPI
from torch import distributed

import hpctrain

WARM_UP_STEPS = 3
STEPS_PER_SAMPLE = {"cnn": 10, "mlp": 3, "gpt": 2}
# Sums of float32 in another order differ in the last of about 7 digits, and steps make differences grow.
LOSS_TOLERANCE = 1e-5


def main() -> None:
    """Measure, append the samples to the file on rank 0, and check that all who communicate learned the same."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", required=True, help="comma-separated")
    parser.add_argument("--repeats", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    hpctrain.init()
    torch.set_num_threads(1)
    connect_gloo()
    for name in asked.models.split(","):
        samples, losses = measure(name, asked.repeats)
        check_losses(name, losses)
        if MPI.COMM_WORLD.rank == 0:
            append_samples(asked.out, samples)
    distributed.destroy_process_group()


def measure(name: str, repeats: int) -> tuple[list[Sample], dict[str, float]]:
    """Samples of one model, and each contender's loss after the last step, averaged over ranks."""
    comm = MPI.COMM_WORLD
    workloads = {contender: WORKLOADS[name](comm.rank) for contender in CONTENDERS}
    steps = {contender: make(workloads[contender]) for contender, make in CONTENDERS.items()}
    for _, contender in in_turns(steps, WARM_UP_STEPS):
        steps[contender]()
    samples = [
        Sample(
            {"model": name, "ranks": comm.size},
            contender,
            repeat,
            slowest_rank_seconds(comm, steps[contender], STEPS_PER_SAMPLE[name]),
        )
        for repeat, contender in in_turns(steps, repeats)
    ]
    return samples, {contender: mean_loss(workload) for contender, workload in workloads.items()}


def mean_loss(workload: Workload) -> float:
    """The loss on the batches of all ranks. All ranks."""
    with torch.no_grad():
        mine = float(workload.loss(workload.model))
    total: float = MPI.COMM_WORLD.allreduce(mine)
    return total / MPI.COMM_WORLD.size


def check_losses(name: str, losses: dict[str, float]) -> None:
    """End the job unless all who communicate have the same loss: else they have not done the same work."""
    together = {contender: loss for contender, loss in losses.items() if contender != "alone"}
    lowest, highest = min(together.values()), max(together.values())
    if not math.isclose(lowest, highest, rel_tol=LOSS_TOLERANCE):
        shown = ", ".join(f"{contender} {loss:.9g}" for contender, loss in together.items())
        if MPI.COMM_WORLD.rank == 0:
            print(f"{name}: losses differ by more than {LOSS_TOLERANCE}: {shown}", file=sys.stderr, flush=True)
        MPI.COMM_WORLD.Abort(1)


if __name__ == "__main__":
    main()
