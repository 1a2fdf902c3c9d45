"""What runs, in which order, and what becomes of it: with a launcher that runs nothing."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from made_runs import MadeRuns, plan_of

from hpctrain.study.forecast import Scaling
from hpctrain.study.runs.turns import read_all, run_missing


def silent(text: str) -> None: ...


def table(out: Path) -> list[dict[str, str]]:
    with (out / "results.csv").open() as file:
        return list(csv.DictReader(file))


def fails_with_two(summary: dict[str, Any]) -> dict[str, Any] | None:
    return None if summary["world_size"] == 2 else summary


def test_all_run_in_turns(tmp_path: Path) -> None:
    made, said = MadeRuns(), []
    plan = plan_of(tmp_path)
    rows = run_missing(plan, tmp_path, made, said.append)
    assert made.directories == [Path(run.directory).name for run in plan.in_turns()]
    assert [row.directory for row in rows] == [run.directory for run in plan.runs]
    assert {row.status for row in rows} == {"completed"}
    assert said[0].startswith("[1/12] 1 rank, strong, repeat 1: completed, ")
    assert said[-1].startswith("[12/12] 4 ranks, weak, repeat 2: completed, ")
    assert made.commands[0].startswith("mpirun -n 1 python -m hpctrain.train model.engine=numpy ")
    assert rows[0].command == made.commands[0]


def test_what_completed_is_not_run_again(tmp_path: Path) -> None:
    run_missing(plan_of(tmp_path), tmp_path, MadeRuns(), silent)
    again, said = MadeRuns(), []
    run_missing(plan_of(tmp_path, repeats=3), tmp_path, again, said.append)
    assert said[0] == "12 of 18 runs are there"
    assert len(again.commands) == 6
    assert all(name.endswith("-3") for name in again.directories)


def test_a_run_that_failed_is_a_row_and_is_tried_again_from_nothing(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    said: list[str] = []
    rows = run_missing(plan, tmp_path, MadeRuns(fails_with_two), said.append)
    failed = [row for row in rows if row.status == "failed"]
    assert [row.ranks for row in failed] == 4 * [2]
    assert {row.error for row in failed} == {"rank 1: out of luck"}
    assert failed[0].step_seconds is None
    assert any("2 ranks, weak, repeat 1: failed: rank 1: out of luck" in text for text in said)
    left = tmp_path / failed[0].directory / "left behind"
    left.touch()
    again = MadeRuns()
    rows = run_missing(plan, tmp_path, again, silent)
    assert len(again.commands) == 4
    assert {row.status for row in rows} == {"completed"}
    assert not left.exists()


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"status": "failed", "error": "rank 0:\nDataError"}, "failed", "rank 0: DataError"),
        ({"status": "preempted"}, "preempted", ""),
        (
            {"world_size": 9},
            "failed",
            "it ran with (ranks, nodes) = (9, 1), and (1, 1) was asked for",
        ),
        (
            {"num_nodes": 2},
            "failed",
            "it ran with (ranks, nodes) = (1, 2), and (1, 1) was asked for",
        ),
        ({"status": "odd"}, "failed", "summary.json has the status 'odd'"),
    ],
)
def test_the_summary_decides(change: dict[str, Any], status: str, error: str, tmp_path: Path) -> None:
    plan = plan_of(tmp_path, ranks=(1,), repeats=1, modes=(Scaling.WEAK,))
    (row,) = run_missing(plan, tmp_path, MadeRuns(lambda summary: {**summary, **change}), silent)
    assert (row.status, row.error) == (status, error)


def test_the_table_is_there_after_each_run(tmp_path: Path) -> None:
    seen: list[list[str]] = []

    class Looking(MadeRuns):
        def __call__(self, command: str, log: Path) -> int:
            seen.append([row["status"] for row in table(tmp_path)])
            return super().__call__(command, log)

    run_missing(plan_of(tmp_path, ranks=(1, 2), repeats=1), tmp_path, Looking(), silent)
    assert [statuses.count("completed") for statuses in seen] == [0, 1, 2, 3]
    assert seen[0] == 4 * ["missing"]
    rows = table(tmp_path)
    assert [row["status"] for row in rows] == 4 * ["completed"]
    assert json.loads(rows[0]["final"]) == {"test_accuracy": 0.5}
    assert (rows[0]["mode"], rows[0]["seconds_to_target"]) == ("strong", "")


def test_an_interrupted_study_goes_on(tmp_path: Path) -> None:
    class Interrupted(MadeRuns):
        def __call__(self, command: str, log: Path) -> int:
            if len(self.commands) == 3:
                log.parent.mkdir(exist_ok=True)
                log.write_text("$ mpirun\nstep 3\n")
                raise KeyboardInterrupt
            return super().__call__(command, log)

    plan = plan_of(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        run_missing(plan, tmp_path, Interrupted(), silent)
    statuses = [row.status for row in read_all(plan, tmp_path)]
    assert (statuses.count("completed"), statuses.count("missing")) == (3, 9)
    again = MadeRuns()
    run_missing(plan, tmp_path, again, silent)
    assert len(again.commands) == 9


def test_one_world_runs_alone(tmp_path: Path) -> None:
    made = MadeRuns()
    rows = run_missing(plan_of(tmp_path), tmp_path, made, silent, ranks=[4])
    assert all("-4-ranks-" in name for name in made.directories)
    assert [row.status for row in rows].count("missing") == 8


def test_a_run_directory_that_is_not_whole_is_a_failure(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, ranks=(1,), repeats=1)
    run_missing(plan, tmp_path, MadeRuns(), silent)
    plan.runs[0].run_dir(tmp_path).environment.unlink()
    row = read_all(plan, tmp_path)[0]
    assert row.status == "failed"
    assert row.error.startswith("its run directory is not whole: ")
