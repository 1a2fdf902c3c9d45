"""One rank of sharded_memory.py: trains a few steps, and looks at what that takes."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import torch
from harness.pss import mappings, total
from harness.samples import Sample, append_samples
from mpi4py import MPI

import hpctrain

STEPS = 3  # the first makes the optimizer's state


def main() -> None:
    """Measure, and append the samples to the file on rank 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--precision", required=True)
    parser.add_argument("--shard", required=True)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    hpctrain.init()
    torch.set_num_threads(1)
    comm = MPI.COMM_WORLD
    costs = {title: comm.allreduce(cost) / comm.size for title, cost in measure(asked.precision, asked.shard).items()}
    case = {"precision": asked.precision, "shard": asked.shard, "ranks": comm.size}
    samples = [Sample({**case, "measured": title}, "hpctrain", 0, cost) for title, cost in costs.items()]
    if comm.rank == 0:
        append_samples(asked.out, samples)


def measure(precision: str, shard: str) -> dict[str, float]:
    """Bytes of this rank that training added. All ranks."""
    comm = MPI.COMM_WORLD
    dtype = torch.bfloat16 if precision == "bf16_mixed" else torch.float32
    warm_up(dtype)
    comm.Barrier()
    before, before_own = total(mappings()), high_water()
    comm.Barrier()
    model = torch.nn.Sequential(*(torch.nn.Linear(1024, 1024, bias=False) for _ in range(24)))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-5, fused=True)
    replicated = {"gradient_sync": "replicated"} if shard == "none" else {}
    settings = {"shard": shard, "precision": precision, "read_gradients": False, **replicated}
    hpctrain.distribute(model, optimizer, **settings)
    inputs = torch.randn(4, 1024).to(dtype)
    for _ in range(STEPS):
        model(inputs).float().square().mean().backward()
        comm.Barrier()
        after_backward = total(mappings())
        comm.Barrier()
        reset_high_water()
        optimizer.step()
    model(inputs).float().square().mean().backward()
    optimizer.step()
    return {"after backward": after_backward - before, "most in a step": high_water() - before_own}


def warm_up(dtype: torch.dtype) -> None:
    """Load what torch loads at its first pass and step, and is none of the model's memory."""
    layer = torch.nn.Linear(1024, 1024, bias=False).to(dtype)
    optimizer = torch.optim.Adam(layer.parameters(), fused=True)
    layer(torch.randn(4, 1024).to(dtype)).float().square().mean().backward()
    optimizer.step()
    reset_high_water()


def high_water() -> int:
    """The most memory of this process since the last reset."""
    return 1024 * int(re.findall(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[0])


def reset_high_water() -> None:
    """From here."""
    Path("/proc/self/clear_refs").write_text("5")


if __name__ == "__main__":
    main()
