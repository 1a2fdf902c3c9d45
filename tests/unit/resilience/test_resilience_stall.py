"""The stall watch on ranks that are threads, and its words. Beats are made by hand: no clock is waited for."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Never

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpctrain.comm.communicator import Communicator
from hpctrain.comm.flight import Call, FlightRecorder
from hpctrain.comm.flight_log import NOBODY, OPEN, UNDER_WAY, FlightLog, Record, words_of
from hpctrain.comm.metered import Traffic
from hpctrain.comm.solo import Solo
from hpctrain.errors import CommunicationError
from hpctrain.resilience.flight_table import flight_table
from hpctrain.resilience.stall import StallWatch
from hpctrain.resilience.stall_report import View, headline, report, states
from hpctrain.resilience.standing import NUM_BYTES, Standing

sys.path.insert(0, str(Path(__file__).parents[1] / "collectives"))
from threads_world import run

NO_TIME = 1e-6  # seconds in a call, after which it is a stall: any open call is one
LATER = 1000.0  # seconds after which a rank that has said nothing is silent


class Rank:
    """One rank under watch, in the hands of a test."""

    def __init__(self, comm: Communicator, log: Path, seconds: float = NO_TIME) -> None:
        self.comm = comm
        self.recorder = FlightRecorder(comm.rank, comm.size)
        self.watch = StallWatch(comm.split(0, comm.rank), self.recorder)
        self.stalls: list[CommunicationError] = []
        self.log = log
        self.watch.watch_for(seconds, self.stalls.append, log)
        self.now = time.perf_counter()

    def enter(self, number: int, name: str = "all_reduce") -> Call:
        """Begin a collective of all ranks, from which nobody comes back."""
        words = words_of(name, "sum", "float32", f"0-{self.comm.size - 1}", "train.py:40")
        return self.recorder.begin(number, 40, NOBODY, words, Traffic())

    def beat(self, *silent: int, later: float = 0.0) -> None:
        """All ranks but the silent ones say where they stand; then all hear it."""
        self.now += later
        for _ in range(2):  # what was sent in the first is there in the second
            if self.comm.rank not in silent:
                self.watch.beat(self.now)
            self.comm.barrier()

    def told(self) -> str:
        """The reports so far, of whichever rank."""
        return self.log.read_text() if self.log.exists() else ""


@pytest.fixture
def on_ranks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a test on so many ranks, end the watch, and return what was reported; to the log, as on standard error."""

    def on_ranks(size: int, test: Callable[[Rank], None], seconds: float = NO_TIME) -> str:
        def on_rank(comm: Communicator) -> list[CommunicationError]:
            rank = Rank(comm, tmp_path / "stalls.txt", seconds)
            try:
                test(rank)
                rank.watch.end_together()
            finally:
                rank.watch._stop_thread()  # one that goes on after a failure slows all tests that follow
            return rank.stalls

        stalls = run(size, on_rank)
        told = (tmp_path / "stalls.txt").read_text() if (tmp_path / "stalls.txt").exists() else ""
        assert capsys.readouterr().err.split() == told.split()
        assert sum(map(len, stalls)) == told.count("hpctrain: ")
        return told

    return on_ranks


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_the_first_rank_reports_who_waits_and_who_does_not_come(on_ranks: Callable[..., str], size: int) -> None:
    def test(rank: Rank) -> None:
        rank.enter(17).__exit__()
        if rank.comm.rank < max(1, rank.comm.size - 1):
            rank.enter(18)
        rank.beat()
        assert (len(rank.stalls) == 1) == (rank.comm.rank == 0)

    told = on_ranks(size, test)
    assert f"in all_reduce(sum) of float32 x 10, call 18 of ranks 0-{size - 1}, train.py:40" in told
    if size > 1:
        assert f"and rank {size - 1} is not in it" in told
        assert f"  rank {size - 1}: in " in told
        assert "did not call it; the last that it called is all_reduce(sum) of float32 x 10, call 17 of" in told
    assert "test_resilience_stall.py" in told or "pytest" in told  # the stack of the main thread


def test_nothing_is_said_while_all_goes_well(on_ranks: Callable[..., str]) -> None:
    def test(rank: Rank) -> None:
        rank.beat()
        rank.enter(1)
        rank.beat(later=1.0)

    assert on_ranks(3, test, seconds=100.0) == ""


def test_a_call_under_way_that_nobody_waits_for_is_no_stall(on_ranks: Callable[..., str]) -> None:
    def test(rank: Rank) -> None:
        call = rank.enter(1)
        call.__exit__()
        call.go_on()
        rank.beat()

    assert on_ranks(2, test) == ""


