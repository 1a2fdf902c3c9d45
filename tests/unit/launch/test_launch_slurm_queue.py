from __future__ import annotations

import pytest

from hpctrain.launch.slurm.queue import JobState, parse

# What Slurm 22.05 prints, cut short.
RUNNING = (
    "JobId=3 JobName=hpctrain UserId=root(0) JobState=RUNNING Reason=None Dependency=(null) Requeue=1 Restarts=1 "
    "ExitCode=0:0 ReqNodeList=(null) ExcNodeList=(null) NodeList=node[1-4] BatchHost=node1 NumNodes=4 "
)
WAITING = "JobId=4 JobName=a JobState=PENDING Reason=Resources Dependency=(null) ExitCode=0:0 NodeList= NumNodes=1"
FAILED = "JobId=5 JobName=a JobState=FAILED Reason=NonZeroExitCode ExitCode=75:0 NodeList=node1"


def test_a_job_is_read() -> None:
    assert parse(RUNNING) == JobState("RUNNING", nodes="node[1-4]")
    assert parse(WAITING) == JobState("PENDING", reason="Resources")
    assert parse(FAILED) == JobState("FAILED", "NonZeroExitCode", "node1", 75)


@pytest.mark.parametrize(
    ("state", "over"),
    [
        *[(state, False) for state in ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED", "REQUEUED")],
        *[(state, True) for state in ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY")],
    ],
)
def test_when_a_job_is_over(state: str, over: bool) -> None:
    assert JobState(state).is_over is over


@pytest.mark.parametrize(
    ("state", "exit_code", "code"),
    [("COMPLETED", 0, 0), ("FAILED", 75, 75), ("FAILED", 2, 2), ("CANCELLED", 0, 1), ("TIMEOUT", 0, 1)],
)
def test_the_exit_code_of_a_job(state: str, exit_code: int, code: int) -> None:
    assert JobState(state, exit_code=exit_code).code == code


def test_a_state_in_words() -> None:
    assert str(JobState("PENDING", reason="BeginTime")) == "pending (BeginTime)"
    assert str(JobState("NODE_FAIL", nodes="node1")) == "node fail on node1"
