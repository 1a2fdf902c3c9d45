"""The rules of the house. Each looks at all modules and yields one line for everything that breaks it.

docs/architecture.md says why they are there. A new room is written into MAY_LEAN_ON, and into that page.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from graphlib import CycleError, TopologicalSorter
from statistics import median
from typing import get_args

from house import House, Module
from hpctrain.job.settings import Parallel

Rule = Callable[[House], Iterator[str]]

# What stands under everything, and what each room may lean on besides. Imports for type checkers are not leaning.
GROUND = {"errors", "version", "whole_file"}
MAY_LEAN_ON = {
    "layout": set(),
    "job": set(),
    "arrays": {"layout"},
    "comm": {"layout", "arrays"},
    "collectives": {"layout", "arrays", "comm"},
    "nn": {"layout", "arrays"},
    "optim": {"layout", "arrays"},
    "compress": {"layout", "arrays"},
    "data": {"layout", "arrays"},
    "models": {"layout", "arrays", "nn"},
    "checkpoint": {"layout", "comm"},
    "resilience": {"layout", "comm"},
    "launch": {"layout", "arrays", "job", "comm", "collectives", "resilience"},
    "bench": {"layout", "arrays", "job", "comm", "collectives", "resilience", "launch"},
    "parallel": {
        "layout",
        "arrays",
        "job",
        "comm",
        "collectives",
        "compress",
        "nn",
        "models",
        "optim",
        "data",
        "launch",
    },
}
MAY_LEAN_ON["train"] = set(MAY_LEAN_ON)
MAY_LEAN_ON["study"] = set(MAY_LEAN_ON) - {"train"}
MAY_LEAN_ON["watch"] = {"comm", "launch", "train"}

# Slow to import, or not always installed. A module-level import stands only in a file named after the library
# (torch_engine.py), and such a file is itself imported inside functions.
HEAVY = {"torch", "cupy", "pyarrow", "h5py", "PIL", "rich", "matplotlib", "tensorboardX", "mlflow", "prometheus_client"}

MPI_FILE = "hpctrain.comm.mpi"
ENVIRONMENT_FILE = "hpctrain.launch.environment"
STRATEGIES = set(get_args(Parallel.model_fields["strategy"].annotation))
WORDS_WITHOUT_MEANING = {"util", "utils", "helper", "helpers", "common", "misc"}
MOST_LINES, MOST_LINES_MEDIAN = 400, 150


def rooms_lean_only_downwards(house: House) -> Iterator[str]:
    """A room imports only from the rooms that MAY_LEAN_ON gives it. Files beside the rooms are commands."""
    for module in house.modules:
        if module.room in MAY_LEAN_ON:
            allowed = GROUND | MAY_LEAN_ON[module.room] | {module.room}
        elif module.room in GROUND:
            allowed = {module.room}
        elif module.name.count(".") > 1 or (module.is_package and module.room):
            yield f"{module.name}: the room {module.room} is not in MAY_LEAN_ON"
            continue
        else:
            continue
        for target, line in _leanings(house, module):
            if target.room not in allowed:
                yield f"{module.name}:{line}: {module.room} may not lean on {target.name}"


def imports_make_no_circle(house: House) -> Iterator[str]:
    """No module imports itself, through however many others."""
    graph = {module.name: {target.name for target, _ in _leanings(house, module)} for module in house.modules}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as circle:
        yield f"a circle of imports: {' <- '.join(circle.args[1])}"


def mpi4py_is_imported_in_one_file(house: House) -> Iterator[str]:
    """`comm/mpi.py` alone imports mpi4py, and is itself imported only inside functions."""
    for module in house.modules:
        for found in module.imports:
            if _top(found.target) == "mpi4py" and module.name != MPI_FILE:
                yield f"{module.name}:{found.line}: mpi4py is imported in {MPI_FILE} alone"
            target = house.module_of(found.target)
            if target is not None and target.name == MPI_FILE and not found.lazy:
                yield f"{module.name}:{found.line}: import {MPI_FILE} inside the function that needs it"


def heavy_libraries_are_imported_late(house: House) -> Iterator[str]:
    """Who does not use torch does not wait for `import torch`; the same for all of HEAVY."""
    for module in house.modules:
        for found in module.imports:
            target = house.module_of(found.target)
            library = _top(found.target) if target is None else _library_of_file(target)
            if library in HEAVY and not found.lazy and library != _library_of_file(module):
                yield f"{module.name}:{found.line}: import {found.target} inside the function that needs it"


def environment_is_read_in_one_file(house: House) -> Iterator[str]:
    """Environment variables are read and set in `launch/environment.py` alone."""
    names = {"environ", "environb", "getenv", "putenv", "unsetenv"}
    for module in house.modules:
        if module.name == ENVIRONMENT_FILE:
            continue
        yield from (
            f"{module.name}:{found.line}: {found.target} belongs in {ENVIRONMENT_FILE}"
            for found in module.imports
            if found.target in {f"os.{name}" for name in names}
        )
        for node in ast.walk(module.tree):
            match node:
                case ast.Attribute(value=ast.Name(id="os"), attr=attr) if attr in names:
                    yield f"{module.name}:{node.lineno}: os.{attr} belongs in {ENVIRONMENT_FILE}"


def nothing_is_global(house: House) -> Iterator[str]:
    """State is passed as an argument."""
    for module in house.modules:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Global):
                yield f"{module.name}:{node.lineno}: global {', '.join(node.names)}"


def names_say_something(house: House) -> Iterator[str]:
    """Where would one look for a thing in `utils`?"""
    for module in house.modules:
        if WORDS_WITHOUT_MEANING & set(module.stem.lower().split("_")):
            yield f"{module.name}: name the file after what it holds"


def a_world_of_one_is_no_special_case(house: House) -> Iterator[str]:
    """In `parallel/` nothing compares a size with 1: an axis of size 1 is a group of one."""
    for module in house.modules:
        if module.room != "parallel":
            continue
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Compare):
                sides = [node.left, *node.comparators]
                if any(map(_is_one, sides)) and any(map(_is_size, sides)):
                    yield f"{module.name}:{node.lineno}: a world of one is not a special case: {ast.unparse(node)}"


def the_loop_names_no_strategy(house: House) -> Iterator[str]:
    """`train/` runs any Plan: it holds no strategy's name, and imports none."""
    for module in house.modules:
        if module.room != "train":
            continue
        for found in module.imports:
            target = house.module_of(found.target)
            if target is not None and target.room == "parallel" and target.name.count(".") > 2:
                yield f"{module.name}:{found.line}: {found.target} is for Plan.build to choose"
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Constant) and node.value in STRATEGIES:
                yield f'{module.name}:{node.lineno}: the strategy "{node.value}" is for Plan.build to choose'


