from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from hpctrain.errors import ModelError
from hpctrain.job.settings import Model
from hpctrain.models.build import build_torch
from hpctrain.models.torch_dropout import KeyedDropout

SOURCE = """
import torch

seen = {}

def net(width, depth=1, *, num_outputs, **others):
    seen.update(others, depth=depth)
    return torch.nn.Sequential(torch.nn.Linear(width, num_outputs), torch.nn.Dropout(0.5))

def flat(input_shape):
    return torch.nn.Linear(*input_shape, 1)

def nothing():
    return {"a": 1}

def failing():
    raise RuntimeError("inside")

not_callable = 3
"""


@pytest.fixture(autouse=True)
def _own_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "own_package_for_test"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "models.py").write_text(SOURCE)
    (package / "broken.py").write_text("import no_such_dependency")
    monkeypatch.syspath_prepend(str(tmp_path))


def build(name: str, dtype: str = "float32", seed: int = 0, **options: Any) -> torch.nn.Module:
    settings = Model(factory=f"own_package_for_test.{name}", options=options)
    return build_torch(settings, input_shape=(6,), num_outputs=4, seed=seed, dtype=dtype)


def test_it_is_called_with_options_and_what_it_asks_for_by_name() -> None:
    model = build("models:net", width=3, depth=2, extra="x")
    assert model.get_parameter("0.weight").shape == (4, 3)
    import own_package_for_test.models

    assert own_package_for_test.models.seen == {"depth": 2, "extra": "x"}, "**others gets the options alone"
    assert build("models:flat").get_parameter("weight").shape == (1, 6)


def test_an_option_replaces_what_is_offered() -> None:
    assert build("models:net", width=3, num_outputs=9).get_parameter("0.weight").shape == (9, 3)


def test_dropout_becomes_keyed_and_weights_get_the_dtype() -> None:
    model = build("models:net", dtype="float64", width=3)
    assert isinstance(model.get_submodule("1"), KeyedDropout)
    assert model.get_parameter("0.weight").dtype == torch.float64


def test_weights_depend_on_the_seed_alone_and_torchs_random_numbers_are_left_alone() -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    weight = build("models:flat", seed=1).get_parameter("weight")
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(6)
    assert torch.equal(build("models:flat", seed=1).get_parameter("weight"), weight)
    assert not torch.equal(build("models:flat", seed=2).get_parameter("weight"), weight)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("model:net", r'no module "own_package_for_test.model"; did you mean "own_package_for_test.models"\?'),
        ("models.deeper:net", 'there is no module "own_package_for_test.models.deeper"'),
        ("models:nett", r'"own_package_for_test.models" has no function "nett"; did you mean "net"\?'),
        ("models:not_callable", 'has no function "not_callable"'),
        ("models:nothing", "returned a dict, and must return a torch.nn.Module"),
        ("models:net", r"takes \(width, .*model.options are \{\}: missing a required argument: 'width'"),
        ("models:flat", r"model.options are \{'wide': 1\}: got an unexpected keyword argument 'wide'"),
    ],
)
def test_what_cannot_be_used_is_refused(name: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        build(name, **({"wide": 1} if name == "models:flat" else {}))


def test_a_missing_top_level_module_is_suggested() -> None:
    settings = Model(factory="own_package_for_tset.models:net")
    with pytest.raises(ModelError, match=r'no module "own_package_for_tset"; did you mean "own_package_for_test"\?'):
        build_torch(settings, input_shape=(6,), num_outputs=4, seed=0, dtype="float32")


def test_errors_inside_the_users_code_are_passed_on() -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_dependency"):
        build("broken:net")
    with pytest.raises(RuntimeError, match="inside"):
        build("models:failing")
