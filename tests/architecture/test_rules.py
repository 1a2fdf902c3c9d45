"""The package keeps the rules of the house, and each rule can be broken."""

from __future__ import annotations

from pathlib import Path

import pytest

import rules
from house import House, Module

RULES = [
    rules.rooms_lean_only_downwards,
    rules.imports_make_no_circle,
    rules.mpi4py_is_imported_in_one_file,
    rules.heavy_libraries_are_imported_late,
    rules.environment_is_read_in_one_file,
    rules.nothing_is_global,
    rules.names_say_something,
    rules.a_world_of_one_is_no_special_case,
    rules.the_loop_names_no_strategy,
    rules.files_are_small,
    rules.modules_say_what_they_are,
]


@pytest.fixture(scope="module")
def house(repository: Path) -> House:
    return House.at(repository / "hpctrain")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_package_keeps_the_rule(rule: rules.Rule, house: House) -> None:
    broken = list(rule(house))
    assert not broken, "\n" + "\n".join(broken)


def test_the_rules_see_the_package(house: House) -> None:
    """A walk that found nothing would keep every rule."""
    assert {"hpctrain", "hpctrain.errors", rules.MPI_FILE, rules.ENVIRONMENT_FILE} <= {m.name for m in house.modules}
    assert {module.room for module in house.modules if module.name.count(".") > 1} == set(rules.MAY_LEAN_ON)


BAD = [
    (rules.rooms_lean_only_downwards, "layout.blocks", "from hpctrain.comm import mpi"),
    (rules.rooms_lean_only_downwards, "layout.blocks", "def f():\n    from hpctrain.comm.mpi import world"),
    (rules.rooms_lean_only_downwards, "layout.blocks", "from ..comm import mpi"),
    (rules.rooms_lean_only_downwards, "layout.blocks", "import hpctrain.comm.mpi as m"),
    (rules.rooms_lean_only_downwards, "layout.blocks", "import_module('hpctrain.comm.mpi')"),
    (rules.rooms_lean_only_downwards, "layout.blocks", "from hpctrain import init"),
    (rules.rooms_lean_only_downwards, "attic.chest", "x = 1"),
    (rules.imports_make_no_circle, "comm.mpi", "from hpctrain.parallel.plan import Plan"),
    (rules.imports_make_no_circle, "layout.blocks", "from hpctrain.layout import blocks"),
    (rules.mpi4py_is_imported_in_one_file, "comm.solo", "from mpi4py import MPI"),
    (rules.mpi4py_is_imported_in_one_file, "comm.solo", "def f():\n    import mpi4py.MPI"),
    (rules.mpi4py_is_imported_in_one_file, "comm.solo", "from hpctrain.comm.mpi import world"),
    (rules.heavy_libraries_are_imported_late, "models.cnn", "import torch.nn as nn"),
    (rules.heavy_libraries_are_imported_late, "models.cnn", "class A:\n    from PIL import Image"),
    (rules.heavy_libraries_are_imported_late, "models.cupy_cnn", "import torch"),
    (rules.heavy_libraries_are_imported_late, "models.cnn", "from hpctrain.arrays.torch_arrays import TorchArrays"),
    (rules.environment_is_read_in_one_file, "comm.solo", "import os\nos.environ['A'] = 'b'"),
    (rules.environment_is_read_in_one_file, "comm.solo", "import os\nos.getenv('A')"),
    (rules.environment_is_read_in_one_file, "comm.solo", "from os import environ"),
    (rules.nothing_is_global, "comm.solo", "def f():\n    global world\n    world = 1"),
    (rules.names_say_something, "layout.utils", ""),
    (rules.names_say_something, "layout.block_helpers", ""),
    (rules.a_world_of_one_is_no_special_case, "parallel.plan", "def f(group):\n    return group.size > 1"),
    (rules.a_world_of_one_is_no_special_case, "parallel.plan", "if 1 == world_size: pass"),
    (rules.a_world_of_one_is_no_special_case, "parallel.plan", "x = 2 if not local_size != 1 else 3"),
    (rules.the_loop_names_no_strategy, "train.step", "if plan.name == 'central': pass"),
    (rules.the_loop_names_no_strategy, "train.step", "from hpctrain.parallel.gradient_sync.ring import Ring"),
    (rules.files_are_small, "layout.mesh", "x = 1\n" * 401),
    (rules.modules_say_what_they_are, "layout.mesh", "x = 1"),
]


@pytest.mark.parametrize(("rule", "name", "source"), BAD)
def test_the_rule_can_be_broken(rule: rules.Rule, name: str, source: str) -> None:
    assert len(list(rule(house_with(name, source)))) == 1


def test_the_median_file_is_small() -> None:
    house = House([Module(f"hpctrain.layout.m{i}", "x = 1\n" * length) for i, length in enumerate([100, 151, 151])])
    assert list(rules.files_are_small(house)) == ["the median file has 151 lines (at most 150)"]


GOOD = [
    ("layout.blocks", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from hpctrain.comm import mpi"),
    ("layout.blocks", "from hpctrain.errors import MeshError"),
    ("comm.solo", "def f():\n    from hpctrain.comm.mpi import world"),
    ("models.torch_cnn", "import torch\nfrom hpctrain.arrays import torch_arrays"),
    ("models.cnn", "def f():\n    import torch"),
    ("launch.environment", "import os\nos.environ['A'] = 'b'"),
    ("parallel.plan", "def f(group):\n    return len(group) > 1 and group.rank == 1 and group.size > 2"),
    ("train.step", "from hpctrain.parallel.plan import Plan\ndef f(group):\n    group.all_reduce(1)"),
    ("doctor", "from hpctrain.parallel.plan import Plan"),
]


@pytest.mark.parametrize(("name", "source"), GOOD)
def test_the_rules_let_pass_what_is_right(name: str, source: str) -> None:
    house = house_with(name, f'"""What it is."""\n{source}')
    assert [line for rule in RULES for line in rule(house)] == []


def house_with(name: str, source: str) -> House:
    """A small house, in which one module is replaced or added."""
    sources = {
        "errors": "",
        "layout.blocks": "",
        "arrays.torch_arrays": '"""Arrays."""\nimport torch',
        "comm.mpi": '"""MPI."""\nfrom mpi4py import MPI',
        "parallel.plan": '"""Plan."""\ndef f():\n    from hpctrain.comm.mpi import world',
        "parallel.gradient_sync.ring": "",
        name: source,
    }
    return House([Module("hpctrain", "", is_package=True), *(Module(f"hpctrain.{n}", s) for n, s in sources.items())])
