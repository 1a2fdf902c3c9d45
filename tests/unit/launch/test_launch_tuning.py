"""The tuning file of a job: rank 0 reads it for all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hpctrain.collectives.tuning.file import PACKAGED, packaged_tables
from hpctrain.collectives.tuning.tuning import Tuning
from hpctrain.comm.solo import Solo
from hpctrain.errors import SettingsError
from hpctrain.launch.environment import recorded, tuning_file
from hpctrain.launch.host import cpu_model
from hpctrain.launch.tuning import agreed_tuning, notes_on


class Rank1(Solo):
    """One of two ranks; rank 0 has told what it found."""

    rank = 1  # type: ignore[assignment]

    def __init__(self, told_by_rank_0: Any) -> None:
        self.told = told_by_rank_0

    def gather_objects(self, value: Any) -> list[Any]:
        return [self.told, value]


def test_the_variable_is_read_and_recorded() -> None:
    assert tuning_file({"HPCTRAIN_TUNING": "/etc/tuning.json"}) == "/etc/tuning.json"
    assert tuning_file({}) == ""
    assert recorded({"HPCTRAIN_TUNING": "t.json"}) == {"HPCTRAIN_TUNING": "t.json"}


def test_rank_0_reads_the_file() -> None:
    assert agreed_tuning(Solo(), str(PACKAGED), crowded=False) == Tuning(packaged_tables(), False, cpu_model())
    assert agreed_tuning(Solo(), "", crowded=True) == Tuning((), True, cpu_model())


def test_the_others_are_told() -> None:
    tables = packaged_tables()[:1]
    told = Rank1((tables, "Fast CPU", False))
    assert agreed_tuning(told, "no such file here", crowded=True) == Tuning(tables, True, "Fast CPU")
    assert agreed_tuning(Rank1((tables, "Fast CPU", True)), "", crowded=False).crowded


def test_all_raise_what_rank_0_found(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        agreed_tuning(Solo(), str(tmp_path / "nothing.json"), crowded=False)
    with pytest.raises(SettingsError, match="not on this node"):
        agreed_tuning(Rank1((SettingsError("not on this node"), "Fast CPU", False)), "", crowded=False)


def test_a_file_of_another_library_is_noted() -> None:
    tuning = Tuning(tuple(table for table in packaged_tables() if table.family == "MPICH"))
    assert notes_on(tuning, "MPICH 4.2", "t.json") == []
    assert notes_on(Tuning(), "MPICH 4.2", "") == []
    assert notes_on(tuning, "Open MPI 5.0.11", "t.json") == [
        "t.json was measured with MPICH, and messages travel by Open MPI 5.0.11 here: "
        'algorithm "auto" goes by the tables of the package'
    ]
