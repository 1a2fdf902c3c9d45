"""Parallel tests: every rank of `mpirun -n N python -m pytest tests/parallel --ranks N` runs every test.

So does every rank of `python -m hpctrain.local -n N -m pytest tests/parallel --ranks N`, without MPI.

A test takes the fixture `group` and must hold at any world size; `@pytest.mark.min_ranks(n)` leaves it out of smaller
worlds, and `@pytest.mark.needs_mpi` out of those without MPI. Cases of `@pytest.mark.many_cases` are shared out over
the worlds that they fit into where --share-out is given, as `make test` does.

Rank 0 shows pytest's output. What goes wrong on any rank ends all of them, with a message: the others would wait in
their next collective for ever. A skipped test is a failure here, since nobody would miss it.
"""

from __future__ import annotations

import faulthandler
import os
import sys
from collections.abc import Generator
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import pytest
from hypothesis import Phase, settings

import hpctrain

if TYPE_CHECKING:
    from hpctrain import Group

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


class World(NamedTuple):
    """One of the worlds that tests run in."""

    has_mpi: bool
    size: int


LARGEST_WORLD = 4  # of those that `make test` runs
WORLDS = [World(has_mpi, size) for size in range(1, LARGEST_WORLD + 1) for has_mpi in (True, False)]
HANG_SECONDS = 120  # no test takes nearly that long: after it, every rank says where it stands and ends

# Ranks that draw different examples, or look again for a smaller one that fails, would call different collectives.
settings.register_profile(
    "parallel", deadline=None, derandomize=True, database=None, phases=[Phase.explicit, Phase.generate]
)

GROUP = pytest.StashKey["Group"]()
STDERR = pytest.StashKey[int]()  # the real standard error: during a test, pytest keeps what goes to descriptor 2


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--ranks", type=int, help="world size that the launcher was asked for")
    parser.addoption("--share-out", action="store_true", help="run this world's share of what has many cases")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("parallel")
    config.addinivalue_line("markers", "needs_mpi: a parallel test of MPI itself; left out of local ranks")
    config.stash[STDERR] = os.dup(2)
    group = config.stash[GROUP] = hpctrain.init()
    asked = config.getoption("--ranks", None) or group.size
    if group.size != asked:  # e.g. worlds of one, because the launcher belongs to another MPI
        raise pytest.UsageError(f"started with {asked} ranks, and found a world of {group.size} ({group.comm.library})")
    if group.rank != 0:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - the terminal reporter keeps it to the end


@pytest.fixture(scope="session")
def group(pytestconfig: pytest.Config) -> Group:
    """All ranks of the job."""
    return pytestconfig.stash[GROUP]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs more ranks, or MPI."""
    group = config.stash[GROUP]
    here = World(group.comm.native is not None, group.size)
    left_out = [
        item
        for number, item in enumerate(items)
        if not _fits(item, here) or (config.getoption("--share-out") and _is_of_another(item, number, here))
    ]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Ranks that run different tests would wait for each other."""
    group = session.config.stash[GROUP]
    names = [item.nodeid for item in session.items]
    for rank, others in enumerate(group.comm.gather_objects(names)):
        if names != others:
            differ = sorted(set(names) ^ set(others)) or "the same tests in another order"
            raise pytest.UsageError(f"rank {group.rank} and rank {rank} collected different tests: {differ}")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """End the world, with every thread's traceback, when a test hangs."""
    faulthandler.dump_traceback_later(HANG_SECONDS, exit=True, file=item.config.stash[STDERR])
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """A file that cannot be imported, or that skips itself."""
    return _judge(collector.config, (yield))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that fails, or is skipped, in its set-up, its call or its tear-down."""
    return _judge(item.config, (yield))


def _judge(config: pytest.Config, report: Report) -> Report:
    """A skip is a failure; and in a world of several ranks, a failure is the end."""
    if report.skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
        report.outcome = "failed"
        report.longrepr = f"Nobody would miss a parallel test that is skipped; see min_ranks. {reason}"
    group = config.stash[GROUP]
    if report.failed and group.size > 1:
        title = f" rank {group.rank} of {group.size}: {report.nodeid} failed ({report.when}) "
        captured = "".join(f"\n--- {name}\n{text}" for name, text in report.sections)
        message = f"\n{title:=^120}\n{report.longreprtext}{captured}\n"
        os.write(config.stash[STDERR], message.encode())  # in one piece: ranks that fail together stay readable
        group.comm.abort(1)
    return report


def _fits(item: pytest.Item, world: World) -> bool:
    return _min_ranks(item) <= world.size and (world.has_mpi or item.get_closest_marker("needs_mpi") is None)


def _is_of_another(item: pytest.Item, number: int, here: World) -> bool:
    """Whether a case is shared out to another world; `number` is its place among all that were found."""
    fitting = [world for world in WORLDS if _fits(item, world)]
    return item.get_closest_marker("many_cases") is not None and fitting[number % len(fitting)] != here


def _min_ranks(item: pytest.Item) -> int:
    marker = item.get_closest_marker("min_ranks")
    if marker is None:
        return 1
    if marker.kwargs or len(marker.args) != 1 or not 1 < marker.args[0] <= LARGEST_WORLD:
        raise pytest.UsageError(f"{item.nodeid}: min_ranks takes one number from 2 to {LARGEST_WORLD}")
    return int(marker.args[0])
