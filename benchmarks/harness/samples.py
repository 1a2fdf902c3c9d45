"""Samples: what a benchmark measures, kept as it was measured, one JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

Case = Mapping[str, str | int]


@dataclass(frozen=True)
class Sample:
    """One measurement.

    Attributes:
        case: what was done, e.g. {"model": "cnn", "ranks": 2}. Contenders are compared inside a case.
        contender: who did it.
        repeat: from 0. Samples of one case and repeat were taken directly after each other, one of each contender.
        value: what it took: seconds of the slowest rank, or bytes, as the benchmark says.
    """

    case: Case
    contender: str
    repeat: int
    value: float


def write_samples(path: Path, samples: list[Sample], environment: Mapping[str, str | int]) -> None:
    """Write a line {"environment": ...} and then a line for each sample. A file of that name is replaced."""
    lines = [{"environment": dict(environment)}, *map(asdict, samples)]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")


def append_samples(path: Path, samples: list[Sample]) -> None:
    """Add a line for each sample."""
    with path.open("a", encoding="utf-8") as file:
        file.writelines(f"{json.dumps(asdict(sample))}\n" for sample in samples)


def read_samples(path: Path) -> Iterator[Sample]:
    """Every sample of a file, without the environment."""
    for line in path.read_text(encoding="utf-8").splitlines():
        fields = json.loads(line)
        if "environment" not in fields:
            yield Sample(**fields)
