"""What is left of a benchmark: its samples, a page with their tables, and the tables on the terminal."""

from __future__ import annotations

import signal
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from harness.machine import describe_machine
from harness.page import Columns, aligned, overview, page, tabulate
from harness.samples import Sample, append_samples, read_samples, write_samples
from harness.summary import Comparisons, summarise

RESULTS = Path(__file__).parents[1] / "results"


@dataclass(frozen=True)
class Report:
    """How the samples of one benchmark are shown.

    Attributes:
        name: of the benchmark, and of its files.
        question: what it asks, for the top of the page.
        unit: of the tables: "us", "ms" or "s" for values in seconds, "MiB" for values in bytes.
        comparisons, competing: as in `summarise`.
        columns: what else is computed from a row: title -> function of the row.
        environment: what the page says of the machine besides, e.g. the versions of peers.
    """

    name: str
    question: str
    unit: str
    comparisons: Comparisons
    competing: Collection[str] = ()
    columns: Columns = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


def publish(samples: Iterable[Sample], report: Report, folder: Path, add: bool) -> None:
    """Write <date>-<name>.jsonl and <date>-<name>.md into `folder`, and print the tables.

    Samples are written as they come: what was measured before somebody interrupts, or ends this process, is kept. With
    `add` they join those of the same day, their repeats numbered on; without, they replace them.
    """
    signal.signal(signal.SIGTERM, _leave)
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{datetime.now(UTC).date().isoformat()}-{report.name}"
    raw = folder / f"{stem}.jsonl"
    environment = {**describe_machine(), **report.environment}
    taken = list(read_samples(raw)) if add and raw.exists() else []
    before = _repeats(taken)
    fresh = True
    try:
        for sample in samples:
            if fresh:
                write_samples(raw, taken, environment)
                fresh = False
            taken.append(replace(sample, repeat=sample.repeat + before.get(_key(sample), 0)))
            append_samples(raw, taken[-1:])
    finally:
        if not fresh:
            _show(taken, report, environment, folder / f"{stem}.md")


def _show(samples: list[Sample], report: Report, environment: Mapping[str, str | int], path: Path) -> None:
    rows = summarise(samples, report.comparisons, report.competing)
    tables = {
        "Medians": overview(rows, report.unit),
        "Spread and ratios": tabulate(rows, list(report.comparisons), report.unit, report.columns),
    }
    path.write_text(page(report.name, report.question, tables, environment), encoding="utf-8")
    for table in reversed(tables.values()):
        print(aligned(table), end="\n\n")
    print(f"written: {path} and {path.with_suffix('.jsonl')}", flush=True)


def _leave(number: int, _: object) -> None:
    raise SystemExit(128 + number)


def _repeats(samples: list[Sample]) -> dict[tuple[tuple[str, str | int], ...], int]:
    """How many repeats each case has."""
    counts: dict[tuple[tuple[str, str | int], ...], int] = {}
    for sample in samples:
        counts[_key(sample)] = max(counts.get(_key(sample), 0), sample.repeat + 1)
    return counts


def _key(sample: Sample) -> tuple[tuple[str, str | int], ...]:
    return tuple(sample.case.items())
