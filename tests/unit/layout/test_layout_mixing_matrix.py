"""A matrix from a file is read as it stands, and refused where ranks would not come to agree."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpctrain.errors import SettingsError
from hpctrain.layout.mixing import second_eigenvalue
from hpctrain.layout.mixing_matrix import Stochastic, check_matrix, read_matrix

RING = np.array([[2, 1, 0, 1], [1, 2, 1, 0], [0, 1, 2, 1], [1, 0, 1, 2]]) / 4
# Rank 0 tells 1 and 2, both tell 0: columns sum to 1, rows do not.
ONE_WAY = np.array([[0.5, 0.5, 1.0], [0.25, 0.5, 0.0], [0.25, 0.0, 0.0]])


@st.composite
def mixtures_of_permutations(draw: st.DrawFn) -> np.ndarray:
    """Every doubly stochastic matrix is such a mixture (Birkhoff); some of these do not make ranks agree."""
    size = draw(st.integers(1, 6))
    orders = draw(st.lists(st.permutations(range(size)), min_size=1, max_size=4))
    shares = np.array(draw(st.lists(st.integers(1, 9), min_size=len(orders), max_size=len(orders))), dtype=float)
    return sum(share * np.eye(size)[order] for share, order in zip(shares / shares.sum(), orders, strict=True))


@given(mixtures_of_permutations())
def test_a_matrix_is_taken_where_its_second_eigenvalue_is_below_1(matrix: np.ndarray) -> None:
    if second_eigenvalue(matrix) < 1 - 1e-6:
        check_matrix(matrix, len(matrix), Stochastic.DOUBLY)
    else:
        with pytest.raises(SettingsError, match=r"never come to|swap their weights"):
            check_matrix(matrix, len(matrix), Stochastic.DOUBLY)


@given(st.integers(1, 6).flatmap(lambda n: st.lists(st.integers(0, 3), min_size=n * n, max_size=n * n)))
def test_for_push_sum_columns_do(numbers: list[int]) -> None:
    size = round(len(numbers) ** 0.5)
    matrix = np.array(numbers, dtype=float).reshape(size, size)
    matrix[0] += matrix.sum(axis=0) == 0
    matrix /= matrix.sum(axis=0)
    after_long = np.linalg.matrix_power(matrix, 2**12)
    if (after_long > 0).all():  # every rank hears every other at one time
        check_matrix(matrix, size, Stochastic.COLUMNS)
    else:
        with pytest.raises(SettingsError, match=r"never come to|swap their weights"):
            check_matrix(matrix, size, Stochastic.COLUMNS)


@given(mixtures_of_permutations(), st.sampled_from([".npy", ",", " ", ", "]))
def test_a_file_gives_back_the_numbers(tmp_path_factory: pytest.TempPathFactory, matrix: np.ndarray, kind: str) -> None:
    agreeing = 0.5 * matrix + 0.5 / len(matrix)
    path = tmp_path_factory.mktemp("mixing") / ("w.npy" if kind == ".npy" else "w.csv")
    if kind == ".npy":
        np.save(path, agreeing)
    else:
        path.write_text("\n".join(kind.join(map(repr, row)) for row in agreeing.tolist()))
    np.testing.assert_array_equal(read_matrix(path, len(agreeing), Stochastic.DOUBLY), agreeing)


def test_a_text_file_may_hold_comments_empty_lines_and_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "w.txt"
    path.write_text("\ufeff# two ranks\n0.75, 0.25  # rank 0\n\n  .25\t75e-2\n", encoding="utf-8")
    np.testing.assert_array_equal(read_matrix(path, 2, Stochastic.DOUBLY), [[0.75, 0.25], [0.25, 0.75]])


def test_numpy_files_may_hold_integers(tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", np.array([[1]]))
    assert read_matrix(tmp_path / "w.npy", 1, Stochastic.DOUBLY).dtype == np.float64


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1 0\n0 x", "line 2: could not convert string to float: 'x'"),
        ("1 0\n\n0 1 0", "line 3 has 3 numbers, and the first row 2"),
        ("", "2 ranks need 2 x 2 weights, and it holds 0"),
        ("0.5 0.25 0.25\n0.25 0.5 0.25", "2 ranks need 2 x 2 weights, and it holds 2 x 3"),
        ("nan 0\n0 1", r"the weight that rank 0 gives to rank 0 \(row 0, column 0, counted from 0\) is nan"),
        ("1 0\n0 inf", r"rank 1 gives to rank 1 .* is inf: weights are finite and not negative"),
        ("1 0\n1.5 -0.5", r"rank 1 gives to rank 1 .* is -0.5: weights are finite and not negative"),
        ("\xff", "codec can't decode"),
    ],
)
def test_a_text_file_is_refused_with_what_is_wrong(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "w.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(SettingsError, match=rf"parallel\.mixing_matrix .*w\.csv: .*{words}"):
        read_matrix(tmp_path / "w.csv", 2, Stochastic.DOUBLY)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.array([[None]]), "allow_pickle=False"),
        (np.array([["1"]]), "it holds <U1, and weights are real numbers"),
        (np.array([[1j]]), "it holds complex128, and weights are real numbers"),
        (np.array(1.0), "1 ranks need 1 x 1 weights, and it holds a single number"),
    ],
)
def test_a_numpy_file_is_refused_with_what_is_wrong(tmp_path: Path, array: np.ndarray, words: str) -> None:
    np.save(tmp_path / "w.npy", array)
    with pytest.raises(SettingsError, match=rf"parallel\.mixing_matrix .*w\.npy: .*{words}"):
        read_matrix(tmp_path / "w.npy", 1, Stochastic.DOUBLY)


@pytest.mark.parametrize(
    "damage", [lambda whole: whole[:-8], lambda whole: whole[:20], lambda whole: b"PK\3\4" + whole]
)
def test_a_damaged_numpy_file_is_refused(tmp_path: Path, damage) -> None:
    path = tmp_path / "w.npy"
    np.save(path, RING)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(SettingsError, match=r"parallel\.mixing_matrix .*w\.npy: "):
        read_matrix(path, 4, Stochastic.DOUBLY)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"parallel\.mixing_matrix .*w\.csv: .*No such file"):
        read_matrix(tmp_path / "w.csv", 2, Stochastic.DOUBLY)


@pytest.mark.parametrize("stochastic", Stochastic)
def test_sums_may_miss_1_by_what_rounding_makes(stochastic: Stochastic) -> None:
    check_matrix(RING * (1 + 0.9e-8), 4, stochastic)
    with pytest.raises(SettingsError, match=r"0 \(counted from 0\) sums to 1.00000002"):
        check_matrix(RING * (1 + 2e-8), 4, stochastic)


def test_the_first_bad_row_or_column_is_named_with_its_sum() -> None:
    row, column = RING.copy(), RING.copy()
    row[2, 1] += 0.125
    with pytest.raises(
        SettingsError, match=r"^row 2 \(counted from 0\) sums to 1.125; every row and every column .*1e-08$"
    ):
        check_matrix(row, 4, Stochastic.DOUBLY)
    column[2] = [0.25, 0, 0.5, 0.25]
    with pytest.raises(SettingsError, match=r"^column 0 \(counted from 0\) sums to 1.25; every row and every column"):
        check_matrix(column, 4, Stochastic.DOUBLY)
    with pytest.raises(SettingsError, match=r"^column 1 \(counted from 0\) sums to 1.125; every column has"):
        check_matrix(row, 4, Stochastic.COLUMNS)


def test_a_directed_matrix_is_for_push_sum() -> None:
    check_matrix(ONE_WAY, 3, Stochastic.COLUMNS)
    with pytest.raises(
        SettingsError, match=r'^row 0 .* sums to 2; .*columns do, and parallel.gossip="push_sum" needs no more'
    ):
        check_matrix(ONE_WAY, 3, Stochastic.DOUBLY)


def test_ranks_that_never_hear_of_others_are_named() -> None:
    apart = np.kron(np.eye(2), np.full((2, 2), 0.5))
    with pytest.raises(
        SettingsError, match="the weights of ranks 2, 3 never come to ranks 0, 1, in however many rounds"
    ):
        check_matrix(apart, 4, Stochastic.DOUBLY)
    crowd = np.eye(20)
    with pytest.raises(
        SettingsError, match="weights of ranks 1, 2, 3, 4, 5, 6, 7, 8 and 11 more never come to rank 0,"
    ):
        check_matrix(crowd, 20, Stochastic.DOUBLY)


@pytest.mark.parametrize(("mute", "deaf"), [(0, 1), (1, 0)])
def test_one_way_only_is_not_enough_for_push_sum(mute: int, deaf: int) -> None:
    """`deaf` tells `mute`, who keeps everything."""
    matrix = np.zeros((2, 2))
    matrix[mute] = [0.5, 0.5]
    matrix[mute, mute], matrix[deaf, deaf] = 1.0, 0.5
    with pytest.raises(SettingsError, match=f"the weights of rank {mute} never come to rank {deaf},"):
        check_matrix(matrix, 2, Stochastic.COLUMNS)


def test_a_weight_below_the_tolerance_joins_nobody() -> None:
    almost_apart = np.array([[1 - 1e-9, 1e-9], [1e-9, 1 - 1e-9]])
    with pytest.raises(SettingsError, match="the weights of rank 1 never come to rank 0"):
        check_matrix(almost_apart, 2, Stochastic.DOUBLY)


def test_ranks_that_only_swap_are_refused() -> None:
    circle = np.roll(np.eye(3), 1, axis=1)
    with pytest.raises(SettingsError, match=r"3 groups that swap their weights for ever .* one is rank 0. Give a rank"):
        check_matrix(circle, 3, Stochastic.DOUBLY)
    two_sides = np.kron(np.full((2, 2), 0.5), np.array([[0, 1], [1, 0]]))
    with pytest.raises(SettingsError, match=r"2 groups .* one is ranks 0, 2"):
        check_matrix(two_sides, 4, Stochastic.DOUBLY)
