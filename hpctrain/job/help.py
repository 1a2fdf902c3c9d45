"""The text of `python -m hpctrain.train --help`, made from the settings themselves."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from inspect import getdoc
from textwrap import fill

from pydantic.fields import FieldInfo

from hpctrain.job.describe import expected, sections, written

_USAGE = """\
usage: python -m hpctrain.train [JOB.toml] [section.key=value ...]
       python -m hpctrain.train --help | --version

Trains what JOB.toml describes; without it, a small network on handwritten digits.

  mpirun -n 8 python -m hpctrain.train job.toml     on this machine, 8 ranks
  srun python -m hpctrain.train job.toml            inside a Slurm job
  python -m hpctrain.train job.toml                 alone: a world of one
  python -m hpctrain.train run.local_ranks=4        on this machine, 4 ranks, without MPI

exit codes: 0 done, 2 bad input, 75 preempted and resumable, 1 anything else
"""

_SETTINGS = """\
Every setting, with its default. In a job file it stands under its section, as it is written here; on the command line
it is section.key=value, e.g. training.epochs=3 'model.hidden=[64, 32]'.
"""

_INDENT = 28  # where the right column begins


def train_help(width: int | None = None) -> str:
    """The whole text, in lines of at most `width` characters (default: the terminal's), in plain characters."""
    width = max(width or min(shutil.get_terminal_size().columns, 120), _INDENT + 20)
    blocks = [_USAGE, fill(_SETTINGS, width) + "\n"]
    for name, section in sections().items():
        entries = (line for key, field in section.model_fields.items() for line in _entry(key, field, width))
        blocks.append("\n".join([fill(f"[{name}]  {getdoc(section)}", width), *entries]) + "\n")
    return "\n".join(blocks)


def _entry(key: str, field: FieldInfo, width: int) -> Iterator[str]:
    """One setting: its default on the left; what it means and what it may be on the right."""
    left = f"  {key} = {written(field.get_default(call_default_factory=True))}"
    indent = " " * _INDENT
    meaning = f"{field.description} ({expected(field)})"
    right = fill(meaning, width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False).split("\n")
    if len(left) > _INDENT - 2:
        yield left
    else:
        right[0] = left.ljust(_INDENT) + right[0].lstrip()
    yield from right
