from __future__ import annotations

import json
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest

from hpctrain.comm.communicator import Communicator
from hpctrain.comm.solo import Solo
from hpctrain.launch import facts
from hpctrain.launch.environment import discover
from hpctrain.launch.facts import by_node, environment_facts, gather_hosts, git_state, package_versions
from hpctrain.launch.host import Host


def host(name: str) -> Host:
    return Host(name, "cpu", 4, 2**30, 2**20, (), {})


class Played:
    """A communicator whose other ranks say what they are told to."""

    def __init__(self, rank: int, gathered: list[list[Any]]) -> None:
        self.rank = rank
        self._gathered = gathered

    def gather_objects(self, value: Any) -> list[Any]:
        values = self._gathered.pop(0)
        values[self.rank] = value
        return values


def test_facts_of_a_world_of_one() -> None:
    found = environment_facts(Solo(), discover({}))
    assert found["world_size"] == 1
    assert found["python"] == platform.python_version()
    assert found["launcher"] == "none"
    assert [node["ranks"] for node in found["nodes"]] == [[0]]
    assert found["command"] == sys.orig_argv
    assert json.loads(json.dumps(found)).keys() == found.keys()


def test_no_secret_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_API_TOKEN", "do-not-tell")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    text = json.dumps(environment_facts(Solo(), discover({})))
    assert "do-not-tell" not in text
    assert '"OMP_NUM_THREADS": "3"' in text


def test_the_first_rank_of_a_node_looks_at_it(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[bool] = []
    monkeypatch.setattr(platform, "node", lambda: "b")
    monkeypatch.setattr(facts, "look_at_host", lambda: looked.append(True) or host("b"))
    for rank, looks in ((1, [True]), (2, [])):
        looked.clear()
        comm = Played(rank, [["a", "b", "b", "a"], [host("a"), host("b"), None, None]])
        assert [place.name for place in gather_hosts(cast(Communicator, comm))] == ["a", "b", "b", "a"]
        assert looked == looks


def test_ranks_by_node() -> None:
    places = by_node([host("a"), host("b"), host("a"), host("c")])
    assert [(place.name, ranks) for place, ranks in places] == [("a", [0, 2]), ("b", [1]), ("c", [3])]


def test_versions_come_without_imports() -> None:
    versions = package_versions()
    assert versions["numpy"]
    assert versions["pydantic"]
    assert "cupy" not in sys.modules


def test_git_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*arguments: str) -> None:
        subprocess.run(
            ["git", "-c", "user.name=n", "-c", "user.email=e", *arguments],
            cwd=tmp_path,
            check=True,
            capture_output=True,
        )

    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)
    assert git_state() is None
    git("init")
    assert git_state() is None  # no commit yet
    (tmp_path / "file").write_text("a")
    git("add", "file")
    git("commit", "-m", "first")
    clean = git_state()
    assert clean is not None
    assert len(clean["commit"]) == 40
    assert clean["dirty"] is False
    (tmp_path / "file").write_text("b")
    assert git_state() == {"commit": clean["commit"], "dirty": True}
    monkeypatch.setenv("PATH", "")
    assert git_state() is None
