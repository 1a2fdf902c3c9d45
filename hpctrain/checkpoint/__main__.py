"""`python -m hpctrain.checkpoint PATH`: list the checkpoints of a run, or verify one; exit code 1 if any is damaged."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path


def main(arguments: Sequence[str] | None = None) -> int:
    """Print step, size, time and verdict of every checkpoint at or below PATH; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m hpctrain.checkpoint",
        description="Read every checkpoint at PATH to the last byte and say whether it is whole.",
        epilog="Exit codes: 0 all are whole; 1 one is damaged, or there is none; 2 PATH does not exist.",
    )
    parser.add_argument("path", metavar="PATH", type=Path, help="a run directory, its checkpoints, or one checkpoint")
    path = parser.parse_args(arguments).path.absolute()
    if not path.exists():
        parser.error(f"{path} does not exist")

    is_one = path.name.startswith("step-") or (path / "manifest.json").exists()
    found = [path] if is_one else sorted([*path.glob("step-*"), *path.glob("*/step-*")])
    if not found:
        print(f"no checkpoint in {path}")
        return 1
    print(f"{'step':>10}  {'bytes':>15}  {'written (UTC)':<19}  verdict")
    return max([_report(checkpoint) for checkpoint in found])


def _report(path: Path) -> int:
    """Print the line of one checkpoint; 1 if it is damaged."""
    from hpctrain.checkpoint import manifest, store  # after the arguments: --help costs no NumPy
    from hpctrain.errors import CheckpointError

    step, size, written = path.name.removeprefix("step-").lstrip("0") or "0", "", ""
    try:
        content = manifest.load(path)
        size, written = f"{sum(entry['bytes'] for entry in content['files'].values()):,}", content["written"][:19]
        store.read(path)
    except CheckpointError as error:
        print(f"{step:>10}  {size:>15}  {written:<19}  DAMAGED: {error}")
        return 1
    print(f"{step:>10}  {size:>15}  {written:<19}  whole")
    return 0


if __name__ == "__main__":
    sys.exit(main())
