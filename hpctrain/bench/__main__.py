"""`python -m hpctrain.bench collectives`, alone or under mpirun or srun: how fast the ranks of a job talk."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hpctrain.bench.arguments import Asked, parse
from hpctrain.errors import HpctrainError
from hpctrain.launch.environment import discover
from hpctrain.launch.process import leave
from hpctrain.resilience.fatal import SECONDS_FOR_RANK_0, end_world

if TYPE_CHECKING:
    from hpctrain.launch.world import World


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write; returns the exit code. All ranks."""
    speaks = discover().rank == 0
    try:
        asked = parse(sys.argv[1:] if arguments is None else arguments)
        if isinstance(asked, str):
            print(asked if speaks else "", end="")
            return 0
        from hpctrain.launch.world import join  # imports NumPy, which must find its threads in the environment

        world = join(tuning=str(asked.grade or ""))
    except HpctrainError as error:
        if speaks:
            print(f"hpctrain: {error}", file=sys.stderr, flush=True)
        else:
            time.sleep(SECONDS_FOR_RANK_0)  # a launcher ends all ranks when the first has failed: let rank 0 speak
        return error.exit_code
    try:
        return _run(world, asked)
    except HpctrainError as error:
        end_world(error, world.group.comm, None)


def _run(world: World, asked: Asked) -> int:
    """0, or 1 where something is not as it should be: what rank 0 found, on all ranks."""
    from hpctrain.bench.collectives import grade_all, measure_all, tables_of
    from hpctrain.bench.grade import summary
    from hpctrain.bench.results import Results

    comm = world.group.comm
    results = Results.prepare(asked) if comm.rank == 0 else None

    def say(text: str) -> None:
        if results is not None:
            print(text, flush=True)

    for note in world.notes:
        say(f"# {note}")
    failed = False
    if asked.grade:
        grades = grade_all(world, asked, say)
        if results is not None:
            say(summary(grades))
            failed = any(grade.is_slower for grade in grades)
    else:
        rows = measure_all(world, asked, say)
        if results is not None:
            results.keep(tables_of(rows, comm.library, say), say)
            failed = any(row.num_wrong for found in rows.values() for row in found)
    return int(comm.gather_objects(failed)[0])


if __name__ == "__main__":
    leave(main())
