"""results.csv: a row for each run of a study, columns as the fields of `results.Run`."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from hpctrain.launch.run_dir import write_whole
from hpctrain.study.forecast import Scaling
from hpctrain.study.results import Run

_NAME = "results.csv"


def write_table(runs: Iterable[Run], out: Path) -> None:
    """Write it, whole or not at all; what a run did not come to is empty. Raises HpctrainError."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(field.name for field in fields(Run))
    table.writerows([_cell(value) for value in asdict(run).values()] for run in runs)
    write_whole(out / _NAME, lambda file: file.write(text.getvalue().encode()))


def _cell(value: Any) -> Any:
    if isinstance(value, Scaling):
        return value.value
    return json.dumps(value) if isinstance(value, dict) else value
