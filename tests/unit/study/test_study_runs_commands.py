"""The commands, from their words to what is printed; no run is started but by a launcher that runs nothing."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from made_runs import MadeRuns

from hpctrain.errors import HpctrainError, Preempted
from hpctrain.study.__main__ import main
from hpctrain.study.report import write
from hpctrain.study.results import Study
from hpctrain.study.runs import commands
from hpctrain.study.runs.arguments import New, Old, parse

SMALL = ("model.engine=numpy", "--ranks", "1,2", "--repeats", "1", "--launcher", "mpirun -n {ranks}")


@pytest.fixture(autouse=True)
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Study]]:
    """The studies that a report was asked for; in a directory of the test's own, and with its own signals."""
    written: list[Study] = []
    monkeypatch.setattr(write, "write_report", lambda study, out: written.append(study))
    monkeypatch.chdir(tmp_path)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)}
    yield written
    for number, handler in before.items():
        signal.signal(number, handler)


def run(*arguments: str, start: MadeRuns | None = None) -> int:
    asked = parse(arguments)
    if isinstance(asked, Old):
        return commands.ask_old(asked, start or MadeRuns())
    return commands.run_new(asked, start or MadeRuns())


def test_a_study_runs_and_is_reported(reports: list[Study], capsys: pytest.CaptureFixture) -> None:
    assert run(*SMALL, "--forecast", "weak", "--link", "hdr200") == 0
    out = Path("runs/digits_cnn/study")
    assert (out / "results.csv").read_text().count("completed") == 4  # both modes
    assert len(reports) == 1
    assert list(reports[0].forecasts) == [""]
    assert reports[0].command == (
        "python -m hpctrain.study model.engine=numpy --ranks 1,2 --repeats 1 --launcher 'mpirun -n {ranks}' "
        "--forecast weak --link hdr200"
    )
    assert f"the report is {out}/report.html" in capsys.readouterr().out


def test_it_resumes_and_continues(capsys: pytest.CaptureFixture) -> None:
    fails = MadeRuns(lambda summary: summary if summary["world_size"] == 1 else None)
    assert run(*SMALL, "--out", "s", start=fails) == 1
    assert "2 of 4 runs did not complete; `python -m hpctrain.study continue s` tries again" in capsys.readouterr().out
    again = MadeRuns()
    assert run("continue", "s", start=again) == 0
    assert len(again.commands) == 2
    assert run(*SMALL, "--out", "s", start=again) == 0
    assert len(again.commands) == 2


def test_one_world_goes_on_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    told: list[str] = []
    monkeypatch.setattr(commands, "keep_nodes", lambda out, job_id, say: told.append(job_id))
    assert run(*SMALL, "--out", "s", "--dry-run") == 0
    assert not Path("s").exists()
    run(*SMALL, "--out", "s", start=MadeRuns(lambda summary: None))
    alone = MadeRuns()
    assert run("continue", "s", "--ranks", "2", start=alone) == 0
    assert len(alone.commands) == 2
    assert told == ["7"]
    with pytest.raises(HpctrainError, match="s has no runs with 3 ranks"):
        run("continue", "s", "--ranks", "3")


def test_what_is_there_is_reported_graded_and_forecast(reports: list[Study], capsys: pytest.CaptureFixture) -> None:
    run(*SMALL[:2], "1,2,3", *SMALL[3:], "--out", "s")
    capsys.readouterr()
    assert main(["grade", "s"]) == 0
    assert "fitted on 1, 2 ranks:" in capsys.readouterr().out
    assert main(["forecast", "s", "--link", "hdr200", "--ranks-per-node", "2", "--largest", "8"]) == 0
    shown = capsys.readouterr().out
    assert "strong scaling" in shown
    assert "weak scaling" in shown
    assert main(["report", "s", "--mode", "weak", "--link", "1gbit"]) == 0
    assert reports[0].forecasts == {}
    assert len(reports[1].forecasts[""]) == 1
    assert reports[1].link.startswith("1gbit")


