"""The options that all benchmarks have."""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.result import RESULTS


def parser(description: str | None, repeats: int) -> argparse.ArgumentParser:
    """A parser with --ranks, --repeats and --results; a benchmark adds its own."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    made.add_argument("--ranks", type=_positive_numbers, default="1,2,8", help="world sizes, comma-separated")
    made.add_argument("--repeats", type=_positive, default=repeats, help="samples of each contender")
    made.add_argument("--results", type=Path, default=RESULTS, help="folder for the results")
    return made


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number}, and must be at least 1")
    return number


def _positive_numbers(text: str) -> list[int]:
    return [_positive(part) for part in text.split(",")]
