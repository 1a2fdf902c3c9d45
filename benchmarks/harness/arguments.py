"""The options that all benchmarks have, and the kinds of values that options take."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection
from pathlib import Path

from harness.result import RESULTS


def parser(description: str | None, repeats: int) -> argparse.ArgumentParser:
    """A parser with --repeats, --results and --add; a benchmark adds its own."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    made.add_argument("--repeats", type=positive, default=repeats, help="samples of each contender")
    made.add_argument("--results", type=Path, default=RESULTS, help="folder for the results")
    made.add_argument("--add", action="store_true", help="to the results of today, instead of replacing them")
    return made


def positive(text: str) -> int:
    """A whole number from 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number}, and must be at least 1")
    return number


def positive_numbers(text: str) -> list[int]:
    """Some of them, comma-separated."""
    return [positive(part) for part in text.split(",")]


def some_of(allowed: Collection[str]) -> Callable[[str], list[str]]:
    """Names out of `allowed`, comma-separated."""

    def names(text: str) -> list[str]:
        found = text.split(",")
        unknown = [name for name in found if name not in allowed]
        if unknown:
            raise argparse.ArgumentTypeError(f"no {', '.join(unknown)}: use some of {', '.join(allowed)}")
        return found

    return names