def test_runs_are_worth_more_than_their_report(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    def refuse(study: Study, out: Path) -> None:
        raise HpctrainError("no matplotlib: pip install it")

    monkeypatch.setattr(write, "write_report", refuse)
    assert run(*SMALL) == 0
    assert "no report: no matplotlib" in capsys.readouterr().out


def test_ctrl_c_says_how_to_go_on() -> None:
    class Interrupted(MadeRuns):
        def __call__(self, command: str, log: Path) -> int:
            raise KeyboardInterrupt

    with pytest.raises(Preempted, match=r"stopped; .* continue s` goes on") as stopped:
        run(*SMALL, "--out", "s", start=Interrupted())
    assert stopped.value.exit_code == 75


def test_a_directory_that_cannot_be_made_is_named(capsys: pytest.CaptureFixture) -> None:
    Path("file").touch()
    assert main([*SMALL, "--out", "file/s"]) == 2
    assert "the directory file/s cannot be made" in capsys.readouterr().err


def test_slurm_scripts_are_shown(capsys: pytest.CaptureFixture) -> None:
    submitted = ("--ranks", "2,8", "--submit", "--nodes", "4", "--time", "10:00", "--option=--qos=low", "--dry-run")
    assert main([*submitted, "--partition", "p"]) == 0
    shown = capsys.readouterr().out
    assert shown.index("--nodes=4") < shown.index("--nodes=1")
    assert shown.count("#SBATCH --qos=low") == shown.count("#SBATCH --partition=p") == 2
    assert not Path("runs").exists()


def test_a_submitted_study_is_kept(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    chains = []
    monkeypatch.setattr(commands, "submit", lambda jobs, out, say: chains.append(jobs))
    assert main(["--ranks", "2,8", "--submit", "--ranks-per-node", "4", "--out", "s"]) == 0
    assert [job.ranks for job in chains[0]] == [8, 2]
    plan = json.loads(Path("s/study.json").read_text())
    assert (plan["ranks_per_node"], plan["launcher"][:6]) == (4, "mpirun")
    assert {(run["ranks"], run["nodes"]) for run in plan["runs"]} == {(2, 1), (8, 2)}
    assert "each job writes s/report.html anew" in capsys.readouterr().out
    assert main(["--ranks", "2,8", "--out", "s"]) == 2  # it would run here
    assert "the launcher is" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "the following arguments are required: --ranks"),
        (["--ranks", "0,1"], "0,1: write whole numbers of ranks with commas"),
        (["--ranks", "1", "--time", "1:00"], "--time is for --submit"),
        (["--ranks", "1", "--nodes", "2"], "--nodes is for --submit"),
        (["--ranks", "1", "--ranks-per-node", "2"], "--ranks-per-node is for --submit or --launcher"),
        (["--ranks", "1", "--launcher", "srun"], "write {ranks} where"),
        (["--ranks", "1", "--launcher", "a {ranks}", "--submit"], "--launcher is for runs that start from here"),
        (["--ranks", "1", "--target", "accuracy=1"], "write test_accuracy=VALUE"),
        (["--ranks", "1", "--link", "string"], 'no link "string"'),
        (["--ranks", "1", "--compare", "strategy=a"], "write section.key=value"),
        (["--ranks", "100"], "100 ranks cannot share training.batch_size=64"),
        (["nowhere.toml", "--ranks", "1"], "no job file nowhere.toml"),
        (["--ranks", "6", "--ranks-per-node", "4", "--submit"], "6 ranks with 4 on each node"),
        (["grade", "nowhere"], "nowhere holds no study"),
        (["grade"], "python -m hpctrain.study grade --help says more"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(arguments: list[str], told: str, capsys: pytest.CaptureFixture) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert told in said
    assert said.startswith("hpctrain: ")
    assert said.count("\n") == 1


def test_the_same_mode_twice_is_one() -> None:
    asked = parse(["--ranks", "4,1,4", "--mode", "weak", "--mode", "weak"])
    assert isinstance(asked, New)
    assert (asked.asked.ranks, [mode.value for mode in asked.asked.modes]) == ((1, 4), ["weak"])
    assert parse(["report", "s"]) == Old("report", Path("s"))
    assert parse(["grade", "s", "--fit", "2,1"]) == Old("grade", Path("s"), (1, 2))
    assert parse(["forecast", "s", "--link", "hdr200"]) == Old("forecast", Path("s"), forecast={"link": "hdr200"})
