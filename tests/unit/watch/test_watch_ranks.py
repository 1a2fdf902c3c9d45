"""Ranks by their flight records: who is in what, and whom the others wait for."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpctrain.comm.flight import FlightRecorder
from hpctrain.comm.flight_log import NOBODY, OPEN, UNDER_WAY, FlightLog, Record, words_of
from hpctrain.comm.metered import Traffic
from hpctrain.launch.run_dir import RunDir
from hpctrain.watch import ranks as module
from hpctrain.watch.ranks import RankReader, RankState, state_of, stragglers, verdict

HOST = socket.gethostname()


def record(index: int, started: float, ended: float) -> Record:
    return Record(index, index, 40, NOBODY, started, ended, "all_reduce", "sum", "float32", "0-1", "a.py:1")


def log(spans: Iterable[tuple[float, float]], pid: int = os.getpid(), host: str = HOST) -> FlightLog:
    return FlightLog(1, 2, pid, host, [record(index, *span) for index, span in enumerate(spans, 1)])


def state(rank: int, waiting: float | None) -> RankState:
    return RankState(rank, "node", None, 0.0, waiting, False)


def test_a_rank_in_a_call() -> None:
    found = state_of(log([(1.0, 2.0), (5.0, OPEN), (6.0, OPEN)]))
    assert found.doing is not None
    assert (found.doing.index, found.since, found.waiting, found.ended) == (2, 5.0, None, False)


def test_a_rank_between_two_calls_is_there_since_the_last_ended_or_was_started() -> None:
    assert (state_of(log([(1.0, 2.0), (3.0, 4.5)])).since, state_of(log([(1.0, 4.5)])).doing) == (4.5, None)
    assert state_of(log([(1.0, 2.0), (7.0, UNDER_WAY)])).since == 7.0


def test_a_rank_that_has_ended_is_one_of_this_machine() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert state_of(log([(1.0, 2.0)], gone.pid)).ended
    assert not state_of(log([(1.0, 2.0)], gone.pid, "another")).ended


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 10)), min_size=4, max_size=20))
def test_the_share_of_waiting_counts_each_moment_once(calls: list[tuple[int, int]]) -> None:
    """Calls may lie in each other, and overlap where some are asynchronous: the oracle looks at each second."""
    spans = [(float(start), float(start + length)) for start, length in calls]
    first, last = min(start for start, _ in calls), max(start + length for start, length in calls)
    covered = sum(any(start <= second < start + length for start, length in calls) for second in range(first, last))
    assert state_of(log(spans)).waiting == pytest.approx(covered / (last - first))


@pytest.mark.parametrize(
    ("shares", "slow"),
    [
        ([0.5, 0.1, 0.55, 0.6], [1]),
        ([0.5, 0.2, 0.55, 0.6, 0.1], [4, 1]),
        ([0.5, 0.45, 0.55, 0.6], []),  # all wait about as much
        ([0.1, 0.01, 0.09, 0.1], []),  # little is waited at all
        ([0.9, None, 0.9], []),
        ([None], []),
        ([0.5], []),
        ([], []),
    ],
)
def test_stragglers_wait_much_less_than_most(shares: list[float | None], slow: list[int]) -> None:
    states = [state(rank, share) for rank, share in enumerate(shares)]
    assert [straggler.rank for straggler in stragglers(states)] == slow


def test_the_verdict_in_words() -> None:
    states = [state(rank, share) for rank, share in enumerate([0.5, 0.1, 0.5, 0.7, 0.2, 0.5, 0.5])]
    assert verdict(states[:4]) == "rank 1 waits 10% of the time, the others 50%: they wait for it"
    assert verdict(states) == "ranks 1, 4 wait 15% of the time, the others 50%: they wait for these"
    assert verdict(states[5:]) == ""


@pytest.fixture
def run_dir(tmp_path: Path) -> RunDir:
    (tmp_path / "logs").mkdir()
    return RunDir(tmp_path)


def leave_record(run_dir: RunDir, rank: int) -> None:
    recorder = FlightRecorder(rank, 5)
    recorder.record_to(run_dir.flight(rank))
    with recorder.begin(1, 4, NOBODY, words_of("barrier", "", "", "0-4", "a.py:1"), Traffic()):
        pass


def test_records_that_are_missing_or_broken_or_of_a_larger_world_are_left_out(run_dir: RunDir) -> None:
    reader = RankReader(run_dir)
    assert reader.look(0) == reader.look(4) == []
    for rank in (0, 2, 4):
        leave_record(run_dir, rank)
    run_dir.flight(1).write_bytes(b"half")
    assert [found.rank for found in reader.look(4)] == [0, 2]
    assert [found.host for found in reader.look(5)] == [HOST] * 3


def test_many_ranks_are_read_in_turn(run_dir: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FILES_AT_ONCE", 2)
    for rank in range(5):
        leave_record(run_dir, rank)
    reader = RankReader(run_dir)
    assert [[found.rank for found in reader.look(5)] for _ in range(3)] == [[0, 1], [0, 1, 2, 3], [0, 1, 2, 3, 4]]
