"""The time before the first step, divided."""

from collections.abc import Iterator

import pytest

from hpctrain.launch.startup import PARTS, Startup, slowest, words


def test_the_parts_add_up_to_the_age_of_the_process() -> None:
    ages: Iterator[float] = iter([1.5, 2.0, 2.25, 4.0])
    startup = Startup(lambda: next(ages))
    for part in ("import", "mpi_init", "data", "import"):
        startup.end(part)
    assert startup.total == pytest.approx(4.0)
    assert startup.seconds == pytest.approx(
        {**dict.fromkeys(PARTS, 0.0), "import": 3.25, "mpi_init": 0.5, "data": 0.25}
    )
    assert words(startup.seconds) == "import 3.25, mpi_init 0.50, data 0.25"


def test_it_counts_from_the_start_of_the_process() -> None:
    startup = Startup()
    startup.end("import")
    first = startup.total
    startup.end("data")
    assert 0 < first <= startup.total < 3600


def test_of_each_part_the_slowest_rank_counts() -> None:
    ranks = [{**dict.fromkeys(PARTS, 1.0), "import": 2.0}, {**dict.fromkeys(PARTS, 0.5), "model": 3.0}]
    assert slowest(ranks) == {**dict.fromkeys(PARTS, 1.0), "import": 2.0, "model": 3.0}
