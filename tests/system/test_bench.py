"""`python -m hpctrain.bench collectives` under real launchers, and jobs that go by what it has written."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Launch = Callable[..., Any]

BENCH = (sys.executable, "-m", "hpctrain.bench", "collectives")
QUICK = (
    "--repeats",
    "3",
    "--max-seconds",
    "600",
)  # as long as it takes: what is slow on a busy machine is not left out
SIZES = (4, 100, 101, 65536)
LADDER = f"import hpctrain; group = hpctrain.init(); print(group.rank, *map(group.ladder.at, {SIZES}))"


@pytest.fixture
def python(repository: Path) -> dict[str, str]:
    """The environment in which any Python finds the package that is tested."""
    return {"PYTHONPATH": str(repository)}


@pytest.fixture
def tuning(tmp_path: Path) -> Path:
    """A file by which auto is "tree" up to 100 bytes and "swing" beyond, whatever is best."""
    entry = {
        "library": "Open MPI 5.0.11",
        "num_nodes": 1,
        "ranks_per_node": 2,
        "crowded": False,
        "measured": "nowhere",
        "links": {},
        "all_reduce": [{"up_to_bytes": 100, "use": "tree"}, {"up_to_bytes": None, "use": "swing"}],
        "bytes": [4, 65536],
        "microseconds": {"native": [1.0, 1.0], "tree": [1.0, 1.0], "swing": [1.0, 1.0]},
    }
    path = tmp_path / "given.json"
    path.write_text(json.dumps({"format": 1, "tables": [entry]}))
    return path


def rows(stdout: str) -> list[list[str]]:
    return [line.split() for line in stdout.splitlines() if line and not line.startswith("#")]


def test_columns_file_plot_and_a_job_that_goes_by_it(launch: Launch, python: dict[str, str], tmp_path: Path) -> None:
    out, plot = tmp_path / "tuning.json", tmp_path / "crossover.png"
    done = launch(*BENCH, *QUICK, "--sizes", "4,64K", "--out", str(out), "--plot", str(plot), ranks=2, env=python)
    assert (done.returncode, done.stderr) == (0, "")
    found = rows(done.stdout)
    assert {row[0]: row[1] for row in found} == {"4": "1", "65536": "16384"}
    names = [row[4] for row in found if row[0] == "4"]
    assert names[:2] == ["MPI_Allreduce", "native"]
    assert {"ring", "naive", "recursive_doubling", "rabenseifner", "tree", "swing", "node_shared"} <= set(names)
    for _, _, dtype, op, _, time, _, algbw, busbw, wrong, ratio in found:
        assert (dtype, op, wrong, algbw) == ("float32", "sum", "0", busbw)  # the factor is 1 on two ranks
        assert float(time) > 0
        assert float(ratio) > 0
    assert "# auto, 2 ranks on one node" in done.stdout
    assert "# inside a node, by messages: alpha" in done.stdout
    assert plot.read_bytes().startswith(b"\x89PNG")

    [table] = json.loads(out.read_text())["tables"]
    assert (table["library"].split()[0], table["num_nodes"], table["ranks_per_node"]) == ("Open", 1, 2)
    assert table["bytes"] == [4, 65536]
    assert set(table["microseconds"]) == set(names) - {"MPI_Allreduce"}

    told = launch(sys.executable, "-c", LADDER, ranks=2, env={**python, "HPCTRAIN_TUNING": str(out)})
    rungs = [(rung["up_to_bytes"] or math.inf, rung["use"]) for rung in table["all_reduce"]]
    choice = [next(name for bound, name in rungs if size <= bound) for size in SIZES]
    assert sorted(told.stdout.splitlines()) == [" ".join([rank, *choice]) for rank in "01"]


def test_a_second_run_keeps_what_the_first_has_written(launch: Launch, python: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "tuning.json"
    for ranks in (2, 3, 2):
        done = launch(*BENCH, *QUICK, "--sizes", "4", "--out", str(out), ranks=ranks, env=python)
        assert done.returncode == 0
    assert [table["ranks_per_node"] for table in json.loads(out.read_text())["tables"]] == [2, 3]


def test_every_operation_is_right(launch: Launch, python: dict[str, str]) -> None:
    names = "all_reduce,shared_all_reduce,broadcast,reduce_scatter,all_gather,all_to_all"
    done = launch(*BENCH, *QUICK, "--ops", names, "--sizes", "8,40K", "--dtype", "float64", ranks=3, env=python)
    assert (done.returncode, done.stderr) == (0, "")
    found = rows(done.stdout)
    assert {row[9] for row in found} == {"0"}
    assert {"one_result_a_node", "in_place", "binomial", "chain", "pairwise", "hierarchical"} <= {
        row[4] for row in found
    }


def test_alone_and_without_mpi(launch: Launch, python: dict[str, str]) -> None:
    alone = launch(*BENCH, *QUICK, "--sizes", "4", env=python)
    assert alone.returncode == 0
    assert "# auto, 1 rank on one node" in alone.stdout
    local = launch(sys.executable, "-m", "hpctrain.local", "-n", "2", *BENCH[1:], *QUICK, "--sizes", "4", env=python)
    assert local.returncode == 0
    assert local.stdout.startswith("# local shared memory")
    assert "native" not in local.stdout


def test_under_mpich(launch: Launch, python: dict[str, str], mpich_venv: Path, tmp_path: Path, tuning: Path) -> None:
    command = (str(mpich_venv / "bin" / "python"), *BENCH[1:], *QUICK, "--sizes", "4")
    done = launch(*command, "--out", str(tmp_path / "t.json"), ranks=2, env=python, venv=mpich_venv)
    assert (done.returncode, rows(done.stdout)[0][4]) == (0, "MPI_Allreduce")
    assert json.loads((tmp_path / "t.json").read_text())["tables"][0]["library"].startswith("MPICH ")
    strange = launch(*command, "--grade", str(tuning), ranks=2, env=python, venv=mpich_venv)
    assert f"# {tuning} was measured with Open MPI, and messages travel by MPICH" in strange.stdout


def test_a_grade(launch: Launch, python: dict[str, str], tuning: Path) -> None:
    done = launch(*BENCH, *QUICK, "--grade", str(tuning), "--sizes", "4,4K", ranks=2, env=python)
    found = rows(done.stdout)
    assert [row[:2] for row in found] == [["4", "tree"], ["4096", "swing"]]
    assert done.returncode == int("SLOWER" in {row[-1] for row in found})
    assert "# 2 sizes: " in done.stdout


def test_a_job_and_a_script_go_by_a_file(launch: Launch, python: dict[str, str], tuning: Path, tmp_path: Path) -> None:
    script = LADDER.replace("init()", f"init(tuning={str(tuning)!r})")
    done = launch(sys.executable, "-c", script, ranks=2, env=python)
    assert sorted(done.stdout.splitlines()) == ["0 tree tree swing swing", "1 tree tree swing swing"]
    part = launch(
        sys.executable,
        "-c",
        script.replace("; print", ".split(0); print"),
        ranks=2,
        env=python,
    )
    assert sorted(part.stdout.splitlines()) == ["0 tree tree swing swing", "1 tree tree swing swing"], (
        "a part of the group too"
    )
    settings = ("training.max_steps=2", "model.engine=numpy", f"run.dir={tmp_path / 'run'}")
    train = (sys.executable, "-m", "hpctrain.train", *settings, f"comm.tuning_file={tuning}")
    assert launch(*train, ranks=2, env=python).returncode == 0


@pytest.mark.parametrize("way", ["setting", "argument", "variable", "grade"])
def test_a_file_that_cannot_be_used_ends_all_ranks_with_one_message(
    launch: Launch, python: dict[str, str], tmp_path: Path, way: str
) -> None:
    wrong = tmp_path / "wrong.json"
    wrong.write_text('{"format": 0}')
    match way:
        case "setting":
            command = (
                sys.executable,
                "-m",
                "hpctrain.train",
                f"comm.tuning_file={wrong}",
                f"run.dir={tmp_path / 'run'}",
            )
        case "grade":
            command = (*BENCH, "--grade", str(wrong))
        case "argument":
            command = (sys.executable, "-c", LADDER.replace("init()", f"init(tuning={str(wrong)!r})"))
        case "variable":
            command = (sys.executable, "-c", LADDER)
            python = {**python, "HPCTRAIN_TUNING": str(wrong)}
    done = launch(*command, ranks=2, env=python)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count(f"hpctrain: {wrong} is a tuning file of format 0, and format 1 is what") == 1
    assert "Traceback" not in done.stderr


def test_a_wrong_command_line_is_refused_once(launch: Launch, python: dict[str, str]) -> None:
    done = launch(*BENCH, "--sizes", "7", ranks=2, env=python)
    assert done.returncode == 2
    assert done.stderr.count("hpctrain: --sizes: 7 bytes are no whole number of elements of 4 bytes") == 1


def test_the_command_of_the_package(launch: Launch, python: dict[str, str]) -> None:
    done = launch(sys.executable, "-m", "hpctrain", "bench", "collectives", "--help", env=python)
    assert done.returncode == 0
    assert "--max-seconds" in done.stdout
