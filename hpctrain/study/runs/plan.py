"""The plan of a study: every run that is asked for, with its settings. It is kept as study.json in the directory.

    DIR/study.json      the plan
    DIR/results.csv     a row for each run
    DIR/runs/<run>/     its run directory
    DIR/logs/<run>.log  what it printed
    DIR/slurm.json      the Slurm jobs, where it was submitted

Strong scaling keeps training.batch_size, which all ranks share. Weak scaling keeps training.batch_per_rank; where a job
sets none, each rank has training.batch_size. The repeats of a run differ in run.seed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

from hpctrain.errors import DataError, EnvironmentProblem, MeshError, SettingsError
from hpctrain.job.load import load_job
from hpctrain.job.settings import Job
from hpctrain.launch.run_dir import RunDir, write_json
from hpctrain.layout.mesh import Mesh
from hpctrain.study.forecast import Scaling
from hpctrain.study.runs.asked import Asked, ForecastAsked
from hpctrain.study.runs.target import Target
from hpctrain.study.runs.variants import Settings, folder_of, name_of
from hpctrain.study.traffic import Placement

FORMAT = 1
_STUDY = "study.json"
_MOST_DIFFERENCES = 5  # that are told


@dataclass(frozen=True)
class Planned:
    """One run; see `results.Run` for what has the same name there.

    Attributes:
        settings: all that the job is changed by, but run.dir.
    """

    variant: str
    mode: Scaling
    ranks: int
    nodes: int
    repeat: int
    batch_size: int
    settings: Settings
    directory: str

    def run_dir(self, out: Path) -> RunDir:
        """Of this run, in the study's directory."""
        return RunDir(out / self.directory)

    def log(self, out: Path) -> Path:
        """What the run printed."""
        return out / "logs" / f"{Path(self.directory).name}.log"

    def __str__(self) -> str:
        words = [f"{self.ranks} rank{'s' if self.ranks > 1 else ''}", self.mode.value, *filter(None, [self.variant])]
        return f"{', '.join(words)}, repeat {self.repeat + 1}"


@dataclass(frozen=True)
class Plan:
    """All runs of a study.

    Attributes:
        name: of the job.
        job, ranks_per_node, launcher, target, forecast, command: as in `Asked`.
        python: that trains, a word of shell.
        folder: the working directory, which paths of the job are relative to.
        runs: in the order of variant, mode, ranks, repeat.
    """

    name: str
    job: str
    ranks_per_node: int
    launcher: str
    python: str
    folder: str
    target: str
    forecast: ForecastAsked
    command: str
    runs: tuple[Planned, ...]

    def in_turns(self) -> list[Planned]:
        """The order in which they run: what slows the machine for a while slows one repeat of all, not all of one."""
        return sorted(self.runs, key=lambda run: run.repeat)

    def load_job(self, planned: Planned) -> Job:
        """The job of a run, without its directory. Raises SettingsError."""
        return load_job(self.job or None, planned.settings)


def make_plan(asked: Asked, launcher: str, python: str, each_run: Settings) -> Plan:
    """The plan for what is asked.

    Args:
        asked: by a person.
        launcher: line of shell, see `Plan`.
        python: that trains.
        each_run: settings that all runs have from how they are launched, where the job has them at their defaults.

    Raises SettingsError for a job or a variant that is wrong, a batch that cannot be shared, and ranks that do not
    divide into nodes; MeshError where the job's mesh does not fit them; InputError for a target that no run can reach.
    """
    base = load_job(asked.job or None, asked.overrides)
    runs = tuple(run for variant in asked.variants for run in _runs(asked, variant, each_run))
    return Plan(
        name=base.run.name,
        job=asked.job,
        ranks_per_node=asked.ranks_per_node,
        launcher=launcher,
        python=python,
        folder=str(Path.cwd()),
        target=asked.target,
        forecast=asked.forecast,
        command=asked.command,
        runs=runs,
    )


def _runs(asked: Asked, variant: Settings, each_run: Settings) -> Iterator[Planned]:
    """Of one variant."""
    job = load_job(asked.job or None, [*asked.overrides, *variant])
    _check(job, asked)
    for mode, ranks, repeat in product(asked.modes, asked.ranks, range(asked.repeats)):
        batch, batch_settings = _batch(job, mode, ranks)
        settings = (
            *asked.overrides,
            *variant,
            *batch_settings,
            *([f"training.max_steps={asked.steps}"] if asked.steps else []),
            f"run.name={job.run.name}",
            f"run.seed={job.run.seed + repeat}",
            *(setting.replace("{ranks}", str(ranks)) for setting in each_run),
        )
        load_job(asked.job or None, settings)  # refuse now what a run would refuse
        parts = (folder_of(variant), mode.value, f"{ranks}-ranks", str(repeat + 1))
        folder = "-".join(filter(None, parts))
        nodes = Placement(ranks, asked.ranks_per_node or ranks).num_nodes
        yield Planned(name_of(variant), mode, ranks, nodes, repeat, batch, settings, f"runs/{folder}")


