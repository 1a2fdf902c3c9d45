import os
import subprocess
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hpctrain
from hpctrain.comm.call_site import stack, user_frame
from hpctrain.comm.flight import FlightRecorder
from hpctrain.comm.flight_log import (
    FILE_BYTES,
    NOBODY,
    NUM_RECORDS,
    OPEN,
    UNDER_WAY,
    FlightLog,
    Record,
    decode,
    in_group,
    label,
    read,
    words_of,
)
from hpctrain.comm.metered import Traffic
from hpctrain.comm.rank_words import named, ranges, ranks_in
from hpctrain.errors import InputError

WORDS = words_of("all_reduce", "sum", "float32", "0-3", "train.py:40")


def begin(recorder: FlightRecorder, number: int, num_bytes: int = 40) -> None:
    with recorder.begin(number, num_bytes, NOBODY, WORDS, Traffic()):
        pass


def test_a_record_says_what_began_and_when_it_was_done() -> None:
    recorder, traffic = FlightRecorder(2, 4), Traffic()
    with recorder.begin(17, 40, NOBODY, WORDS, traffic):
        (inside,) = recorder.log().records
    log = recorder.log()
    (done,) = log.records
    assert (log.rank, log.size, log.pid) == (2, 4, os.getpid())
    assert (inside.ended, inside.started) == (OPEN, done.started)
    assert done.ended - done.started == pytest.approx(traffic.seconds, abs=1e-5)  # one is by the time of day
    assert done.words == "all_reduce(sum) of float32 x 10, call 17 of ranks 0-3, train.py:40"
    assert (done.index, done.number, done.num_bytes, done.peer) == (1, 17, 40, NOBODY)


def test_the_time_is_that_of_the_day(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 107.0, 109.5])  # when the recorder is made, then begin and end
    monkeypatch.setattr("hpctrain.comm.flight._perf_counter", lambda: next(clock))
    monkeypatch.setattr("time.time", lambda: 1_000_100.0)
    recorder, traffic = FlightRecorder(0, 1), Traffic()
    begin_and_end = recorder.begin(1, 0, NOBODY, WORDS, traffic)
    with begin_and_end:
        pass
    (record,) = recorder.log().records
    assert (record.started, record.ended, traffic.seconds) == (1_000_107.0, 1_000_109.5, 2.5)


def test_the_newest_records_are_kept_in_order() -> None:
    recorder = FlightRecorder(0, 1)
    for number in range(1, NUM_RECORDS + 31):
        begin(recorder, number)
    assert [record.number for record in recorder.log().records] == list(range(31, NUM_RECORDS + 31))


def test_traffic_is_told_of_each_piece_also_of_one_that_fails() -> None:
    pieces: list[float] = []
    traffic = Traffic(on_timed=lambda start, seconds: pieces.append(seconds))
    recorder = FlightRecorder(0, 1)
    with pytest.raises(ZeroDivisionError), recorder.begin(1, 0, NOBODY, WORDS, traffic):
        raise ZeroDivisionError
    assert pieces == [traffic.seconds]
    assert recorder.log().records[0].ended > OPEN


def test_calls_inside_each_other_are_kept_apart() -> None:
    recorder = FlightRecorder(0, 1)
    with recorder.begin(1, 0, NOBODY, WORDS, Traffic()):
        begin(recorder, 2)
        outer, inner = recorder.log().records
    assert (outer.number, outer.ended, inner.number) == (1, OPEN, 2)
    assert recorder.log().records[0].ended > inner.ended


def test_what_is_under_way_is_finished_unless_its_record_is_gone() -> None:
    recorder = FlightRecorder(0, 1)
    with recorder.begin(1, 0, NOBODY, WORDS, Traffic()) as call:
        pass
    index = call.index
    call.go_on()
    assert recorder.log().records[0].ended == UNDER_WAY
    call.finish(index)
    assert recorder.log().records[0].ended > OPEN
    call.go_on()
    for number in range(2, NUM_RECORDS + 1):
        begin(recorder, number)
    with recorder.begin(NUM_RECORDS + 1, 0, NOBODY, WORDS, Traffic()):  # takes the place of the first
        call.finish(index)
        assert recorder.log().records[-1].ended == OPEN


def test_a_file_begins_with_what_was_recorded_before_it(tmp_path: Path) -> None:
    recorder, path = FlightRecorder(1, 2), tmp_path / "rank-0001.flight"
    path.write_text("of a run before")
    begin(recorder, 1)
    recorder.record_to(path)
    begin(recorder, 2)
    assert recorder.path == path
    assert path.stat().st_blocks * 512 >= FILE_BYTES  # a hole would end the process where the disk is full
    assert [record.number for record in read(path).records] == [1, 2]
    with pytest.raises(OSError, match="No such file"):
        recorder.record_to(tmp_path / "nowhere" / "file")
    begin(recorder, 3)
    assert read(path).records[-1].number == 3


