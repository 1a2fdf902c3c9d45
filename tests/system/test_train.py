"""The main job, as a person starts it: by mpirun of both MPIs, and alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

RUN_FILES = ["job.json", "environment.json", "metrics.jsonl", "summary.json", "curves.png"]
SUMMARY_KEYS = {
    "status",
    "world_size",
    "num_nodes",
    "strategy",
    "steps",
    "epochs",
    "final",
    "samples_per_second",
    "step_seconds",
    "breakdown_seconds",
    "startup_seconds",
    "peak_rss_bytes",
    "bytes_sent",
    "weights_sha256",
}
SHORT = ("training.max_steps=6", "model.engine=numpy", "run.log_every=2")


def summary(run_dir: Path) -> dict:
    return json.loads((run_dir / "summary.json").read_text())


@pytest.mark.parametrize("engine", ["torch", "numpy"])
def test_eight_ranks_learn_the_digits(launch: Callable, tmp_path: Path, engine: str) -> None:
    done = launch(
        "python", "-m", "hpctrain.train", f"run.dir={tmp_path}", f"model.engine={engine}", ranks=8, timeout=180
    )
    assert done.returncode == 0
    told = summary(tmp_path)
    assert told["status"] == "completed"
    assert told["world_size"] == 8
    assert told["final"]["test_accuracy"] >= 0.97
    assert told.keys() >= SUMMARY_KEYS
    assert told["breakdown_seconds"].keys() == {"compute", "communication", "optimizer", "data", "other"}
    assert len(told["bytes_sent"]) == len(told["peak_rss_bytes"]) == 8
    assert "8 ranks share" in done.stdout or told["peak_rss_bytes"]  # said only where there are fewer cores than ranks
    assert "where the time went" in done.stdout
    assert "OSC UCX" not in done.stdout + done.stderr
    assert "\x1b" not in done.stdout
    for name in RUN_FILES:
        assert (tmp_path / name).stat().st_size > 0
    assert [path.name for path in sorted((tmp_path / "logs").iterdir())] == [
        f"rank-{rank:04d}.{kind}" for rank in range(8) for kind in ("flight", "log")
    ]


def test_the_numpy_job_never_imports_torch(launch: Callable, tmp_path: Path) -> None:
    script = (
        "import sys; sys.modules['torch'] = None; from hpctrain.train.__main__ import main; "
        f"sys.exit(main(['run.dir={tmp_path}', 'model.engine=numpy', 'training.max_steps=3']))"
    )
    assert launch("python", "-c", script, ranks=2).returncode == 0
    assert summary(tmp_path)["steps"] == 3


def test_the_torch_job_never_loads_torchs_compiler(launch: Callable, tmp_path: Path) -> None:
    script = (
        "import sys; from hpctrain.train.__main__ import main; "
        f"code = main(['run.dir={tmp_path}', 'model.engine=torch', 'training.max_steps=3']); "
        "sys.exit(code or 'torch._dynamo' in sys.modules)"
    )
    assert launch("python", "-c", script).returncode == 0
    assert summary(tmp_path)["steps"] == 3


def test_alone_it_is_a_world_of_one_and_loads_no_mpi(launch: Callable, tmp_path: Path) -> None:
    script = (
        "import sys; sys.modules['mpi4py'] = None; from hpctrain.train.__main__ import main; "
        f"sys.exit(main(['run.dir={tmp_path}', 'model.engine=numpy', 'training.max_steps=3']))"
    )
    assert launch("python", "-c", script).returncode == 0
    assert summary(tmp_path)["world_size"] == 1


@pytest.mark.parametrize("ranks", [2, 5])
def test_under_mpich(launch: Callable, mpich_venv: Path, tmp_path: Path, ranks: int) -> None:
    done = launch("python", "-m", "hpctrain.train", f"run.dir={tmp_path}", *SHORT, ranks=ranks, venv=mpich_venv)
    assert done.returncode == 0
    assert summary(tmp_path)["world_size"] == ranks
    assert "MPICH" in done.stdout


def test_another_mpis_launcher_is_refused_with_the_way_out(launch: Callable, mpich_venv: Path, tmp_path: Path) -> None:
    """Open MPI's mpirun starting ranks of MPICH: each would be a world of its own, all writing the same files."""
    python = str(mpich_venv / "bin" / "python")
    done = launch(python, "-m", "hpctrain.train", f"run.dir={tmp_path}/run", *SHORT, ranks=2)
    assert done.returncode == 2
    assert "Python loads MPICH" in done.stderr
    assert str(mpich_venv / "bin" / "mpiexec") in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


def test_strategies_and_algorithms_train_alike(train_all: Callable, tmp_path: Path) -> None:
    names = [(strategy, by) for strategy in ("all_reduce", "central") for by in ("native", "ring", "naive")]
    settings = ("comm.bucket_bytes=5000", *SHORT)
    train_all(
        [
            (f"run.dir={tmp_path}/{strategy}-{by}", f"parallel.strategy={strategy}", f"comm.algorithm={by}", *settings)
            for strategy, by in names
        ],
        ranks=3,
    )
    for strategy, by in names:
        told = summary(tmp_path / f"{strategy}-{by}")
        assert told["final"]["train_loss"] == pytest.approx(2.302, abs=0.01), (strategy, by)


def test_a_trace_opens_as_chrome_events_of_every_rank(launch: Callable, tmp_path: Path) -> None:
    done = launch("python", "-m", "hpctrain.train", f"run.dir={tmp_path}", "run.trace=true", *SHORT, ranks=2)
    assert done.returncode == 0
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert {event["pid"] for event in events} == {0, 1}
    assert {"compute", "communication", "optimizer", "data"} <= {event["name"] for event in events}


def test_the_packaged_job_is_the_one_in_jobs(repository: Path) -> None:
    packaged = repository / "hpctrain" / "job" / "digits_cnn.toml"
    assert packaged.read_text() == (repository / "jobs" / "digits_cnn.toml").read_text()


def test_whole_numbers_are_values_where_the_loss_says_so(launch: Callable, tmp_path: Path) -> None:
    rows = [f"{index % 7},{index % 5},{index % 7 + 2 * (index % 5)}" for index in range(70)]
    (tmp_path / "table.csv").write_text("a,b,price\n" + "\n".join(rows) + "\n")
    settings = ("data.source=csv", f"data.path={tmp_path}/table.csv", "model.kind=mlp", "model.engine=numpy")
    settings += ("training.loss=mse", "optimizer.lr=0.02", "training.epochs=60", "training.batch_size=10")
    assert launch("python", "-m", "hpctrain.train", f"run.dir={tmp_path}/run", *settings, ranks=3).returncode == 0
    final = summary(tmp_path / "run")["final"]
    assert final["test_loss"] < 0.2
    assert "test_accuracy" not in final
