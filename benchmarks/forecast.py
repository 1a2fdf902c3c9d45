"""How far off is what a study of few hosts forecasts for more of them?

A study (`python -m hpctrain.study`, strong and weak scaling) on hosts made of network namespaces on this machine
(root), a rank on each, joined by shaped links. What 1 to 4 hosts took is fitted, what 8 hosts took is predicted, and
`python -m hpctrain.study grade` puts the two beside each other: the runs that it is graded by it has not seen. The
hosts share the cores of this machine, which the run directories tell the cost model.

The job: a perceptron of 1.1 million weights on the packaged digits, NumPy, momentum; gradients travel as they are.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from harness.arguments import parser, positive, positive_numbers
from harness.hosts import RATES, SETTINGS, Hosts, hosts
from harness.launch import ENVIRONMENT, PYTHON
from harness.machine import describe_machine
from harness.namespaces import enter_namespaces
from harness.page import page

JOB = [
    "model.kind=mlp",
    "model.engine=numpy",
    "model.hidden=[1024,1024]",
    "optimizer.name=momentum",
    "optimizer.lr=0.01",
    "training.batch_size=256",
    "run.threads=1",  # each host takes all cores for its own
]


def main() -> None:
    """Run the studies, grade them, and publish."""
    asked = _arguments()
    enter_namespaces()
    told = {}
    for rate in asked.links:
        with hosts(rate, max(asked.ranks)) as cluster, tempfile.TemporaryDirectory() as folder:
            told[rate] = _study(asked, cluster, Path(folder))
        print(f"{rate}\n{told[rate]}", flush=True)
    asked.results.mkdir(parents=True, exist_ok=True)
    path = asked.results / f"{datetime.now(UTC).date().isoformat()}-forecast.md"
    environment = {
        "settings": " ".join(JOB),
        "hosts": ", ".join(map(str, asked.ranks)),
        "steps": str(asked.steps),
        "repeats": str(asked.repeats),
        **describe_machine(),
    }
    words = "\n\n".join([(__doc__ or "").strip(), *(f"## {rate}\n\n```\n{text}```" for rate, text in told.items())])
    path.write_text(page("forecast", words, {}, environment), encoding="utf-8")
    print(f"written: {path}")


def _arguments() -> argparse.Namespace:
    made = parser(__doc__, repeats=3)
    made.add_argument("--links", type=lambda text: text.split(","), default=list(RATES), help="comma-separated")
    made.add_argument("--ranks", type=positive_numbers, default=[1, 2, 3, 4, 8], help="hosts; the most is predicted")
    made.add_argument("--steps", type=positive, default=40, help="of each run")
    return made.parse_args()


def _study(asked: argparse.Namespace, cluster: Hosts, folder: Path) -> str:
    """Run the study, and return what its grade says."""
    options = cluster.options(ranks_per_host=1)
    line = shlex.join(
        [*cluster.first, "env", *(f"{key}={value}" for key, value in {**ENVIRONMENT, **SETTINGS}.items())]
    )
    line += f" {shlex.quote(str(PYTHON.with_name('mpirun')))} -n {{ranks}} {shlex.join(options)}"
    study = [sys.executable, "-m", "hpctrain.study"]
    ranks = ",".join(map(str, asked.ranks))
    run = [*study, *JOB, "--ranks", ranks, "--repeats", str(asked.repeats), "--steps", str(asked.steps)]
    environment = {**os.environ, **ENVIRONMENT, "PATH": f"{PYTHON.parent}{os.pathsep}{os.environ['PATH']}"}
    where = ["--ranks-per-node", "1", "--launcher", line, "--out", str(folder / "study")]
    subprocess.run([*run, *where], check=True, env=environment)
    grade = [*study, "grade", str(folder / "study")]
    return subprocess.run(grade, check=True, capture_output=True, text=True, env=environment).stdout


if __name__ == "__main__":
    main()
