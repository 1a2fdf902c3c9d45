"""README does what it says: its commands work as they are printed, and its two loops learn the same.

Blocks that README marks `runnable` are run line by line, in their order, in a directory with the repository's
`examples` and `jobs`, and with a table like the one that README speaks of. Two things make that quick: each training
gets `training.max_steps=3` appended, and `model.engine=numpy` as well unless it has a torch model of its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

RUNNABLE = re.compile(r"^```(sh|console) runnable\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECONDS = 120.0  # for one command, on a very busy machine


@pytest.fixture
def readme(repository: Path) -> str:
    return (repository / "README.md").read_text()


@pytest.fixture
def checkout(repository: Path, tmp_path: Path, readme: str) -> Path:
    """What a person has who reads README: the repository, and files of his own."""
    for name in ("examples", "jobs"):
        (tmp_path / name).symlink_to(repository / name)
    (job,) = re.findall(r"```toml\n(.*?)```", readme, re.DOTALL)
    (tmp_path / "houses.toml").write_text(job)
    rows = [f"{rooms},{area},{1000 * area + 500 * rooms}.5" for rooms in range(1, 8) for area in range(30, 120, 7)]
    (tmp_path / "houses.csv").write_text("\n".join(["rooms,area,price", *rows]))
    return tmp_path


def shortened(command: str) -> str:
    if "hpctrain.train" not in command or "--help" in command:
        return command
    engine = "" if "model.factory" in command else " model.engine=numpy"
    return f"{command} training.max_steps=3{engine}"


def commands(readme: str) -> list[tuple[str, str]]:
    """Each command that can be run, and the output that README shows for it, if any."""
    found = []
    for kind, text in RUNNABLE.findall(readme):
        if kind == "console":
            command, _, output = text.removeprefix("$ ").partition("\n")
            found.append((command, output))
        else:
            found += [(line.partition("  #")[0].strip(), "") for line in text.splitlines()]
    return found


def labels(output: str) -> list[str]:
    """The names of the rows of a header or a closing table."""
    return [line[2:16].strip() for line in output.splitlines() if re.match(r"  \w", line)]


def loss(output: str) -> float:
    (number,) = re.findall(r"test loss ([\d.]+)", output)  # one rank speaks for all
    return float(number)


def test_the_commands_work_as_printed(launch: Callable, repository: Path, checkout: Path, readme: str) -> None:
    printed = []
    for command, output in commands(readme):
        env = {"PYTHONPATH": str(repository)}
        done = launch("sh", "-c", shortened(command), cwd=checkout, env=env, timeout=SECONDS)
        assert done.returncode == 0, command
        if "test loss" in output:  # other processors round otherwise
            assert loss(done.stdout) == pytest.approx(loss(output), rel=1e-3), command
        elif output:
            assert done.stdout == output, command
        printed.append(done.stdout)
    assert_the_first_screen_is_of_today(readme, next(output for output in printed if "  digits_cnn\n" in output))
    assert_the_run_directory_is_documented(checkout / "runs" / "digits_cnn" / "latest", repository)


def assert_the_first_screen_is_of_today(readme: str, printed: str) -> None:
    shown = readme.split("```")[1]
    assert shown.startswith("console\n$ make train\n")
    header, *_, closing = shown.split("\n\n")
    assert labels(header) == labels(printed.split("\n\n")[0])
    assert set(labels(closing)) < set(labels(printed))


def assert_the_run_directory_is_documented(run_dir: Path, repository: Path) -> None:
    """Every file and every key stands on the page about them."""
    page = (repository / "docs" / "howto" / "read_a_run.md").read_text()
    names = {path.name for path in run_dir.iterdir()} - {"logs", "checkpoints"}
    assert names >= {"job.json", "environment.json", "metrics.jsonl", "summary.json"}
    for file in ("summary.json", "environment.json"):
        names |= keys(json.loads((run_dir / file).read_text()), depth=2 if file == "summary.json" else 1)
    for line in (run_dir / "metrics.jsonl").read_text().splitlines():
        names |= keys(json.loads(line), depth=2)
    assert {name for name in names if not re.search(rf'[`"]{re.escape(name)}[`"]', page)} == set()


def keys(value: Any, depth: int) -> set[str]:
    if not isinstance(value, dict) or not depth:
        return set()
    return set(value).union(*(keys(inner, depth - 1) for inner in value.values()))


def test_make_train_is_the_main_job(launch: Callable, repository: Path) -> None:
    done = launch("make", "--dry-run", "--no-print-directory", "train", cwd=repository)  # these may be run by make too
    assert done.returncode == 0
    assert done.stdout.rstrip().endswith("mpirun -n 8 python -m hpctrain.train")


def test_the_loop_on_all_ranks_learns_what_the_plain_one_learns(launch: Callable, repository: Path) -> None:
    env = {"PYTHONPATH": str(repository)}
    plain = launch("python", "examples/plain_loop.py", env=env, timeout=SECONDS)
    assert plain.returncode == 0
    assert loss(plain.stdout) < 0.5
    done = launch("python", "examples/distributed_loop.py", ranks=2, env=env, timeout=SECONDS)
    assert done.returncode == 0
    assert loss(done.stdout) == pytest.approx(loss(plain.stdout), rel=1e-6)
