from __future__ import annotations

import pytest

from hpctrain.errors import SettingsError
from hpctrain.job.command_line import Request, parse


@pytest.mark.parametrize(
    ("argv", "request_"),
    [
        ([], Request()),
        (["job.toml"], Request("job.toml")),
        (["training.epochs=3", "job.toml", "run.dir=/x"], Request("job.toml", ("training.epochs=3", "run.dir=/x"))),
        (["runs/lr=0.1/job.toml"], Request("runs/lr=0.1/job.toml")),
        (["-h"], Request(help=True)),
        (["job.toml", "--help"], Request("job.toml", help=True)),
        (["--version"], Request(version=True)),
    ],
)
def test_arguments_are_sorted(argv: list[str], request_: Request) -> None:
    assert parse(argv) == request_


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--hlp"], 'no flag "--hlp" (did you mean --help?)'),
        (["--dry-run"], 'no flag "--dry-run"; flags: -h, --help, --version'),
        (["--epochs=3"], "settings are given without dashes: training.epochs=3"),
        (["--training.lr", "3"], "settings are given without dashes: optimizer.lr=..."),
        (["--batch-size", "3"], "settings are given without dashes: training.batch_size=..."),
        (["a.toml", "b.toml"], "one job at a time: a.toml and b.toml were given"),
    ],
)
def test_other_arguments_are_refused(argv: list[str], message: str) -> None:
    with pytest.raises(SettingsError) as refused:
        parse(argv)
    assert message in str(refused.value)
    assert refused.value.exit_code == 2
