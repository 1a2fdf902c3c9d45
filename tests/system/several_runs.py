"""One rank of several runs, one after the other in one world: the same as a launch for each, but for the starts.

    mpirun -n 2 python tests/system/several_runs.py RUNS.json

RUNS.json holds the settings of each run, as the command line has them. The first failure ends all.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from hpctrain.launch.world import join


def main() -> None:
    world = join()
    from hpctrain.job.load import load_job
    from hpctrain.train import run as training

    # No curves are drawn, which takes longer than all the rest.
    training.Curves = lambda *args, **kwargs: training.Callback()  # type: ignore[attr-defined, assignment, misc]
    for settings in json.loads(Path(sys.argv[1]).read_text()):
        print(" ".join(settings), file=sys.stderr, flush=True)
        training.run_job(training.Session(load_job(None, settings), world))
        world.comm.barrier()  # before anybody continues it


if __name__ == "__main__":
    main()