def _check(job: Job, asked: Asked) -> None:
    """Whether the runs of a variant can be as they are asked.

    The study itself says where runs lie, who starts their ranks, and that they begin anew.
    """
    for name, value, default in (
        ("run.dir", job.run.dir, ""),
        ("run.resume", job.run.resume, "no"),
        ("run.local_ranks", job.run.local_ranks, 0),
    ):
        if value != default:
            raise SettingsError(f"{name} is {value}, and a study sets it for each of its runs: leave it out")
    if asked.target:
        Target.of(asked.target).check(job)
    for ranks in asked.ranks:
        try:
            Mesh.fit(ranks, {"data": job.parallel.data})
        except MeshError as error:
            raise MeshError(f"--ranks {ranks}: {error}") from None


def _batch(job: Job, mode: Scaling, ranks: int) -> tuple[int, Settings]:
    """Samples of the global batch, and the settings that make it so."""
    training = job.training
    if mode is Scaling.WEAK:
        per_rank = training.batch_per_rank or training.batch_size
        return per_rank * ranks, (f"training.batch_per_rank={per_rank}",)
    if training.batch_size < ranks:
        raise SettingsError(
            f"strong scaling: {ranks} ranks cannot share training.batch_size={training.batch_size}: use a larger "
            "batch, fewer ranks, or --mode weak"
        )
    return training.batch_size, ("training.batch_per_rank=0",)


def keep_plan(plan: Plan, out: Path) -> None:
    """Write it into the study's directory, which is made. Raises EnvironmentProblem or HpctrainError."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EnvironmentProblem(f"the directory {out} cannot be made (in {Path.cwd()}): {error.strerror}") from None
    runs = [{**asdict(run), "mode": run.mode.value} for run in plan.runs]
    asked = {**asdict(plan.forecast), "modes": [mode.value for mode in plan.forecast.modes]}
    write_json(out / _STUDY, {"format": FORMAT, **asdict(plan), "forecast": asked, "runs": runs})


def read_plan(out: Path) -> Plan:
    """The plan of the study in a directory. Raises DataError where there is none that can be read."""
    try:
        content: dict[str, Any] = json.loads((out / _STUDY).read_text(encoding="utf-8"))
        if content.pop("format") != FORMAT:
            raise DataError(f"{out / _STUDY} was written by another version of hpctrain: make a new study")
        asked, runs = content.pop("forecast"), content.pop("runs")
        modes = tuple(Scaling(mode) for mode in asked.pop("modes"))
        return Plan(
            **content,
            forecast=ForecastAsked(modes, **asked),
            runs=tuple(
                Planned(**{**run, "mode": Scaling(run["mode"]), "settings": tuple(run["settings"])}) for run in runs
            ),
        )
    except OSError as error:
        raise DataError(f"{out} holds no study (in {Path.cwd()}): {error.strerror}: {_STUDY}") from None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(f"{out / _STUDY} is no plan of a study: {error}") from None


def check_same_study(plan: Plan, out: Path) -> None:
    """Whether what lies in the directory belongs to this plan, so that it can be gone on with.

    Raises SettingsError where it is another study, or where runs were made with other settings.
    """
    if not (out / _STUDY).exists():
        if out.is_dir() and any(out.iterdir()):
            raise SettingsError(f"{out} holds files, and no study: give an empty or a new directory with --out")
        return
    there = read_plan(out)
    told = [
        f"{what} is {new!r}, and was {old!r}"
        for what, new, old in (
            ("the job", plan.name, there.name),
            ("--ranks-per-node", plan.ranks_per_node, there.ranks_per_node),
            ("the launcher", plan.launcher, there.launcher),
        )
        if new != old
    ]
    told = told or next(filter(None, (_differences(plan, run, out) for run in plan.runs)), [])
    if told:
        raise SettingsError(
            f"{out} holds a study with other settings: {'; '.join(told[:_MOST_DIFFERENCES])}. Give another directory "
            "with --out, or ask as before"
        )


def _differences(plan: Plan, planned: Planned, out: Path) -> list[str]:
    """Of the settings that a run was made with from those that it would have now."""
    try:
        then: dict[str, dict[str, Any]] = json.loads(planned.run_dir(out).job.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # it has not begun
        return []
    now = json.loads(plan.load_job(planned).model_dump_json())
    return [
        f"{section}.{key} is {now[section][key]!r}, and was {value!r}"
        for section, values in then.items()
        for key, value in values.items()
        if (section, key) != ("run", "dir") and key in now.get(section, {}) and now[section][key] != value
    ]
