from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_info

from hpctrain.launch import cores
from hpctrain.launch.cores import cores_of_node, cpu_quota, set_threads, share_of_cores, usable_cores

NODES = st.lists(st.frozensets(st.integers(0, 15), min_size=1), min_size=1, max_size=12)


@given(NODES)
def test_shares_are_at_least_one_and_at_most_what_the_rank_may_use(affinities: list[frozenset[int]]) -> None:
    for index, own in enumerate(affinities):
        assert 1 <= share_of_cores(affinities, index) <= len(own)


@given(NODES)
def test_nobody_is_given_a_core_twice(affinities: list[frozenset[int]]) -> None:
    """Where every rank's share is a whole core or more, all shares together fit on the node."""
    shares = [share_of_cores(affinities, index) for index in range(len(affinities))]
    exact = [sum(1 / sum(core in other for other in affinities) for core in own) for own in affinities]
    if all(share >= 1 for share in exact):
        assert sum(shares) <= len(frozenset().union(*affinities))


@given(st.integers(1, 64), st.integers(1, 64))
def test_equal_ranks_share_equally(num_cores: int, ranks: int) -> None:
    node = [frozenset(range(num_cores))] * ranks
    assert {share_of_cores(node, index) for index in range(ranks)} == {max(1, num_cores // ranks)}


@given(st.integers(1, 8), st.integers(1, 8))
def test_ranks_with_cores_of_their_own_use_them_all(ranks: int, each: int) -> None:
    node = [frozenset(range(index * each, (index + 1) * each)) for index in range(ranks)]
    assert [share_of_cores(node, index) for index in range(ranks)] == [each] * ranks


def test_usable_cores_are_those_of_the_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "cpu_quota", lambda: None)
    assert usable_cores() == os.sched_getaffinity(0)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3, 1, 7})
    monkeypatch.setattr(cores, "cpu_quota", lambda: 2)
    assert usable_cores() == {1, 3}


def test_the_node_has_what_the_launcher_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "cpu_quota", lambda: None)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3} if pid else {2})
    assert cores_of_node() == 4

    def hidden(pid: int) -> set[int]:
        if pid:
            raise PermissionError
        return {2}

    monkeypatch.setattr(os, "sched_getaffinity", hidden)
    assert cores_of_node() == 1


@pytest.mark.parametrize(
    ("limits", "group", "expected"),
    [
        ({}, "/", None),
        ({".": "max 100000"}, "/", None),
        ({".": "200000 100000"}, "/", 2),
        ({".": "150000 100000"}, "/", 2),
        ({".": "5000 100000"}, "/", 1),
        ({"job": "800000 100000", "job/step": "max 100000"}, "/job/step", 8),
        ({"job": "800000 100000", "job/step": "300000 100000"}, "/job/step", 3),
        ({"job": "nonsense"}, "/job", None),
    ],
)
def test_cpu_quota(tmp_path: Path, limits: dict[str, str], group: str, expected: int | None) -> None:
    membership = tmp_path / "membership"
    membership.write_text(f"4:memory:/elsewhere\n0::{group}\n")
    for folder, limit in limits.items():
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / "cpu.max").write_text(limit + "\n")
    assert cpu_quota(tmp_path, membership) == expected
    assert cpu_quota(tmp_path, tmp_path / "missing") is None


def test_set_threads_reaches_the_loaded_libraries() -> None:
    import numpy as np

    assert np.zeros(1).size == 1
    before = {pool["filepath"]: pool["num_threads"] for pool in threadpool_info()}
    try:
        set_threads(1)
        assert {pool["num_threads"] for pool in threadpool_info()} <= {1}
    finally:
        set_threads(max([1, *before.values()]))
