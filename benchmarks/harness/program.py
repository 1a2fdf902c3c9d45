"""Programs: contenders that cannot share one launch (another MPI, another Python) take turns launch by launch."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.launch import PYTHON
from harness.measure import in_turns
from harness.samples import Sample, read_samples


@dataclass(frozen=True)
class Program:
    """What one launch measures.

    Attributes:
        contenders: name for the script that every rank runs -> name in the results.
        python: that runs it, and beside which its mpirun lies.
        options: for that mpirun.
    """

    contenders: Mapping[str, str]
    python: Path = PYTHON
    options: Sequence[str] = ()


def launch_in_turns(
    programs: Sequence[Program], repeats: int, launch: Callable[[Program, Path], None]
) -> Iterator[Sample]:
    """Launch every program once in each repeat; all samples, under the names that results have.

    `launch` runs a program to its end, which leaves one sample of each case and contender in the file it is given.
    """
    for repeat, program in in_turns(programs, repeats):
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "samples.jsonl"
            launch(program, out)
            for sample in read_samples(out):
                yield replace(sample, contender=program.contenders[sample.contender], repeat=repeat)
