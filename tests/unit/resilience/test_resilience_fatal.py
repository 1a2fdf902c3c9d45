import time
from pathlib import Path

import pytest

from hpctrain.comm.solo import Solo
from hpctrain.errors import CheckpointError, DataError, HpctrainError, NonFiniteLossError, Preempted
from hpctrain.resilience.fatal import end_world, exit_code


def end(error: BaseException, log: Path | None) -> int:
    try:
        raise error
    except BaseException as raised:
        with pytest.raises(SystemExit) as ending:
            end_world(raised, Solo(), log)
    assert isinstance(ending.value.code, int)
    return ending.value.code


def test_exit_codes() -> None:
    assert [exit_code(error) for error in (DataError(), CheckpointError(), Preempted(), ZeroDivisionError())] == [
        2,
        1,
        75,
        1,
    ]


def test_a_bug_is_told_with_rank_host_cause_and_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "logs" / "rank-0000.log"
    assert end(ZeroDivisionError("a/0"), log) == 1
    last = capsys.readouterr().err.strip()
    assert last.startswith("hpctrain: rank 0 of 1 on ")
    assert last.endswith(f"failed: ZeroDivisionError: a/0; traceback in {log}")
    assert "Traceback" in log.read_text()


def test_a_mistake_in_the_input_is_just_its_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert end(DataError("no file x.csv"), tmp_path / "log") == 2
    assert capsys.readouterr().err == "hpctrain: no file x.csv\n"


def test_without_a_log_the_traceback_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert end(ZeroDivisionError("a/0"), tmp_path / "file" / "log") == 1
    printed = capsys.readouterr().err
    assert "Traceback" in printed
    assert printed.endswith("failed: ZeroDivisionError: a/0\n")


@pytest.mark.parametrize(("rank", "seconds"), [(0, []), (1, [1.0]), (2, [1.5]), (5, [3.0]), (900, [3.0])])
def test_what_all_ranks_see_is_told_by_one(monkeypatch: pytest.MonkeyPatch, rank: int, seconds: list[float]) -> None:
    """The first to speak ends the others."""
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    monkeypatch.setattr(Solo, "rank", rank)
    end(DataError("no file x.csv"), None)
    assert waited == seconds


def test_rank_0_has_time_for_what_it_does_before_where_all_are_known_to_raise_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    monkeypatch.setattr(Solo, "rank", 1)
    error = NonFiniteLossError("the loss of step 3")
    error.is_everywhere = True
    end(error, None)
    assert waited == [30.0]
    assert not HpctrainError.is_everywhere
