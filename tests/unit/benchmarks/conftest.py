"""Benchmarks are programs: they import each other from the folder that they lie in."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[3] / "benchmarks"))
