from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpctrain.errors import EnvironmentProblem, HpctrainError, InputError, MeshError, SettingsError
from hpctrain.job.load import load_job
from hpctrain.launch.slurm.batch import Batch, check, cores_per_rank, first_element, num_gpus, seconds
from hpctrain.launch.slurm.site import Site

CPU_JOB, GPU_JOB = load_job(), load_job(None, ["run.device=cuda"])
EIGHT = Batch(nodes=2, ranks_per_node=4, time="1:00:00")


@given(st.integers(0, 30), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59))
def test_times_as_slurm_reads_them(d: int, h: int, m: int, s: int) -> None:
    day, hour, minute = 86400, 3600, 60
    assert seconds(f"{m}") == m * minute
    assert seconds(f"{m}:{s}") == m * minute + s
    assert seconds(f"{h}:{m}:{s:02d}") == h * hour + m * minute + s
    assert seconds(f"{d}-{h}") == d * day + h * hour
    assert seconds(f"{d}-{h}:{m:02d}") == d * day + h * hour + m * minute
    assert seconds(f"{d}-{h:02d}:{m}:{s}") == d * day + h * hour + m * minute + s


@pytest.mark.parametrize("time", ["2h", "", "1:2:3:4", "1-", "-1", "1:", "1.5", "1-2:3:4:5", " 1", "1\n", "²"])
def test_other_times_are_refused_with_those_that_are_allowed(time: str) -> None:
    with pytest.raises(InputError, match="hours:minutes:seconds, days-hours"):
        seconds(time)


@pytest.mark.parametrize(("array", "first"), [("0-9", "0"), ("4,7", "4"), ("12", "12"), ("3-9:2%4", "3"), ("5%1", "5")])
def test_the_first_element_of_an_array(array: str, first: str) -> None:
    assert first_element(array) == first


@pytest.mark.parametrize("array", ["", "a", "-3", "1x", "%2"])
def test_what_is_no_array_is_refused(array: str) -> None:
    with pytest.raises(InputError, match="is no array"):
        first_element(array)


@pytest.mark.parametrize(
    ("asked", "job", "has", "gpus"),
    [
        (None, CPU_JOB, None, 0),
        (None, CPU_JOB, 4, 0),
        (None, GPU_JOB, 4, 4),
        (2, GPU_JOB, 4, 2),
        (2, GPU_JOB, None, 2),
        (1, CPU_JOB, 4, 1),  # run.device is "auto"
        (0, GPU_JOB, 4, 0),
        (0, CPU_JOB, 0, 0),
    ],
)
def test_gpus_of_a_node(asked: int | None, job: object, has: int | None, gpus: int) -> None:
    assert num_gpus(asked, job, Site(gpus_per_node=has)) == gpus


@pytest.mark.parametrize(
    ("asked", "job", "has", "message"),
    [
        (4, CPU_JOB, 0, "--gpus-per-node 4 asks for GPUs, and the site has none"),
        (None, GPU_JOB, 0, "the job asks for GPUs, and the site has none"),
        (8, GPU_JOB, 4, "--gpus-per-node 8 is more than the 4 of a node"),
        (None, GPU_JOB, None, "say how many there are on a node with --gpus-per-node"),
    ],
)
def test_gpus_that_are_not_there(asked: int | None, job: object, has: int | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        num_gpus(asked, job, Site(gpus_per_node=has))


@pytest.mark.parametrize(("cores", "ranks", "each"), [(64, 8, 8), (64, 3, 21), (4, 4, 1), (0, 100, 0)])
def test_a_rank_gets_its_share_of_the_cores(cores: int, ranks: int, each: int) -> None:
    assert cores_per_rank(ranks, Site(cores_per_node=cores)) == each


def test_more_ranks_than_cores_are_refused() -> None:
    with pytest.raises(EnvironmentProblem, match="--ranks-per-node 5 is more than the 4 cores"):
        cores_per_rank(5, Site(cores_per_node=4))


def test_what_fits_passes() -> None:
    check(EIGHT, CPU_JOB)
    check(EIGHT, load_job(None, ["parallel.data=8"]))
    check(replace(EIGHT, time=""), CPU_JOB)
    check(replace(EIGHT, time="2:01"), CPU_JOB)


@pytest.mark.parametrize(
    ("batch", "settings", "kind", "message"),
    [
        (EIGHT, ["parallel.data=3"], MeshError, "--nodes 2 --ranks-per-node 4 are 8 ranks: data(3) = 3 ranks"),
        (EIGHT, ["run.local_ranks=8"], SettingsError, "run.local_ranks is 8, and Slurm starts the ranks"),
        (
            replace(EIGHT, time="2:00"),
            [],
            InputError,
            "--time 2:00 is 120 s, and the job is asked to stop 120 s before",
        ),
        (replace(EIGHT, time="2h"), [], InputError, '"2h" is no time'),
        (replace(EIGHT, array="1-2"), ["run.dir=a/%a"], InputError, "run.dir is a/%a, and each element has its own"),
    ],
)
def test_what_does_not_fit_is_refused_before_it_waits(
    batch: Batch, settings: list[str], kind: type[HpctrainError], message: str
) -> None:
    with pytest.raises(kind) as refused:
        check(batch, load_job(None, settings))
    assert message in str(refused.value)
