"""The screen fits the terminal, whatever the run and the terminal are, and says what matters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from hpctrain.comm.flight_log import NOBODY, OPEN, Record
from hpctrain.launch.run_dir import RunDir
from hpctrain.train.callbacks.callback import RunInfo
from hpctrain.watch.ranks import RankState
from hpctrain.watch.rich_screen import headline, lines
from hpctrain.watch.sight import Sight

INFO = RunInfo("job", Path("r"), 4, 2, 1, "srun", "MPI", "cpu", "ring", "cnn", 10, "d", 64, 5, 400, 0, 1.0, ())
CALL = Record(7, 7, 40, NOBODY, 99.0, OPEN, "all_reduce", "sum", "float32", "0-3", "train.py:40")


def sight(steps: int = 100, info: RunInfo | None = INFO, **changes: Any) -> Sight:
    entries: list[dict[str, Any]] = [
        {
            "step": step,
            "loss": 10.0 / step,
            "accuracy": step / 100,
            "learning_rate": 0.01,
            "samples_per_second": 1234.0,
            "seconds": {"compute": 0.03, "communication": 0.01},
            "bytes_sent": 5_000_000,
        }
        for step in range(10, steps + 1, 10)
    ]
    entries += [{"step": step, "test_loss": 1.0, "test_accuracy": 0.5} for step in range(50, steps + 1, 50)]
    shares = [0.5, 0.1, 0.5, 0.5]
    ranks = [
        RankState(rank, f"n{rank // 2}", CALL if rank == 0 else None, 99.0, share, False)
        for rank, share in enumerate(shares)
    ]
    given = {"summary": None, "notes": [], "stall": "", "ranks": ranks, "now": 100.0, "heard": 99.5, **changes}
    return Sight(run_dir=RunDir(Path("runs/job/1")), info=info, lines=entries, **given)


def texts(shown: Sight, width: int = 100, height: int = 40) -> list[str]:
    return [line.plain.rstrip() for line in lines(shown, width, height)]


def test_a_run_on_its_way() -> None:
    screen = texts(sight())
    assert screen[0] == "job  running  step 100/400 (25%)  epoch 2/5  12.0 s left"
    assert screen[1] == "━" * 25 + "─" * 75
    assert screen[2:4] == ["4 ranks on 2 nodes, ring; cnn; cpu; srun", "runs/job/1"]
    assert screen[5].split("   ")[0] == "loss  train 0.1  test 1"
    assert "accuracy, %  train 100.0  test 50.0" in screen[5]
    assert "speed  1,234 samples/s  40 ms a step  learning rate 0.01  rank 0 has sent 5 MB" in screen
    assert "■ compute 75%  ■ communication 25%" in screen
    start = screen.index("ranks  rank 1 waits 10% of the time, the others 50%: they wait for it")
    assert screen[start + 1 :] == [
        "    1 n0 waits  10%  for 1.0 s in no call",
        "    0 n0 waits  50%  for 1.0 s in all_reduce(sum) of float32 x 10, call 7 of ranks 0-3, train.py:40",
        "    2 n1 waits  50%  for 1.0 s in no call",
        "    3 n1 waits  50%  for 1.0 s in no call",
    ]


def test_the_bar_of_sections_is_shared_out_over_the_width() -> None:
    (bar,) = [line for line in lines(sight(), 40, 40) if line.plain.startswith("█")]
    assert [(span.end - span.start, span.style) for span in bar.spans] == [(30, "blue"), (10, "dark_orange")]


def test_ranks_for_which_there_is_no_room_are_counted() -> None:
    ranks = [RankState(rank, "n", None, 99.0, 0.1 if rank == 70 else 0.5, False) for rank in range(80)]
    screen = texts(sight(ranks=ranks), height=30)
    assert len(screen) <= 30
    place = screen.index("ranks  rank 70 waits 10% of the time, the others 50%: they wait for it")
    assert screen[place + 1].startswith("   70 n waits  10%")
    assert screen[-1] == f"      and {80 - (len(screen) - place - 2)} ranks more"


def test_stalls_notes_and_errors_are_told() -> None:
    failed = {"status": "failed", "error": "rank 3: ValueError: it\nis so"}
    screen = texts(sight(summary=failed, notes=["a", "b", "c"], stall="12:01:07 rank 0 has waited"))
    assert screen[-4:] == [
        "stall  12:01:07 rank 0 has waited",
        "note   b",
        "note   c",
        "error  rank 3: ValueError: it is so",
    ]
    assert screen[0] == "job  failed  step 100/400 (25%)  epoch 2/5"


def test_headlines() -> None:
    assert headline(sight(info=None, steps=0, ranks=[], heard=0.0)) == "1  not begun"
    assert headline(sight(now=500.0)).startswith("job  nothing heard for 6 min 40 s  step 100/400")
    assert headline(sight(steps=400, summary={"status": "completed"})) == (
        "job  completed  step 400/400 (100%)  epoch 5/5"
    )
    waiting = texts(sight(info=None, steps=0, ranks=[], heard=0.0))
    assert waiting == ["1  not begun", "runs/job/1", "", "waits for it to begin"]


@given(
    st.integers(20, 200),
    st.integers(12, 60),
    st.integers(0, 400),
    st.booleans(),
    st.integers(0, 30),
    st.sampled_from([None, {"status": "completed"}, {"status": "failed", "error": "x" * 300}]),
    st.lists(st.text(max_size=150), max_size=4),
)
def test_it_fits(
    width: int, height: int, steps: int, began: bool, ranks: int, summary: dict[str, str] | None, notes: list[str]
) -> None:
    states = [RankState(rank, "host" * 9, CALL, 99.0, None if rank % 3 else 0.5, False) for rank in range(ranks)]
    shown = sight(steps, INFO if began else None, ranks=states, summary=summary, notes=notes)
    screen = lines(shown, width, height)
    assert len(screen) <= height
    for line in screen:
        assert cell_len(line.plain) <= width
        assert "\n" not in line.plain
