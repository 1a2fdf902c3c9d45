import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import hpctrain
from hpctrain.comm.flight_log import read
from hpctrain.comm.solo import Solo
from hpctrain.errors import SettingsError
from hpctrain.launch.guard import Guard, guard_of_process


def run(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a script that keeps its temporary files in a folder."""
    environment = {**os.environ, "TMPDIR": str(folder), "PYTHONPATH": str(Path(hpctrain.__file__).parents[1])}
    return subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)


def test_a_script_has_a_record_while_it_runs_and_leaves_none(tmp_path: Path) -> None:
    script = "import hpctrain, os; hpctrain.init().barrier(); print(*os.listdir(os.environ['TMPDIR']))"
    (name,) = run(script, tmp_path).stdout.split()
    assert name.startswith("hpctrain-")
    assert "-rank-0000-" in name
    assert name.endswith(".flight")
    assert list(tmp_path.iterdir()) == []


def test_a_script_that_does_not_come_to_its_end_leaves_its_record(tmp_path: Path) -> None:
    run("import hpctrain, os; hpctrain.init().barrier(); os.abort()", tmp_path)
    (path,) = tmp_path.glob("*.flight")
    assert read(path).records[-1].name == "barrier"


def test_a_forked_process_does_not_end_the_record_of_its_parent(tmp_path: Path) -> None:
    script = """
import hpctrain, os, sys
world = hpctrain.init()
child = os.fork()
if child == 0:
    sys.exit()
os.waitpid(child, 0)
print(world.calls.recorder.path.exists())
"""
    assert run(script, tmp_path).stdout == "True\n"


def test_joining_again_finds_the_same_record(tmp_path: Path) -> None:
    script = """
import hpctrain, os
one, other = hpctrain.init(stall_seconds=5), hpctrain.init(stall_seconds=7)
one.barrier(), other.barrier()
print(len(os.listdir(os.environ["TMPDIR"])), [record.group for record in one.calls.recorder.log().records][-2:])
"""
    assert run(script, tmp_path).stdout == "1 ['0', '0 #2']\n"
    assert guard_of_process(0, 1) is guard_of_process(0, 1)


def test_where_no_file_can_be_made_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    guard = Guard(0, 1)
    guard.record_to_temporary_file()
    assert guard.recorder.path is None


def test_zero_seconds_start_no_thread() -> None:
    class NoSplit(Solo):
        def split(self, color: int, key: int = 0) -> Solo:
            raise AssertionError

    Guard(0, 1).watch(NoSplit(), 0, print)


@pytest.mark.parametrize("settings", [{"stall_action": "kill"}, {"stall_seconds": -1}, {"stall_seconds": float("nan")}])
def test_wrong_settings_are_refused(settings: dict) -> None:
    with pytest.raises(SettingsError, match='the action must be "report" or "stop", and the seconds at least 0'):
        hpctrain.init(**settings)