def test_a_stall_is_reported_once_and_the_next_one_again(on_ranks: Callable[..., str]) -> None:
    def test(rank: Rank) -> None:
        call = rank.enter(1)
        rank.beat()
        rank.beat()
        call.__exit__()
        rank.enter(2)
        rank.beat()

    told = on_ranks(2, test)
    assert [told.count(f"s in all_reduce(sum) of float32 x 10, call {number} of") for number in (1, 2)] == [1, 1]


@pytest.mark.parametrize("size", [2, 3, 4])
def test_where_the_first_rank_is_silent_the_last_reports(on_ranks: Callable[..., str], size: int) -> None:
    def test(rank: Rank) -> None:
        rank.beat()
        rank.beat(0)  # its last message is heard
        if rank.comm.rank > 0:
            rank.enter(1)
        rank.beat(0, later=LATER)
        assert (len(rank.stalls) == 1) == (rank.comm.rank == rank.comm.size - 1)

    told = on_ranks(size, test)
    assert "rank 0: no answer: stopped, dead, or in code that holds the interpreter; last heard from " in told
    assert "and rank 0 is not in it" in told


def test_who_was_stopped_itself_does_not_judge_the_others(on_ranks: Callable[..., str]) -> None:
    def test(rank: Rank) -> None:
        rank.enter(1)
        rank.beat(0, 1, 2)  # all are stopped, and wake up much later
        rank.now += LATER
        if rank.comm.rank == 0:
            rank.watch.beat(rank.now)
            assert rank.stalls == []

    on_ranks(3, test)


def test_who_has_never_said_anything_is_named(on_ranks: Callable[..., str]) -> None:
    def test(rank: Rank) -> None:
        rank.enter(1)
        rank.beat(1)

    told = on_ranks(3, test)
    assert "  rank 1: never heard of: stopped, dead, or in code that holds the interpreter\n" in told


def test_ranks_that_have_ended_are_named(on_ranks: Callable[..., str]) -> None:
    def test(rank: Rank) -> None:
        if rank.comm.rank == 1:
            rank.enter(1)
        else:
            rank.watch.end()
        rank.beat()

    told = on_ranks(3, test)
    assert "rank 1 has waited for 0 s in all_reduce(sum) of float32 x 10, call 1 of ranks 0-2, train.py:40" in told
    assert "and ranks 0, 2 are not in it.\n  ranks 0, 2: ended\n" in told


@pytest.mark.parametrize("size", [1, 2, 4])
def test_the_thread_watches_and_ends_with_no_message_under_way(on_ranks: Callable[..., str], size: int) -> None:
    """`on_ranks` ends it, and the world of threads looks for what was not received."""

    def test(rank: Rank) -> None:
        reported = threading.Event()
        rank.watch.watch_for(0.2, lambda stall: (rank.stalls.append(stall), reported.set()), rank.log)
        rank.watch.begin()
        with rank.enter(1):
            if rank.comm.rank == 0:
                assert reported.wait(60)
            rank.comm.barrier()

    assert "call 1 of ranks" in on_ranks(size, test)


def test_a_communicator_that_fails_for_a_rank_says_that_it_has_ended(tmp_path: Path) -> None:
    """As local ranks do: who waits for one that has ended is told so."""

    class Ended(Solo):
        size = 2

        def isend(self, *_: object) -> Never:
            raise CommunicationError("this rank waits for rank 1, which ended with exit code 0")

        irecv = isend

    stalls: list[CommunicationError] = []
    recorder = FlightRecorder(0, 2)
    watch = StallWatch(Ended(), recorder)
    watch.watch_for(NO_TIME, stalls.append, tmp_path / "stalls.txt")
    recorder.begin(1, 0, NOBODY, words_of("barrier", "", "", "0-1", "train.py:1"), Traffic())
    now = time.perf_counter()
    watch.beat(now)  # long after it was made, in its own time: it may have been stopped
    watch.beat(now)
    assert len(stalls) == 1
    assert "  rank 1: ended\n" in (tmp_path / "stalls.txt").read_text()


