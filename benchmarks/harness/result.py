"""What is left of a benchmark: its samples, a page with their table, and the table on the terminal."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path

from harness.machine import describe_machine
from harness.page import aligned, page, tabulate
from harness.samples import Sample, write_samples
from harness.summary import summarise

RESULTS = Path(__file__).parents[1] / "results"


def publish(
    samples: list[Sample],
    *,
    name: str,
    question: str,
    unit: str,
    comparisons: Mapping[str, Mapping[str, str]],
    competing: Collection[str] = (),
    folder: Path,
) -> None:
    """Write <date>-<name>.jsonl and <date>-<name>.md into `folder`, in place of those of that day; print the table.

    `comparisons` and `competing` are as in `summarise`; `unit` is that of the table, "ms" or "s".
    """
    environment = describe_machine()
    table = tabulate(summarise(samples, comparisons, competing), list(comparisons), unit)
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{datetime.now(UTC).date().isoformat()}-{name}"
    write_samples(folder / f"{stem}.jsonl", samples, environment)
    (folder / f"{stem}.md").write_text(page(name, question, table, environment), encoding="utf-8")
    print(aligned(table))
    print(f"written: {folder / stem}.md and .jsonl")
