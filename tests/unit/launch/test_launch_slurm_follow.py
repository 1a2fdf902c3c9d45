from __future__ import annotations

import io
from pathlib import Path

from hpctrain.errors import EnvironmentProblem
from hpctrain.launch.slurm.follow import Lines, follow, screen_for
from hpctrain.launch.slurm.queue import JobState


class Recorder(Lines):
    """A screen that remembers."""

    def __init__(self) -> None:
        self.stream = io.StringIO()
        self.steps: list[tuple[int, int]] = []
        super().__init__(self.stream)

    def show_step(self, step: int, total: int) -> None:
        self.steps.append((step, total))


def watch(log: Path, *moments: tuple[JobState | Exception | None, str]) -> tuple[JobState | None, Recorder]:
    """Follow a job that at each look is in that state, and has written that to its log meanwhile."""
    screen, left = Recorder(), iter(moments)

    def look() -> JobState | None:
        state, written = next(left)
        if written:
            with log.open("a") as file:
                file.write(written)
        if isinstance(state, Exception):
            raise state
        return state

    return follow(look, log, screen, wait=lambda: None), screen


def test_states_and_log_in_their_order(tmp_path: Path) -> None:
    state, screen = watch(
        tmp_path / "log",
        (JobState("PENDING", reason="Resources"), ""),
        (JobState("PENDING", reason="Resources"), ""),
        (JobState("RUNNING", nodes="node1"), "header\nstep  5/40  epoch"),
        (JobState("RUNNING", nodes="node1"), " 1/2  loss 0.3\nstep 10/40  loss 0.2\n"),
        (EnvironmentProblem("no answer"), ""),
        (JobState("PENDING", reason="BeginTime"), "stopped\n"),  # queues up again: not over
        (JobState("RUNNING", nodes="node2"), ""),
        (JobState("FAILED", exit_code=2), "the end"),
    )
    assert state == JobState("FAILED", exit_code=2)
    assert screen.stream.getvalue().splitlines() == [
        "--- pending (Resources)",
        "--- running on node1",
        "header",
        "step  5/40  epoch 1/2  loss 0.3",
        "step 10/40  loss 0.2",
        "--- not known: no answer",
        "--- pending (BeginTime)",
        "stopped",
        "--- running on node2",
        "--- failed",
        "the end",
    ]
    assert screen.steps == [(10, 40)]


def test_a_job_that_is_forgotten(tmp_path: Path) -> None:
    state, screen = watch(tmp_path / "log", (None, "a line"))
    assert state is None
    assert screen.stream.getvalue() == "a line\n"


def test_a_pipe_gets_the_log_alone() -> None:
    stream = io.StringIO()
    with screen_for(stream) as screen:
        screen.say("step 1/2\n")
        screen.show_step(1, 2)
    assert stream.getvalue() == "step 1/2\n"


def test_a_terminal_gets_a_bar_below_the_log() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    with screen_for(stream) as screen:
        screen.say("step 1/2 [bold]\n")
        screen.show_step(1, 2)
    assert "step 1/2 [bold]" in stream.getvalue()
    assert "\x1b" in stream.getvalue()