def test_a_log_that_cannot_be_written_does_not_matter(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stalls: list[CommunicationError] = []
    recorder = FlightRecorder(0, 1)
    watch = StallWatch(Solo(), recorder)
    watch.watch_for(NO_TIME, stalls.append, tmp_path / "none" / "stalls.txt")
    recorder.begin(1, 0, NOBODY, words_of("barrier", "", "", "0", "train.py:1"), Traffic())
    now = time.perf_counter()
    watch.beat(now)  # long after it was made, in its own time: it may have been stopped
    watch.beat(now)
    assert len(stalls) == 1
    assert "hpctrain: rank 0 has waited" in capsys.readouterr().err


def test_a_watch_that_may_not_talk_ends_by_itself() -> None:
    watch = StallWatch(Solo(), FlightRecorder(0, 1), may_talk=lambda: False)
    watch.watch_for(1e-3, print)
    watch.begin()
    watch._thread.join(60)
    assert not watch._thread.is_alive()
    watch.end_together()


# What is said of a stall


def call(
    number: int, name: str = "all_reduce", ended: float = OPEN, group: str = "0-3", site: str = "a.py:1"
) -> Record:
    return Record(number, number, 40, NOBODY, 1000.0 + number, ended, name, "", "float32", group, site)


def view(standings: Mapping[int, Standing], ended: frozenset[int] = frozenset(), silent: int = -1) -> View:
    ages = {rank: 50.0 if rank == silent else 2.0 for rank in range(4)}
    return View(standings, ages, ended, silent_after=10.0)


def inside(rank: int, *calls: Record, stack: tuple[str, ...] = ()) -> Standing:
    return Standing(rank, 1100.0, calls, calls, "main (a.py:1)", stack)


def test_ranks_in_different_calls_stand_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpctrain.resilience.stall_report._clock", lambda moment: f"{moment:g}")
    mine, other = call(7), call(7, "broadcast", site="b.py:2")
    stalled = view({rank: inside(rank, other if rank == 2 else mine, stack=("f (a.py:1)",)) for rank in range(4)})
    longest = stalled.waiting()[0]
    assert (longest.rank, longest.seconds) == (0, 1100.0 - 1007.0 + 2.0)
    assert report(stalled, longest).splitlines() == [
        "hpctrain: rank 0 has waited for 95 s in all_reduce of float32 x 10, call 7 of ranks 0-3, a.py:1, "
        "and rank 2 is not in it.",
        "  ranks 0-1, 3: in all_reduce of float32 x 10, call 7 of ranks 0-3, a.py:1, since 1007",
        "  rank 2: in broadcast of float32 x 10, call 7 of ranks 0-3, b.py:2, since 1007",
        "  ranks 0-3:",
        "    f (a.py:1)",
    ]


def test_the_line_on_top_names_who_is_missing() -> None:
    standings = {0: inside(0, call(7)), 1: inside(1), 2: inside(2, call(6)), 3: inside(3, call(7))}
    stalled = view(standings, silent=3)
    assert headline(stalled, stalled.waiting()[-1]).endswith("and ranks 1-3 are not in it")
    together = view({rank: inside(rank, call(7)) for rank in range(4)})
    assert headline(together, together.waiting()[0]).endswith("a.py:1, and all its ranks are in it")
    messages = replace(call(0, "recv"), peer=2)
    alone = view({0: inside(0, messages)})
    assert headline(alone, alone.waiting()[0]).endswith(
        "s in recv of float32 x 10, from rank 2, in the group of ranks 0-3, a.py:1"
    )


@pytest.mark.parametrize(
    ("last", "told"),
    [
        ((), "in main (a.py:1); did not call it, nor any collective of that group of late"),
        ((call(6, ended=1010.0),), "in main (a.py:1); did not call it; the last that it called is all_reduce of"),
        ((call(6, ended=UNDER_WAY),), "call 6 of ranks 0-3, a.py:1, not waited for"),
        ((call(7, ended=1010.0),), "in main (a.py:1); done with it"),
        ((call(9, ended=1010.0, group="2-3"),), "nor any collective of that group of late"),
    ],
)
def test_why_a_rank_is_not_in_a_call(last: tuple[Record, ...], told: str) -> None:
    standing = Standing(1, 1100.0, (), last, "main (a.py:1)")
    (line,) = [line for line in states(view({1: standing}), call(7)) if line.startswith("  rank 1:")]
    assert told in line


def test_a_rank_of_another_group_has_nothing_to_do_with_it() -> None:
    standing = Standing(1, 1100.0, (), (), "main (a.py:1)")
    lines = states(view({1: standing}), call(7, group="0,2-3"))
    assert "  rank 1: in main (a.py:1); in no call" in lines


def test_who_has_ended_or_is_silent_waits_for_nobody() -> None:
    standings = {0: inside(0, call(7)), 1: inside(1, call(7)), 2: inside(2, call(7))}
    assert [waiting.rank for waiting in view(standings, ended=frozenset({0}), silent=2).waiting()] == [1]


# What a rank says of itself


@given(st.lists(st.text(max_size=200), max_size=12), st.integers(0, 4))
def test_a_standing_fits_its_message(stack: list[str], num_calls: int) -> None:
    calls = [
        replace(
            call(number + 1, "n" * 24, group=f"{number}-{'9' * 38}", site="s" * 56), op="product", dtype="complex128"
        )
        for number in range(num_calls)
    ]
    log = FlightLog(3, 4, 1, "host", calls)
    standing = replace(Standing.of_log(log, 2000.0), place="f" * 100, stack=stack, ended=True)
    message = standing.encode()
    assert len(message) == NUM_BYTES
    decoded = Standing.decode(message)
    assert (decoded.rank, decoded.time, decoded.place, decoded.ended) == (3, 2000.0, "f" * 100, True)
    assert decoded.stack == stack[len(stack) - len(decoded.stack) :]
    assert list(decoded.inside) == calls[: len(decoded.inside)]
    if num_calls:
        assert decoded.inside


def test_the_last_call_of_each_group_is_told() -> None:
    calls = [
        replace(call(5, group="0-1", ended=1.0), index=1),
        replace(call(6, ended=UNDER_WAY), index=2),
        replace(call(7, ended=1.0), index=3),
        replace(call(6, "wait for all_reduce", ended=1.0), index=4),  # of one that was started before another
        replace(call(0, "send", ended=1.0), index=5),
    ]
    standing = Standing.of_log(FlightLog(0, 4, 1, "host", calls), 0.0)
    assert [(last.group, last.number) for last in standing.last] == [("0-1", 5), ("0-3", 7)]
    assert standing.inside == []


def test_a_rank_knows_where_its_main_thread_is() -> None:
    standing = Standing.own(FlightRecorder(0, 1), ended=False)
    assert standing.stack[-1].startswith("Standing.own (resilience/standing.py:")
    assert "test_a_rank_knows_where_its_main_thread_is (resilience/test_resilience_stall.py:" in standing.stack[-2]


# The table of flight records


def test_the_table_shows_who_is_behind_and_what_each_did(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("stall_report", "flight_table"):
        monkeypatch.setattr(f"hpctrain.resilience.{module}._clock", lambda moment: f"{moment:g}")
    done, under_way, message = call(6, ended=1006.5), call(7, ended=UNDER_WAY), call(0, "send", ended=1000.25)
    logs = [
        FlightLog(0, 4, 11, "node7", [message, done, call(7)]),
        FlightLog(1, 4, 12, "node7", [done, under_way]),
        FlightLog(3, 4, 13, "node8", [done]),
    ]
    assert flight_table(logs, last=2).splitlines() == [
        "ranks 0-1, 3 of 4, compared with all_reduce of float32 x 10, call 7 of ranks 0-3, a.py:1, begun at 1007:",
        "  rank 0: in all_reduce of float32 x 10, call 7 of ranks 0-3, a.py:1, since 1007",
        "  rank 1: done with it",
        "  rank 3: did not call it; the last that it called is all_reduce of float32 x 10, call 6 of ranks 0-3, "
        "a.py:1, done at 1006.5",
        "  rank 2: no record",
        "",
        "rank 0 of 4, process 11 on node7",
        "  began  took        call  what                        ranks  where",
        "  1006   500.000 ms  6     all_reduce of float32 x 10  0-3    a.py:1",
        "  1007   is in it    7     all_reduce of float32 x 10  0-3    a.py:1",
        "",
        "rank 1 of 4, process 12 on node7",
        "  began  took        call  what                        ranks  where",
        "  1006   500.000 ms  6     all_reduce of float32 x 10  0-3    a.py:1",
        "  1007   under way   7     all_reduce of float32 x 10  0-3    a.py:1",
        "",
        "rank 3 of 4, process 13 on node8",
        "  began  took        call  what                        ranks  where",
        "  1006   500.000 ms  6     all_reduce of float32 x 10  0-3    a.py:1",
    ]


def test_a_table_of_ranks_that_did_nothing() -> None:
    table = flight_table([FlightLog(0, 1, 11, "node7", [])], last=5)
    assert table.splitlines()[1:] == ["rank 0 of 1, process 11 on node7", "  began  took  call  what  ranks  where"]
