"""Studies like real ones, of runs whose times are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from synthetic import MODEL_BYTES, a_study

from hpctrain.study.fit import Fit, fit
from hpctrain.study.forecast import Forecast, Scaling, forecast
from hpctrain.study.links import link_of
from hpctrain.study.results import Run, Study
from hpctrain.study.strategy import Strategy

NODE = {"name": "n1", "cpu": "AMD EPYC 7763", "cores": 4, "memory_bytes": 24 << 30, "gpus": [], "links": {"eth0": 1000}}
ENVIRONMENT = {
    "hpctrain": "0.1.0",
    "python": "3.11.7",
    "packages": {"numpy": "2.4.6", "torch": "2.13.0"},
    "mpi": "Open MPI 5.0.11",
    "nodes": [NODE | {"ranks": [0, 1]}],
    "git": {"commit": "466e6f0", "dirty": False},
}


def a_run(mode: Scaling, ranks: int, repeat: int = 0, *, seconds: float | None = None, **changes: Any) -> Run:
    """A run that completed: of 64 samples, or 64 a rank, with communication that grows with the ranks."""
    compute = 0.08 / (ranks if mode is Scaling.STRONG else 1)
    parts = {"compute": compute, "communication": 0.003 * (ranks > 1) + 0.001 * ranks, "waiting": 0.0005 * ranks}
    parts |= {"optimizer": 0.002 / ranks, "data": 0.0006, "other": 0.0004}
    step = sum(parts.values()) if seconds is None else seconds
    batch = 64 if mode is Scaling.STRONG else 64 * ranks
    found = Run(
        variant="",
        mode=mode,
        ranks=ranks,
        nodes=-(-ranks // 2),
        ranks_per_core=1.0,
        repeat=repeat,
        batch_size=batch,
        status="completed",
        command=f"mpirun -n {ranks} python -m hpctrain.train jobs/digits_cnn.toml training.batch_size={batch} "
        f"run.dir=study/runs/{mode.value}-{ranks}-{repeat}",
        directory=f"runs/{mode.value}-{ranks}-{repeat}",
        steps=200,
        startup_seconds=0.9 + 0.05 * ranks,
        train_seconds=200 * step,
        step_seconds=step,
        step_seconds_p90=1.1 * step,
        **parts,
        samples_per_second=batch / step,
        peak_rss_bytes=(180 + 3 * ranks) << 20,
        bytes_sent=int(200 * 2 * (ranks - 1) / ranks * MODEL_BYTES),
        final={"test_accuracy": 0.97},
    )
    return replace(found, **changes)


def failed(run: Run, error: str) -> Run:
    """The same run, had it failed at once."""
    kept = ("variant", "mode", "ranks", "nodes", "ranks_per_core", "repeat", "batch_size", "command", "directory")
    return Run(**{name: getattr(run, name) for name in kept}, status="failed", error=error)


def noisy(
    modes: Sequence[Scaling] = tuple(Scaling),
    sizes: Sequence[int] = (1, 2, 4, 8),
    repeats: int = 5,
    variants: Mapping[str, float] = {"": 1.0},
    noise: float = 0.02,
    seed: int = 0,
    target: bool = False,
) -> list[Run]:
    """Runs that differ a little. Communication is so many times as long as `variants` says."""
    draw = np.random.default_rng(seed)
    runs = []
    for variant, slower in variants.items():
        for mode in modes:
            for size in sizes:
                for repeat in range(repeats):
                    found = a_run(mode, size, repeat)
                    parts = {
                        name: getattr(found, name) * draw.gamma(1 / noise**2, noise**2) * factor
                        for name, factor in [("compute", 1.0), ("communication", slower), ("waiting", slower)]
                    }
                    step = sum(parts.values()) + found.optimizer + found.data + found.other
                    cost = {"seconds_to_target": 900 * step, "node_hours_to_target": 900 * step * found.nodes / 3600}
                    runs.append(
                        replace(
                            a_run(mode, size, repeat, seconds=step, **parts, **(cost if target else {})),
                            variant=variant,
                            command=" ".join(filter(None, [found.command, variant])),
                            directory=f"{found.directory}{variant and '-' + variant.partition('=')[2]}",
                        )
                    )
    return runs


def a_report(runs: Sequence[Run], **changes: Any) -> Study:
    """A study of these runs, without a fit."""
    asked: dict[str, Any] = {
        "name": "digits_cnn",
        "description": (
            "Model: a small convolutional network, 21,322 weights.",
            "Data: handwritten digits, 1,437 for training.",
        ),
        "command": "python -m hpctrain.study jobs/digits_cnn.toml --ranks 1,2,4,8 --mode strong --mode weak",
        "began": "2026-11-21T14:02:11+00:00",
        "ended": "2026-11-21T14:31:50+00:00",
        "target": "",
        "runs": tuple(runs),
        "environment": ENVIRONMENT,
        "fits": {},
        "forecasts": {},
    }
    return Study(**asked | changes)


def forecasts(strategies: Sequence[Strategy], num_replicates: int = 20) -> tuple[Fit, tuple[Forecast, ...]]:
    """A fit, and what it says of strategies in both modes."""
    known = fit(a_study(Strategy("all_reduce"), seed=1), num_replicates)
    asked = {"model_bytes": MODEL_BYTES, "ranks_per_node": 1, "link": link_of("hdr200")}
    found = [
        forecast(known, strategy, mode, batch=4096 if mode is Scaling.STRONG else 32, **asked)  # type: ignore[arg-type]
        for strategy in strategies
        for mode in Scaling
    ]
    return known, tuple(found)
