"""Other MPIs are found where they are installed."""

from __future__ import annotations

import argparse
from pathlib import Path

import peers
import pytest


def install(folder: Path) -> Path:
    (folder / "bin").mkdir(parents=True)
    for program in ("python", "mpirun"):
        (folder / "bin" / program).touch()
    return folder


def given(*arguments: str) -> list[tuple[str, Path]]:
    parser = argparse.ArgumentParser()
    peers.add_option(parser)
    return parser.parse_args(arguments).peer


def test_a_peer_is_found_in_its_usual_place_and_in_a_given_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(peers, "HOME", tmp_path / "usual")
    usual, other = install(tmp_path / "usual" / "mpich"), install(tmp_path / "other")
    found = peers.pythons(["openmpi", "mpich", "impi"], given("--peer", f"impi={other}"))
    assert found == {"mpich": usual / "bin" / "python", "impi": other / "bin" / "python"}
    assert "without Open MPI:" in capsys.readouterr().err


def test_who_is_not_wanted_is_not_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(peers, "HOME", tmp_path)
    assert peers.pythons(["gloo"], [("mpich", install(tmp_path / "other"))]) == {}
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("text", ["mpich", "mpich=/nowhere", "lam=.", "=."])
def test_what_is_no_peer_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        given("--peer", text)
    assert f'"{text}": write one of openmpi, mpich, impi' in capsys.readouterr().err
