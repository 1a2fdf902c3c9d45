"""curves.png: drawn from the metrics, whole or not at all, and never the reason that a run fails."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpctrain.train.callbacks.callback import RunInfo
from hpctrain.train.callbacks.curves import Curves, draw

INFO = RunInfo("job", Path("runs"), 2, 1, 1, "none", "MPI", "cpu", "all_reduce", "cnn", 10, "d", 64, 5, 25, 0, 1.0, ())


def step(number: int, **changes: Any) -> dict[str, Any]:
    seconds = {"compute": 0.02, "communication": 0.01, "optimizer": 0.0, "data": 0.0, "other": 0.001}
    return {"step": number, "epoch": 0, "loss": 2.0 / number, "accuracy": 1 - 1 / number, "learning_rate": 1e-3,
            "samples_per_second": 100.0, "seconds": seconds, **changes}  # fmt: skip


def evaluation(number: int) -> dict[str, Any]:
    return {"step": number, "epoch": 0, "test_loss": 1.0 / number, "test_accuracy": 0.5}


def curves(folder: Path, lines: list[dict[str, Any]]) -> list[str]:
    """Run the callback on these metrics; what it noted."""
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    notes: list[str] = []
    callback = Curves(folder / "metrics.jsonl", folder / "curves.png", notes.append)
    callback.on_start(INFO)
    callback.on_end({})
    return notes


def test_the_picture_is_there(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    assert curves(tmp_path, [step(n) for n in range(1, 30)] + [evaluation(n) for n in (10, 20)]) == []
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curves.png", "metrics.jsonl"]
    assert "matplotlib.pyplot" not in sys.modules


@pytest.mark.parametrize(
    ("lines", "titles"),
    [
        ([step(1)], ["loss", "accuracy, %", "learning rate", "time per step, ms"]),
        ([step(n, accuracy=None) for n in range(1, 9)], ["loss", "learning rate", "time per step, ms"]),
        ([step(3, loss=None), step(4, loss=0.0), evaluation(4)],
         ["loss", "accuracy, %", "learning rate", "time per step, ms"]),
        ([step(1, seconds={"compute": 0.0})], ["loss", "accuracy, %", "learning rate", "time per step, ms"]),
    ],
)  # fmt: skip
def test_panels_of_short_and_odd_runs(lines: list[dict[str, Any]], titles: list[str], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    figure = draw(lines, "title")
    assert [axes.get_title(loc="left") for axes in figure.axes] == titles
    figure.savefig(tmp_path / "figure.png")


def test_what_is_drawn_is_what_was_logged() -> None:
    pytest.importorskip("matplotlib")
    figure = draw([step(n) for n in (1, 2, 3)] + [evaluation(2)], "title")
    loss, accuracy = figure.axes[:2]
    drawn = [np.column_stack(line.get_data()).tolist() for line in loss.lines]
    train = [[1, 2.0], [2, 1.0], [3, 2 / 3]]
    assert drawn == [train, train, [[2, 0.5]]]  # each batch, their running mean, and the evaluation
    assert [text.get_text() for text in accuracy.texts] == ["test 50.0", "train 66.7"]
    assert [text.get_text() for text in figure.axes[3].texts][:2] == ["compute 65%", "communication 32%"]


def test_no_step_no_picture(tmp_path: Path) -> None:
    assert curves(tmp_path, []) == []
    assert curves(tmp_path, [evaluation(1)]) == []
    assert not (tmp_path / "curves.png").exists()


def test_without_matplotlib_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("matplotlib.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    (note,) = curves(tmp_path, [step(1)])
    assert 'curves.png was not drawn: it takes matplotlib (pip install "hpctrain[report]")' in note
    assert not (tmp_path / "curves.png").exists()


def test_a_full_disk_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")

    def full(source: object, target: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    (note,) = curves(tmp_path, [step(1)])
    assert "curves.png was not drawn: No space left on device" in note
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]
