"""Samples survive their file, and are taken in turns."""

from __future__ import annotations

from pathlib import Path

from harness.measure import in_turns
from harness.samples import Sample, append_samples, read_samples, write_samples

SAMPLES = [Sample({"model": "gpt", "ranks": 8}, "ddp", 3, 0.1234567890123), Sample({"ranks": 1}, "alone", 0, 2.0)]


def test_contenders_take_turns() -> None:
    assert list(in_turns("abc", 2)) == [(0, "a"), (0, "b"), (0, "c"), (1, "a"), (1, "b"), (1, "c")]


def test_no_repeats_and_no_contenders_are_no_turns() -> None:
    assert list(in_turns("abc", 0)) == []
    assert list(in_turns("", 3)) == []


def test_samples_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    append_samples(path, SAMPLES[:1])
    append_samples(path, SAMPLES[1:])
    assert list(read_samples(path)) == SAMPLES


def test_a_result_has_its_environment_in_the_first_line_and_replaces_an_older_one(tmp_path: Path) -> None:
    path = tmp_path / "result.jsonl"
    write_samples(path, SAMPLES, {"cores": 1})
    write_samples(path, SAMPLES[:1], {"cores": 2})
    assert path.read_text().splitlines()[0] == '{"environment": {"cores": 2}}'
    assert list(read_samples(path)) == SAMPLES[:1]
