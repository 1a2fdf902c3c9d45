"""A run seen through its files: before it begins, on the way, continued, and ended in every way."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from hpctrain.launch.run_dir import RunDir
from hpctrain.train.callbacks.callback import RunInfo
from hpctrain.watch.ranks import RankState
from hpctrain.watch.sight import Sight, Watcher

INFO = RunInfo("job", Path("r"), 2, 1, 1, "none", "MPI", "cpu", "s", "m", 10, "d", 64, 5, 40, 0, 1.0, ("shared cores",))


@pytest.fixture
def run_dir(tmp_path: Path) -> RunDir:
    (tmp_path / "logs").mkdir()
    return RunDir(tmp_path)


def write(path: Path, text: str, age: float = 0.0) -> None:
    """`age`: seconds since."""
    path.write_text(text)
    os.utime(path, (time.time() - age,) * 2)


def begin(run_dir: RunDir, age: float = 0.0, **changes: Any) -> None:
    info = dataclasses.asdict(dataclasses.replace(INFO, **changes))
    write(run_dir.begin, json.dumps({**info, "run_dir": "r", "added_later": 1}), age)


def step(number: int) -> str:
    return json.dumps({"step": number, "loss": 1.0, "accuracy": None, "seconds": {"compute": 0.5, "data": 0.25}}) + "\n"


def test_a_run_that_has_not_begun(tmp_path: Path) -> None:
    sight = Watcher(RunDir(tmp_path / "none")).look()
    assert (sight.status, sight.exit_code, sight.step, sight.seconds, sight.seconds_left) == (
        "not begun",
        None,
        0,
        {},
        None,
    )


def test_a_run_on_its_way(run_dir: RunDir) -> None:
    watcher = Watcher(run_dir)
    begin(run_dir)
    run_dir.metrics.write_text(step(10) + '{"step": 11, "test_loss": 2.0}\n{"step": 20, "lo')
    sight = watcher.look()
    assert (sight.status, sight.exit_code, sight.step) == ("running", None, 11)
    assert (len(sight.steps), len(sight.tests)) == (1, 1)
    assert sight.seconds == {"compute": 0.5, "data": 0.25}
    assert sight.seconds_left == pytest.approx(29 * 0.75)
    with run_dir.metrics.open("a") as file:
        file.write('ss": 1.0, "seconds": {"compute": 0.25}}\n')
    sight = watcher.look()
    assert (sight.step, sight.seconds) == (20, {"compute": 0.375, "data": 0.125})


def test_a_run_that_continues_has_one_curve(run_dir: RunDir) -> None:
    watcher = Watcher(run_dir)
    begin(run_dir, age=9)
    run_dir.metrics.write_text(step(10) + step(20))
    write(run_dir.summary, '{"status": "preempted"}', age=5)
    assert (watcher.look().status, watcher.look().exit_code) == ("preempted", 75)
    begin(run_dir, first_step=15)  # the summary is now that of an earlier part
    write(run_dir.path / "new", step(10))
    (run_dir.path / "new").replace(run_dir.metrics)
    sight = watcher.look()
    assert (sight.status, sight.exit_code, sight.step) == ("running", None, 15)
    assert [line["step"] for line in sight.lines] == [10]


@pytest.mark.parametrize(
    ("summary", "status", "code"),
    [
        ('{"status": "completed"}', "completed", 0),
        ('{"status": "preempted"}', "preempted", 75),
        ('{"status": "failed", "error": "rank 1: it"}', "failed", 1),
        ("{}", "failed", 1),
        ('{"status": "comp', "running", None),
        ("[]", "running", None),
    ],
)
def test_the_summary_says_how_it_ended(run_dir: RunDir, summary: str, status: str, code: int | None) -> None:
    begin(run_dir, age=1)
    run_dir.summary.write_text(summary)
    sight = Watcher(run_dir).look()
    assert (sight.status, sight.exit_code) == (status, code)


def test_a_run_that_failed_before_it_began_has_ended(run_dir: RunDir) -> None:
    run_dir.summary.write_text('{"status": "failed"}')
    assert Watcher(run_dir).look().exit_code == 1


def test_a_run_of_which_nothing_is_heard(run_dir: RunDir) -> None:
    begin(run_dir, age=100)
    assert Watcher(run_dir).look().status == "silent"
    run_dir.metrics.write_text(step(1))
    assert Watcher(run_dir).look().status == "running"


def sight_of(run_dir: RunDir, *ended: bool, age: float = 30.0) -> Sight:
    ranks = [RankState(rank, "node", None, 0.0, None, is_over) for rank, is_over in enumerate(ended)]
    return Sight(run_dir, INFO, [], None, [], "", ranks, now=100.0, heard=100.0 - age)


def test_a_run_whose_ranks_are_gone_was_killed(run_dir: RunDir) -> None:
    killed = sight_of(run_dir, True, True)
    assert (killed.status, killed.exit_code) == ("killed", 1)
    assert sight_of(run_dir, True, False).exit_code is None
    assert sight_of(run_dir, True).exit_code is None  # of the other one nothing is known
    assert sight_of(run_dir, True, True, age=1.0).exit_code is None  # the summary may be on its way


def test_notes_are_those_since_it_began(run_dir: RunDir) -> None:
    begin(run_dir)
    run_dir.rank_log(0).write_text(
        "2026 INFO rank 0 of 2 on a\n2026 WARNING note: old\n2026 INFO rank 0 of 2 on a\n"
        "2026 WARNING note: step 3 skipped\n2026 INFO note: no\nTraceback\n"
    )
    assert Watcher(run_dir).look().notes == ["shared cores", "step 3 skipped"]


def test_the_newest_stall_of_this_run(run_dir: RunDir) -> None:
    begin(run_dir, age=1)
    report = "hpctrain: rank {} has waited for 301 s in barrier.\n  ranks 0-1: in it\n\n"
    write(run_dir.stalls, report.format(0) + report.format(1))
    moment = time.strftime("%H:%M:%S", time.localtime(run_dir.stalls.stat().st_mtime))
    assert Watcher(run_dir).look().stall == f"{moment} rank 1 has waited for 301 s in barrier."
    begin(run_dir)
    os.utime(run_dir.stalls, (time.time() - 60,) * 2)
    assert Watcher(run_dir).look().stall == ""


def test_what_is_half_written_or_of_another_version_is_waited_for(run_dir: RunDir) -> None:
    for text in ("", '{"name": "job"', '{"name": "job"}', "[]"):
        run_dir.begin.write_text(text)
        assert Watcher(run_dir).look().info is None
