"""The throw-away Slurm as test_preemption.py sees it, and the jobs in its queue."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

SECONDS = 60.0  # for an answer, on a very busy machine
LINES = 20  # of a log, in a failure's message
FINAL = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT")
FIRST = {"JobState": "PENDING", "Restarts": "0"}  # of an element that Slurm does not tell from its array yet

Condition = Callable[[], bool]


@dataclass
class Cluster:
    """A Slurm whose hosts can be switched off.

    Attributes:
        folder: its files.
        scripts: those that started it.
        env: the environment in which its commands find it.
        work: the directory in which jobs are submitted.
        queue: what it said of each job at the last look.
    """

    folder: Path
    scripts: Path
    env: Mapping[str, str]
    work: Path
    queue: dict[str, dict[str, str]] = field(default_factory=dict)

    def ask(self, *command: str, **env: str) -> str:
        """What one of Slurm's commands answers."""
        done = subprocess.run(
            command,
            env={**self.env, **env},
            cwd=self.work,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout.strip()

    def look(self) -> None:
        """At all jobs. An element of an array is called as Slurm calls it, 12_1."""
        for line in self.ask("scontrol", "show", "job", "--oneliner").splitlines():
            job = dict(re.findall(r"(\w+)=(\S*)", line))
            array, element = job.get("ArrayJobId"), job.get("ArrayTaskId")
            self.queue[f"{array}_{element}" if array else job["JobId"]] = job

    def switch_off(self, host: str) -> None:
        """Its processes are gone, and nobody is told."""
        subprocess.run([self.scripts / "host.sh", self.folder, "off", host], check=True, timeout=SECONDS)


@dataclass
class Job:
    """One job, or one element of an array, and its run."""

    cluster: Cluster
    number: str
    run_dir: Path

    @property
    def now(self) -> Mapping[str, str]:
        """What Slurm said of it."""
        return self.cluster.queue.get(self.number, FIRST)

    @property
    def num_restarts(self) -> int:
        """How often it has queued up again."""
        return int(self.now["Restarts"])

    @property
    def is_over(self) -> bool:
        """Whether it has ended for good."""
        return self.now["JobState"] in FINAL

    def has_queued_up_again(self, times: int) -> Condition:
        """Whether it has, so many times; it may run again by now."""
        return lambda: self.num_restarts >= times

    def waits_at(self, moment: str) -> Condition:
        """Whether it does; see bad_moments/sitecustomize.py."""
        return self._flag("at", moment).exists

    def let_go(self, moment: str) -> None:
        """Have it go on from there, unasked."""
        self._flag("at", moment).rename(self._flag("was-at", moment))

    def _flag(self, place: str, moment: str) -> Path:
        return Path(f"{self.run_dir}.{place}-{moment}")

    def ask_to_stop(self) -> None:
        """As Slurm does it before a time limit."""
        self.cluster.ask("scancel", "--signal=USR1", "--batch", self.number)

    @property
    def log(self) -> str:
        """Of the script and of all ranks."""
        return Path(f"{self.run_dir}.log").read_text()

    @property
    def fate(self) -> str:
        """What became of it, in a line: for whoever reads a failure."""
        words = ("JobState", "Reason", "Restarts", "SubmitTime", "EligibleTime", "StartTime", "EndTime", "NodeList")
        return f"--- {self.run_dir.name}: " + " ".join(f"{word}={self.now[word]}" for word in words if word in self.now)

    @property
    def story(self) -> str:
        """What became of it, in a few lines."""
        log = Path(f"{self.run_dir}.log")
        lines = log.read_text().splitlines() if log.exists() else ["(no log)"]
        events = (self.cluster.folder / "slurmctld.log").read_text().splitlines()
        its_events = [event for event in events if f"JobId={self.number.partition('_')[0]}" in event]
        return "\n".join([self.fate, *its_events[-LINES:], *lines[-LINES:]])

    @property
    def summary(self) -> dict:
        """How the run ended."""
        return json.loads((self.run_dir / "summary.json").read_text())

    @property
    def curves(self) -> list[tuple]:
        """Every line of metrics.jsonl, without what depends on time."""
        lines = [json.loads(line) for line in (self.run_dir / "metrics.jsonl").read_text().splitlines()]
        names = ("step", "epoch", "loss", "accuracy", "learning_rate", "samples", "test_loss", "test_accuracy")
        return [tuple(line.get(name) for name in names) for line in lines]

    @property
    def continued_after(self) -> list[int]:
        """The steps after which it went on, one for each start that found a checkpoint."""
        return [int(step) for step in re.findall(r"continues +after step (\d+)", self.log)]
