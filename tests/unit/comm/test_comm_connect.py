import sys

import pytest

from hpctrain.comm.connect import connect
from hpctrain.comm.solo import Solo
from hpctrain.errors import EnvironmentProblem


def test_without_a_launcher_the_world_is_one_rank() -> None:
    assert isinstance(connect(launched=False), Solo)


def test_a_launcher_without_mpi_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    monkeypatch.delitem(sys.modules, "hpctrain.comm.mpi", raising=False)
    with pytest.raises(EnvironmentProblem, match=r'pip install "hpctrain\[mpi\]"'):
        connect(launched=True)