def files_are_small(house: House) -> Iterator[str]:
    """A file is one idea."""
    lengths = {module.name: module.source.count("\n") for module in house.modules if module.tree.body}
    for name, length in lengths.items():
        if length > MOST_LINES:
            yield f"{name}: {length} lines; split it by idea (at most {MOST_LINES})"
    if lengths and median(lengths.values()) > MOST_LINES_MEDIAN:
        yield f"the median file has {median(lengths.values())} lines (at most {MOST_LINES_MEDIAN})"


def modules_say_what_they_are(house: House) -> Iterator[str]:
    """Every module that holds code has a docstring."""
    for module in house.modules:
        if module.tree.body and not ast.get_docstring(module.tree):
            yield f"{module.name}: no docstring"


def _leanings(house: House, module: Module) -> Iterator[tuple[Module, int]]:
    for found in module.imports:
        target = house.module_of(found.target)
        if target is not None:
            yield target, found.line


def _top(target: str) -> str:
    return target.partition(".")[0]


def _library_of_file(module: Module) -> str | None:
    """The heavy library that a file is named after: torch for torch.py and torch_engine.py."""
    first = module.stem.partition("_")[0]
    return next((library for library in HEAVY if library.lower() == first), None)


def _is_one(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value == 1 and node.value is not True


def _is_size(node: ast.expr) -> bool:
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return name in {"size", "world_size", "degree"} or name.endswith("_size")
