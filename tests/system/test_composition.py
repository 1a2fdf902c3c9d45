"""Every cell of the table of what composes with what: it trains or it is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hpctrain.job.composition_table import STRATEGIES, cells, table

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "strategies.md"
BY_CHANCE = {"… asynchronous", "… bounded", "hogwild"}  # these depend on who comes first, so no two runs are the same
SAME_STEP_AS_ALL_REDUCE = ["all_reduce", "central", "parameter_server"]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cells")


def test_every_cell_trains_or_is_refused(launch: Callable, found: Path) -> None:
    done = launch("python", "tests/system/every_cell.py", str(found), ranks=3, timeout=400)
    assert done.returncode == 0, done.stderr[-3000:]
    trained = json.loads((found / "cells.json").read_text())["cells"]
    assert trained.keys() == {f"{cell.strategy} | {cell.option}" for cell in cells() if not cell.refusal}
    for name, summary in trained.items():
        assert (summary["status"], summary["steps"]) == ("completed", 4), name
        assert summary["final"]["train_loss"] < 2.5, name  # a guess among ten digits has 2.303


def test_refusals_say_what_to_do_instead() -> None:
    refused = [cell for cell in cells() if cell.refusal]
    assert len(refused) > 50
    for cell in refused:
        assert any(word in cell.refusal for word in ("use ", "leave ")), cell


def results(found: Path) -> dict[str, Any]:
    return json.loads((found / "cells.json").read_text())


def test_strategies_that_mean_the_same_step_come_to_the_same_loss(found: Path) -> None:
    trained = results(found)["cells"]
    losses = [trained[f"{name} | engine=numpy"]["final"]["train_loss"] for name in SAME_STEP_AS_ALL_REDUCE]
    assert losses == pytest.approx([losses[0]] * len(losses), rel=1e-6)


def test_a_run_in_two_parts_is_the_whole_run(found: Path) -> None:
    resumed = results(found)["resumed"]
    assert resumed.keys() > set(STRATEGIES)
    assert [name for name, (whole, parts) in resumed.items() if whole != parts and name not in BY_CHANCE] == []


def test_the_page_shows_the_table() -> None:
    assert table() in PAGE.read_text()
