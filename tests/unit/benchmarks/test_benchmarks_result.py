"""Results are kept as they come, and added to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import result
from harness.result import Report, publish
from harness.samples import Sample, read_samples

REPORT = Report("made_up", "How long?", "ms", {"times a": {"b": ["a"]}}, ["a", "b"], environment={"peer x": "X 1.0"})


@pytest.fixture(autouse=True)
def _machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real one would be asked for its MPI."""
    monkeypatch.setattr(result, "describe_machine", lambda: {"cores": 2})


def turn(ranks: int, *repeats: int) -> list[Sample]:
    """One of "a" and one of "b", which takes twice as long, in each repeat."""
    costs = {"a": 0.5, "b": 1.0}
    return [Sample({"ranks": ranks}, name, n, cost * (n + 1)) for n in repeats for name, cost in costs.items()]


def kept(folder: Path) -> list[Sample]:
    (raw,) = folder.glob("*-made_up.jsonl")
    return list(read_samples(raw))


def page(folder: Path) -> str:
    (text,) = folder.glob("*-made_up.md")
    return text.read_text()


def test_samples_and_their_page_are_written(tmp_path: Path) -> None:
    publish(turn(2, 0, 1), REPORT, tmp_path / "new", add=False)
    assert kept(tmp_path / "new") == turn(2, 0, 1)
    assert "| 2 | 750 | 1500 | a | b |" in page(tmp_path / "new")
    assert "| 2 | b | 1500 | 1250 to 1750 | 2.00 (2.00 to 2.00) | worst |" in page(tmp_path / "new")
    assert "- cores: 2\n- peer x: X 1.0\n" in page(tmp_path / "new")


def test_a_second_run_replaces_the_first(tmp_path: Path) -> None:
    publish(turn(2, 0, 1), REPORT, tmp_path, add=False)
    publish(turn(4, 0), REPORT, tmp_path, add=False)
    assert kept(tmp_path) == turn(4, 0)


def test_added_repeats_are_numbered_on_case_by_case(tmp_path: Path) -> None:
    publish(turn(2, 0, 1), REPORT, tmp_path, add=False)
    publish([*turn(2, 0), *turn(4, 0)], REPORT, tmp_path, add=True)
    assert [(sample.case["ranks"], sample.repeat) for sample in kept(tmp_path)] == [
        *[(2, 0), (2, 0), (2, 1), (2, 1)],
        *[(2, 2), (2, 2), (4, 0), (4, 0)],
    ]


def test_what_was_measured_before_a_failure_is_kept_and_shown(tmp_path: Path) -> None:
    def failing() -> Iterator[Sample]:
        yield from turn(2, 0)
        raise SystemExit("a rank died")

    with pytest.raises(SystemExit, match="a rank died"):
        publish(failing(), REPORT, tmp_path, add=False)
    assert kept(tmp_path) == turn(2, 0)
    assert "| 2 | a |" in page(tmp_path)


def test_a_run_that_measures_nothing_leaves_earlier_results_alone(tmp_path: Path) -> None:
    publish(turn(2, 0), REPORT, tmp_path, add=False)
    publish([], REPORT, tmp_path, add=False)
    assert kept(tmp_path) == turn(2, 0)
