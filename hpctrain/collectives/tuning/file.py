"""A tuning file: tables as JSON that people can read, written whole or not at all.

{"format": 1,
 "tables": [{
   "library": "Open MPI 5.0.11",
   "num_nodes": 1, "ranks_per_node": 8, "crowded": true,
   "processor": "AMD EPYC",
   "measured": "Open MPI 5.0.11, AMD EPYC, 2 cores, 2026-11-21",
   "links": {"messages": {"alpha_us": 1.1, "gbytes_per_second": 5.2}, "shared": {...}, "between": null},
   "all_reduce": [{"up_to_bytes": 8192, "use": "native"}, {"up_to_bytes": null, "use": "node_shared"}],
   "bytes": [4, 8, ...],
   "microseconds": {"native": [1.1, 1.1, ...], "ring": [3.2, null, ...]}
 }]}
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from hpctrain.collectives.tuning.ladder import Ladder
from hpctrain.collectives.tuning.links import Link, Links
from hpctrain.collectives.tuning.shape import Shape
from hpctrain.collectives.tuning.table import Table
from hpctrain.errors import SettingsError
from hpctrain.whole_file import whole_file

FORMAT = 1
PACKAGED = Path(__file__).with_name("defaults.json")
_AGAIN = "measure again: mpirun -n N python -m hpctrain.bench collectives --out FILE"


@cache
def packaged_tables() -> tuple[Table, ...]:
    """The tables that come with the package."""
    return _tables(PACKAGED)


def read(path: Path, known: Collection[str]) -> tuple[Table, ...]:
    """The tables of a file, in which nothing is used but `known` algorithms.

    Raises SettingsError where there is no such file, it is no tuning file or of another format, or uses others.
    """
    tables = _tables(path)
    unknown = {name for table in tables for name in table.ladder.names} - set(known)
    if unknown:
        raise SettingsError(
            f"{path} uses {', '.join(sorted(unknown))}, and there are only {', '.join(known)}; {_AGAIN}"
        )
    return tables


def _tables(path: Path) -> tuple[Table, ...]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"the tuning file {path} cannot be read (in {Path.cwd()}): {error.strerror}") from error
    except ValueError as error:
        raise SettingsError(f"{path} is no tuning file, for it is not JSON ({error}); {_AGAIN}") from error
    found = content.get("format") if isinstance(content, dict) else None
    if found != FORMAT:
        what = "is no tuning file" if found is None else f"is a tuning file of format {found}"
        raise SettingsError(f"{path} {what}, and format {FORMAT} is what this hpctrain reads; {_AGAIN}")
    try:
        return tuple(_table(entry) for entry in content["tables"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        wrong = f"there is no {error}" if isinstance(error, KeyError) else str(error)
        raise SettingsError(f"{path} is a damaged tuning file: {wrong}; {_AGAIN}") from error


def write(path: Path, tables: Sequence[Table]) -> None:
    """Replace the file, or make it. Raises SettingsError where that cannot be."""
    text = json.dumps({"format": FORMAT, "tables": [_entry(table) for table in tables]}, indent=1)
    on_one_line = re.sub(r"[\[{][^\[\]{}]*[\]}]", lambda inner: " ".join(inner[0].split()), text)
    try:
        with whole_file(path) as file:
            file.write(f"{on_one_line}\n".encode())
            os.fchmod(file.fileno(), 0o644)  # a site's file is for all, also where this user's files are not
    except OSError as error:
        raise SettingsError(f"the tuning file {path} cannot be written (in {Path.cwd()}): {error.strerror}") from error


def merged(tables: Sequence[Table], measured: Sequence[Table]) -> tuple[Table, ...]:
    """All of them, in a fixed order.

    What was measured anew with a library, in a shape, on a kind of processor replaces what stood there.
    """
    by_key = {_key(table): table for table in (*tables, *measured)}
    return tuple(by_key[key] for key in sorted(by_key))


def _key(table: Table) -> tuple[str, int, int, bool, str]:
    shape = table.shape
    return table.family, shape.num_nodes, shape.ranks_per_node, shape.crowded, table.processor


def _entry(table: Table) -> dict[str, Any]:
    rungs = zip(table.ladder.bounds, table.ladder.names[:-1], strict=True)
    return {
        "library": table.library,
        "num_nodes": table.shape.num_nodes,
        "ranks_per_node": table.shape.ranks_per_node,
        "crowded": table.shape.crowded,
        "processor": table.processor,
        "measured": table.measured,
        "links": {level: _link_entry(link) for level, link in vars(table.links).items()},
        "all_reduce": [
            *({"up_to_bytes": bound, "use": name} for bound, name in rungs),
            {"up_to_bytes": None, "use": table.ladder.names[-1]},
        ],
        "bytes": list(table.sizes),
        "microseconds": {
            name: [time and float(f"{time * 1e6:.4g}") for time in times] for name, times in table.seconds.items()
        },
    }


def _table(entry: dict[str, Any]) -> Table:
    sizes = tuple(entry["bytes"])
    seconds = {name: tuple(time and time * 1e-6 for time in times) for name, times in entry["microseconds"].items()}
    if any(len(times) != len(sizes) for times in seconds.values()):
        raise ValueError(f"not every algorithm has {len(sizes)} times")
    bounds = [rung["up_to_bytes"] for rung in entry["all_reduce"]]
    if bounds[-1:] != [None] or any(low >= high for low, high in pairwise(bounds[:-1])):
        raise ValueError('"up_to_bytes" must rise, and must be null in the last line')
    return Table(
        library=entry["library"],
        shape=Shape(entry["num_nodes"], entry["ranks_per_node"], entry["crowded"]),
        measured=entry["measured"],
        links=Links(**{level: _link(link) for level, link in entry["links"].items()}),
        sizes=sizes,
        seconds=seconds,
        ladder=Ladder(tuple(bounds[:-1]), tuple(rung["use"] for rung in entry["all_reduce"])),
        processor=entry.get("processor", ""),
    )


def _link_entry(link: Link | None) -> dict[str, float] | None:
    """alpha in microseconds, and 1/beta, which people know better than beta."""
    if link is None:
        return None
    speed = {"gbytes_per_second": float(f"{1e-9 / link.beta:.4g}")} if link.beta else {}
    return {"alpha_us": float(f"{link.alpha * 1e6:.4g}"), **speed}


def _link(entry: dict[str, float] | None) -> Link | None:
    if entry is None:
        return None
    speed = entry.get("gbytes_per_second")
    return Link(entry["alpha_us"] * 1e-6, 1e-9 / speed if speed else 0.0)
