from __future__ import annotations

import tomllib
from typing import Any

import pytest

from hpctrain.job.describe import expected, nearest, nearest_setting, sections, settings, written


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("run.seed", "a whole number, at least 0 and below 4294967296"),
        ("run.trace", "true or false"),
        ("run.dir", "text"),
        ("run.device", 'one of "auto", "cpu", "cuda"'),
        ("schedule.gamma", "a number, above 0 and at most 1"),
        ("model.kernel_size", "an odd whole number, at least 1"),
        ("model.hidden", "a list of whole numbers, each at least 1"),
        ("data.features", "a list of texts"),
        ("run.metrics_to", 'a list of any of "tensorboard", "mlflow", "prometheus"'),
        ("model.options", "a table, e.g. {width = 64}"),
        ("model.factory", 'text of the form "package.module:function"'),
    ],
)
def test_what_a_value_must_be(name: str, words: str) -> None:
    section, key = name.split(".")
    assert expected(sections()[section].model_fields[key]) == words


def test_every_setting_can_be_described() -> None:
    assert all(expected(field) for _, _, field in settings())


@pytest.mark.parametrize("value", [True, 3, 2.5, 1e-8, 'a "b" \\ c', "", [1, 2], ["a"], [], {"a": {"b": [True]}}, {}])
def test_values_are_written_as_toml_reads_them(value: Any) -> None:
    assert tomllib.loads(f"x = {written(value)}") == {"x": value}


def test_nearest() -> None:
    assert nearest("ADM", ["sgd", "adam"]) == "adam"
    assert nearest("lion", ["sgd", "adam"]) is None
    assert nearest("", []) is None


@pytest.mark.parametrize(
    ("section", "key", "meant"),
    [
        ("training", "epoch", "training.epochs"),
        ("training", "lr", "optimizer.lr"),
        ("optimizer", "dtype", "training.dtype"),
        ("model", "nam", "run.name"),
        ("optimizer", "nam", "optimizer.name"),
        ("", "epochs", "training.epochs"),
        ("run", "zzz", None),
    ],
)
def test_nearest_setting(section: str, key: str, meant: str | None) -> None:
    assert nearest_setting(section, key) == meant
