"""One rank of test_composition.py: every strategy with every option, in one world.

    mpirun -n 3 python tests/system/every_cell.py FOLDER [strategy ...]

Rank 0 writes FOLDER/cells.json: for each cell that is not refused, what its summary says, or how it failed.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from hpctrain.launch.world import World, join

JOB = (
    "model.kind=mlp",
    "model.hidden=[16]",
    "data.prefetch=0",
    "training.batch_size=48",
    "training.evaluate_every=0",
    "run.progress=none",
    "run.log_every=1",
)
STEPS = 4
SOON = "parallel.sync_every=2"  # so that ranks with steps of their own average within these


# What is also continued, besides every strategy by itself.
CONTINUED = {
    "sharded optimizer": ["parallel.shard=optimizer"],
    "sharded gradients, numpy": ["parallel.shard=gradients", "model.engine=numpy", "training.accumulate=2"],
    "sharded parameters, fp16": ["parallel.shard=parameters", "training.precision=fp16_mixed"],
    "reproducible": ["training.reproducible=true"],
    "powersgd": ["parallel.compression=powersgd"],
    "top_k to rank 0": ["parallel.strategy=central", "parallel.compression=top_k"],
    "overlapped gossip": ["parallel.strategy=gossip", "parallel.overlap=true"],
    "compressed gossip": ["parallel.strategy=gossip", "parallel.compression=int8"],
    "overlapped diloco": ["parallel.strategy=diloco", "parallel.overlap=true", "parallel.fragments=2"],
    "compressed local steps": ["parallel.strategy=local_sgd", "parallel.compression=sign"],
}


def run(world: World, run_dir: Path, *overrides: str) -> dict[str, Any]:
    """The summary of one run; no curves are drawn, which take longer than all the rest."""
    from hpctrain.job.load import load_job
    from hpctrain.train import run as training

    training.Curves = lambda *args, **kwargs: training.Callback()  # type: ignore[attr-defined, assignment, misc]
    averages = [SOON] if {"parallel.strategy=local_sgd", "parallel.strategy=diloco"} & {*overrides} else []
    session = training.Session(load_job(None, [*JOB, *averages, f"run.dir={run_dir}", *overrides]), world)
    training.run_job(session)
    summary: dict[str, Any] = json.loads((run_dir / "summary.json").read_text())
    world.comm.barrier()  # before anybody writes it anew
    return summary


def resumed(world: World, folder: Path, *overrides: str) -> tuple[str, str]:
    """The weights of a whole run, and of one that was cut in two."""
    whole = run(world, folder / "whole", f"training.max_steps={STEPS}", *overrides)
    run(world, folder / "parts", f"training.max_steps={STEPS // 2}", *overrides)
    parts = run(world, folder / "parts", f"training.max_steps={STEPS}", "run.resume=auto", *overrides)
    return whole["weights_sha256"], parts["weights_sha256"]


def main() -> None:
    folder, only = Path(sys.argv[1]), sys.argv[2:]
    world = join(threads=1)
    from hpctrain.job.composition_table import STRATEGIES, cells

    found: dict[str, Any] = {"cells": {}, "resumed": {}}
    for cell in cells():
        if cell.refusal or (only and cell.strategy not in only):
            continue
        print(f"{cell.strategy} with {cell.option}", file=sys.stderr, flush=True)
        name = f"{cell.strategy} | {cell.option}"
        found["cells"][name] = run(world, folder / "cell", f"training.max_steps={STEPS}", *cell.overrides)
        if world.group.rank == 0:
            shutil.rmtree(folder / "cell")
        world.comm.barrier()
    alone = {name: [f"parallel.{setting}" for setting in settings] for name, settings in STRATEGIES.items()}
    for name, overrides in {**alone, **CONTINUED}.items():
        if only and name not in only:
            continue
        print(f"{name} resumed", file=sys.stderr, flush=True)
        found["resumed"][name] = resumed(world, folder / name.replace(" ", "_"), *overrides)
    if world.group.rank == 0:
        (folder / "cells.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