def test_the_file_outlives_a_process_that_is_killed(tmp_path: Path) -> None:
    script = f"""
import os, signal
from pathlib import Path
from hpctrain.comm.flight import FlightRecorder
from hpctrain.comm.metered import Traffic
recorder = FlightRecorder(0, 1)
recorder.record_to(Path({str(tmp_path / "flight")!r}))
with recorder.begin(1, 0, -1, {WORDS!r}, Traffic()):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", script]).returncode == -9
    (record,) = read(tmp_path / "flight").records
    assert (record.number, record.ended) == (1, OPEN)


@pytest.mark.parametrize("content", [b"", b"x" * FILE_BYTES, bytes(FILE_BYTES), b"HPCFLT1\n"])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(InputError, match="file cannot be read: it is no flight record"):
        read(tmp_path / "file")
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read(tmp_path / "none")


@given(st.lists(st.text(max_size=200), min_size=5, max_size=5), st.binary(max_size=200))
def test_no_words_and_no_rubbish_in_a_record_break_the_reader(words: list[str], rubbish: bytes) -> None:
    recorder = FlightRecorder(0, 1)
    for field in (words_of(*words), rubbish):
        recorder.begin(1, 0, NOBODY, field, Traffic())
    assert len(recorder.log().records) == 2


def test_long_words_are_cut_so_that_all_fit() -> None:
    recorder = FlightRecorder(0, 1)
    recorder.begin(
        1, 0, NOBODY, words_of("n" * 99, "o" * 99, "d" * 99, "g" * 99, "s" * 99 + "/train.py:123456"), Traffic()
    )
    (record,) = recorder.log().records
    assert (record.name, record.op, record.dtype, record.group) == ("n" * 24, "o" * 8, "d" * 12, "g" * 40)
    assert record.site.endswith("sss/train.py:123456")


@pytest.mark.parametrize(
    ("dtype", "num_bytes", "told"),
    [
        ("float32", 40, "float32 x 10"),
        ("bfloat16", 40, "bfloat16 x 20"),
        ("bool", 40, "bool x 40"),
        ("complex64", 40, "complex64 x 5"),
        ("complex128", 160, "complex128 x 10"),
        ("uint8", 3, "uint8 x 3"),
    ],
)
def test_elements_are_counted_by_their_type(dtype: str, num_bytes: int, told: str) -> None:
    assert Record(1, 0, num_bytes, NOBODY, 0.0, 0.0, "send", "", dtype, "0", "a.py:1").what == f"send of {told}"


def test_the_other_rank_is_told() -> None:
    def what(name: str) -> str:
        return Record(1, 0, 0, 3, 0.0, 0.0, name, "", "", "0-3", "a.py:1").what

    assert [what("send"), what("recv")] == ["send, to rank 3", "recv, from rank 3"]


def test_groups_of_the_same_ranks_are_told_apart() -> None:
    recorder = FlightRecorder(0, 8)
    names = [recorder.label(ranks) for ranks in ([0, 1, 2], [0, 2], [2, 1, 0])]
    assert names == ["0-2", "0,2", "0-2 #2"]


def test_the_name_of_a_ragged_group_is_cut_between_ranks() -> None:
    ragged = [rank * rank for rank in range(40)]
    name = label(ragged, 2)
    assert name == "0-1,4,9,16,25,36,49,64,81,... #2"
    assert in_group(1521, name)
    assert in_group(3, "0-3 #2")
    assert not in_group(4, "0-3")


@given(st.sets(st.integers(0, 200)))
def test_ranks_in_words_are_the_ranks(ranks: set[int]) -> None:
    assert ranks_in(ranges(ranks)) == ranks


def test_ranks_in_few_letters() -> None:
    assert ranges([5, 0, 2, 1]) == "0-2,5"
    assert ranges(range(0, 64, 8)) == "0-56:8"
    assert ranges([0, 8]) == "0,8"
    assert [named([3]), named([2, 0, 1, 5])] == ["rank 3", "ranks 0-2, 5"]


def frame_in(filename: str) -> FrameType:
    """The frame of a function that such a file defines, called from here."""
    names: dict[str, Any] = {"sys": sys}
    exec(compile("def function():\n    return sys._getframe()", filename, "exec"), names)
    frame: FrameType = names["function"]()
    return frame


def test_a_call_is_the_users_where_a_user_has_a_part_in_it() -> None:
    package = Path(hpctrain.__file__).parent
    assert user_frame(frame_in("/home/me/train.py")).f_code.co_filename == "/home/me/train.py"
    for library in (package / "parallel" / "plan.py", "/venv/lib/site-packages/torch/tensor.py", Path(os.__file__)):
        frame = frame_in(str(library))
        assert frame.f_code.co_filename == str(library)
        assert user_frame(frame).f_code.co_filename == __file__


def test_without_a_user_a_call_is_of_who_called_the_group(tmp_path: Path) -> None:
    """As in `python -m hpctrain.train`, where Python itself is the only other caller."""
    package = tmp_path / "site-packages" / "somebody"
    package.mkdir(parents=True)
    (package / "__main__.py").write_text(
        "import sys\nfrom hpctrain.comm.call_site import place, user_frame\n"
        "def step(): print(place(user_frame(sys._getframe())))\n"
        "step()\n"
    )
    environment = {**os.environ, "PYTHONPATH": f"{package.parent}{os.pathsep}{Path(hpctrain.__file__).parents[1]}"}
    command = [sys.executable, "-m", "somebody"]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert run.stdout == "step (somebody/__main__.py:3)\n"


def test_a_stack_has_the_innermost_frames_outermost_first() -> None:
    lines = stack(sys._getframe(), depth=2)
    assert len(lines) == 2
    assert lines[-1].startswith("test_a_stack_has_the_innermost_frames_outermost_first (comm/test_comm_flight.py:")


def test_a_log_is_what_the_memory_holds() -> None:
    recorder = FlightRecorder(3, 5)
    log = recorder.log()
    assert isinstance(log, FlightLog)
    assert (log.rank, log.records) == (3, [])
    with pytest.raises(InputError, match="no flight record"):
        decode(b"short")
