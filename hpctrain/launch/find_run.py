"""Which run directory a person means."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

from hpctrain.errors import InputError
from hpctrain.launch.run_dir import RUNS, RunDir


def find_run(named: str = "") -> RunDir:
    """A run directory, one of a run that has yet to begin, the newest in a folder or of the job of that name.

    Without a name the newest of all in `runs/`. Raises InputError with the names of the jobs there.
    """
    if not named:
        return _newest(_runs_in(RUNS)) or _refuse("there are no runs")
    path = Path(named).expanduser()
    for folder in (path, RUNS / named):
        if _is_run(folder):
            return RunDir(folder.resolve())
        if newest := _newest(_runs_in(folder)):
            return newest
    if path.is_dir() or (len(path.parts) > 1 and path.parent.is_dir()):
        return RunDir(path)
    jobs = [folder.name for folder in _folders(RUNS)]
    near = get_close_matches(named, jobs, n=1)
    return _refuse(f'there is no run "{named}"' + (f" (did you mean {near[0]}?)" if near else ""))


def _refuse(problem: str) -> RunDir:
    jobs = ", ".join(folder.name for folder in _folders(RUNS)) or "none"
    raise InputError(f"{problem}; give a run directory or a job in {RUNS.resolve()}: {jobs}")


def _is_run(folder: Path) -> bool:
    run = RunDir(folder)
    return run.job.exists() or run.checkpoints.is_dir()


def _runs_in(folder: Path) -> Iterator[RunDir]:
    """Those of a job, or of all jobs; the elements of an array of jobs among them."""
    for path in _folders(folder):
        if _is_run(path):
            yield RunDir(path)
        else:
            yield from map(RunDir, filter(_is_run, _folders(path)))


def _folders(folder: Path) -> list[Path]:
    """Folders in a folder, links left out: one of them points to the latest run."""
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink())
    except OSError:
        return []


def _newest(runs: Iterator[RunDir]) -> RunDir | None:
    return max(runs, key=_begun, default=None)


def _begun(run: RunDir) -> tuple[float, str]:
    """When it began, or went on, as far as its files say."""
    for path in (run.job, run.path):
        try:
            return path.stat().st_mtime, run.path.name
        except OSError:
            continue
    return 0.0, run.path.name
