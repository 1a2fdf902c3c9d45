"""What compression costs of what is learned: no more than docs/howto/compression.md states.

Whole jobs are trained, with and without: jobs/digits_cnn.toml as it is, and jobs/stdlib_gpt.toml cut down to some
seconds. Their own layers compute them, on NumPy.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import pytest

from hpctrain.job.load import load_job
from hpctrain.launch.run_dir import RunDir
from hpctrain.launch.stage.staged import Staged
from hpctrain.launch.world import join
from hpctrain.resilience.stop_request import StopRequest
from hpctrain.train.assemble import assemble
from hpctrain.train.clock import Clock

pytestmark = pytest.mark.many_cases

CONTENDERS = {  # settings, by the names that the page has for them
    "`fp16`": "compression=fp16",
    "`bf16`": "compression=bf16",
    "`int8`": "compression=int8",
    "`powersgd`, rank 4": "compression=powersgd compression_rank=4",
    "`powersgd`, rank 2": "compression=powersgd compression_rank=2",
    "`powersgd`, rank 1": "compression=powersgd compression_rank=1",
    "`sign`": "compression=sign",
    "`top_k`, 10%": "compression=top_k compression_ratio=0.1",
    "`random_k`, 10%": "compression=random_k compression_ratio=0.1",
}
SMALL_GPT = (
    "model.layers=1 model.width=32 model.heads=2 data.context=32 data.test_fraction=0.02 training.batch_size=24 "
    "training.max_steps=250 optimizer.lr=0.01 schedule.warmup_steps=20"
)
UNIGRAM = 3.1  # nats a byte, of who knows how frequent each byte is and no more

Train = Callable[..., Mapping[str, float]]


@pytest.fixture(scope="module")
def train(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Train:
    """Trains a job with some settings; returns its last metrics. Once for each, as all ranks remember alike."""
    world = join()

    @cache
    def metrics(name: str, settings: str) -> Mapping[str, float]:
        overrides = ["model.engine=numpy", "training.evaluate_every=0", *settings.split()]
        job = load_job(repository / "jobs" / f"{name}.toml", overrides)
        run_dir = RunDir(tmp_path_factory.mktemp(name))
        clock = Clock(world.group.traffic)
        trainer = assemble(job, world, Staged(), run_dir, StopRequest(), clock, pytest.fail)
        trainer.run()
        return trainer.final

    return metrics


def compressed_by(contender: str) -> str:
    return " ".join(f"parallel.{setting}" for setting in CONTENDERS[contender].split())


def stated_margin(repository: Path, contender: str, column: int) -> float:
    """From the last columns of the page's table."""
    _, page = (repository / "docs" / "howto" / "compression.md").read_text().split("\n## What it costs in accuracy\n")
    (row,) = re.findall(rf"^\| {re.escape(contender)} \|(.*)\|$", page, re.MULTILINE)
    return float(row.split("|")[column])


@pytest.mark.parametrize("contender", CONTENDERS)
def test_digits(train: Train, repository: Path, contender: str) -> None:
    """Points of test accuracy behind. One sample of the 359 is 0.3 of them."""
    uncompressed = train("digits_cnn", "")["test_accuracy"]
    found = train("digits_cnn", compressed_by(contender))["test_accuracy"]
    assert uncompressed > 0.97
    assert 100 * (uncompressed - found) <= stated_margin(repository, contender, -2)


@pytest.mark.parametrize("contender", CONTENDERS)
def test_gpt(train: Train, repository: Path, contender: str) -> None:
    """Nats a byte behind, on files that it has never seen."""
    uncompressed = train("stdlib_gpt", SMALL_GPT)["test_loss"]
    found = train("stdlib_gpt", f"{SMALL_GPT} {compressed_by(contender)}")["test_loss"]
    assert uncompressed < UNIGRAM - 0.4
    assert found - uncompressed <= stated_margin(repository, contender, -1)
