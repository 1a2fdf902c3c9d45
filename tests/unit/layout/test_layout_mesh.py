import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpctrain.errors import MeshError
from hpctrain.layout.mesh import Mesh

meshes = st.lists(st.integers(1, 5), min_size=1, max_size=3).map(
    lambda degrees: Mesh(dict(zip(["data", "pipeline", "tensor"], degrees, strict=False)))
)


@given(meshes)
def test_every_rank_has_one_place_and_every_place_one_rank(mesh: Mesh) -> None:
    places = [mesh.coordinates(rank) for rank in range(mesh.size)]
    assert [mesh.rank(place) for place in places] == list(range(mesh.size))
    assert len({tuple(place.items()) for place in places}) == mesh.size


@given(meshes)
def test_groups_of_an_axis_share_out_the_ranks(mesh: Mesh) -> None:
    for axis, degree in mesh.axes.items():
        groups = {tuple(mesh.group(axis, rank)) for rank in range(mesh.size)}
        assert all(len(group) == degree for group in groups)
        assert sorted(rank for group in groups for rank in group) == list(range(mesh.size))


def test_a_free_axis_takes_what_is_left() -> None:
    assert Mesh.fit(12, {"data": 0, "pipeline": 3}).axes == {"data": 4, "pipeline": 3}


@pytest.mark.parametrize(
    ("world_size", "asked", "words"),
    [
        (
            8,
            {"data": 2, "pipeline": 3},
            r"data\(2\) x pipeline\(3\) = 6 ranks, but the world has 8: use mpirun -n 6, or set parallel.data=...",
        ),
        (8, {"data": 0, "pipeline": 3}, r"pipeline\(3\) = 3 ranks do not divide the world of 8"),
        (8, {"data": 0, "pipeline": 0}, "give all of them but one"),
    ],
)
def test_a_mesh_that_does_not_fit_is_refused_with_the_numbers(world_size: int, asked: dict, words: str) -> None:
    with pytest.raises(MeshError, match=words):
        Mesh.fit(world_size, asked)


def test_no_such_place() -> None:
    mesh = Mesh({"data": 2})
    with pytest.raises(ValueError, match="no rank 2"):
        mesh.coordinates(2)
    with pytest.raises(ValueError, match="no place 2 on the data axis"):
        mesh.rank({"data": 2})
