"""NumPy's files: pairs, folders, archives; mapped where they can be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpctrain.data.sources.npy import open_source
from hpctrain.data.sources.source import Request
from hpctrain.errors import DataError

Open = Callable[..., Any]
X = np.random.default_rng(0).normal(size=(12, 3, 2)).astype(np.float32)
Y = np.arange(12) % 3
ROWS = np.array([7, 0, 7, 11])


def check(source: Any) -> None:
    assert len(source) == 12
    inputs, targets = source.read(ROWS)
    np.testing.assert_array_equal(inputs, X[ROWS])
    np.testing.assert_array_equal(targets, Y[ROWS])
    assert source.read(ROWS[:0])[0].shape == (0, 3, 2)


def is_mapped(array: Any) -> bool:
    return isinstance(array, np.memmap) or (isinstance(array, np.ndarray) and is_mapped(array.base))


@pytest.mark.parametrize(
    ("x", "y"),
    [("x", "y"), ("X_train", "y_train"), ("images", "labels"), ("features", "target"), ("t_inputs", "t_targets")],
)
def test_a_pair_is_found_by_its_names(tmp_path: Path, x: str, y: str) -> None:
    np.save(tmp_path / f"{x}.npy", X)
    np.save(tmp_path / f"{y}.npy", Y)
    source = open_source(Request(str(tmp_path / f"{x}.npy")))
    check(source)
    assert is_mapped(source._features[x])


def test_a_pair_by_name_and_a_folder(tmp_path: Path) -> None:
    np.save(tmp_path / "measured.npy", X)
    np.save(tmp_path / "kind.npy", Y)
    check(open_source(Request(str(tmp_path / "measured.npy"), target="kind")))
    check(open_source(Request(str(tmp_path), target="kind")))
    with pytest.raises(DataError, match=r"measured.npy are not beside it \(looked for label.npy, y.npy"):
        open_source(Request(str(tmp_path / "measured.npy")))
    with pytest.raises(DataError, match='"kinds"; the nearest is "kind"'):
        open_source(Request(str(tmp_path / "measured.npy"), target="kinds"))


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_an_archive_is_mapped_unless_compressed(tmp_path: Path, save: Callable[..., None]) -> None:
    save(tmp_path / "a.npz", x=X, y=Y)
    source = open_source(Request(str(tmp_path / "a.npz")))
    check(source)
    assert is_mapped(source._features["x"]) == (save is np.savez)
    assert len(source.notes) == (save is np.savez_compressed)
    assert all("a.npz: x, y compressed, so every rank reads the whole" in note for note in source.notes)


def test_fortran_order_and_arrays_without_samples(tmp_path: Path, open_one: Open) -> None:
    np.savez(tmp_path / "f.npz", x=np.asfortranarray(X), y=Y)
    check(open_source(Request(str(tmp_path / "f.npz"))))
    np.savez(tmp_path / "none.npz", x=X[:0], y=Y[:0])
    with pytest.raises(DataError, match=r"none.npz holds no samples"):
        open_one(source="npy", path=str(tmp_path / "none.npz"))


def test_several_arrays_are_joined(tmp_path: Path) -> None:
    age = np.arange(12)
    np.savez(tmp_path / "a.npz", x=X, age=age, label=Y)
    source = open_source(Request(str(tmp_path / "a.npz"), features=("age", "x")))
    np.testing.assert_array_equal(source.read(ROWS)[0], np.column_stack([age, X.reshape(12, 6)])[ROWS])
    assert source.read(ROWS[:0])[0].shape == (0, 7)
    assert (source.position_name(0), source.position_name(6)) == ('array "age"', 'array "x"')


def test_training_and_test_arrays_side_by_side(tmp_path: Path, open_one: Open, everything: Open) -> None:
    path = str(tmp_path / "mnist.npz")
    np.savez(path, x_train=X, y_train=Y, x_test=X[:5] + 1, y_test=Y[:5])
    for names in ({}, {"features": ["x"], "target": "y"}, {"features": ["x_train"], "target": "y_train"}):
        opened = open_one("float32", source="npy", path=path, test_path=path, normalize="none", **names)
        np.testing.assert_array_equal(everything([opened])[1], X)
        np.testing.assert_array_equal(everything([opened], "test")[1], X[:5] + 1)


def test_words_and_columns_as_targets(tmp_path: Path, open_one: Open) -> None:
    np.savez(tmp_path / "a.npz", x=X, y=np.array(["cat", "dog", "cow"], dtype="S3")[Y][:, None])
    train = open_one(source="npy", path=str(tmp_path / "a.npz")).train
    assert train.class_names == ("cat", "cow", "dog")
    assert train.read(np.arange(3))[1].shape == (3,)


def test_a_regression_of_two_values(tmp_path: Path, open_one: Open) -> None:
    np.savez(tmp_path / "a.npz", x=X, y=np.ones((12, 2), np.float32))
    train = open_one(source="npy", path=str(tmp_path / "a.npz")).train
    assert (train.num_classes, train.num_outputs, train.class_names) == (None, 2, ())
    targets = train.read(np.arange(3))[1]
    assert (targets.shape, targets.dtype) == ((3, 2), np.float64)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": X, "y": Y[:5]}, r"differ in their numbers of samples \(x 12, y 5\)"),
        ({"x": X}, "has no array called label, y, labels, target: name the array to predict in data.target. It has: x"),
        ({"y": Y}, 'has nothing to learn from: its only array is the target, "y"'),
        ({"x": X.astype(complex), "y": Y}, 'array "x" is of complex128; inputs are real numbers'),
        ({"x": X, "y": Y.astype(complex)}, 'array "y" is of complex128, which is no target'),
        ({"x": X, "y": np.eye(12, dtype=int)}, r'targets "y" are of int64 and shape \[12, 12\]; classes are one'),
        ({"x": X, "y": np.array(3)}, '"y" is a single value'),
        ({"x": X, "y": np.array([{}] * 12)}, "it holds Python objects"),
    ],
)
def test_arrays_that_do_not_fit(tmp_path: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=message):
        open_source(Request(str(tmp_path / "a.npz")))


def test_files_that_are_something_else(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_text("1,2,3")
    with pytest.raises(DataError, match=r"a.npz is neither a .npy file nor an .npz archive"):
        open_source(Request(str(tmp_path / "a.npz")))
    np.save(tmp_path / "y.npy", Y)
    (tmp_path / "x.npy").write_text("1,2,3")
    with pytest.raises(DataError, match=r"x.npy cannot be read as a NumPy array"):
        open_source(Request(str(tmp_path / "x.npy")))
    np.save(tmp_path / "x.npy", X)
    (tmp_path / "x.npy").write_bytes((tmp_path / "x.npy").read_bytes()[:-9])
    with pytest.raises(DataError, match=r"x.npy cannot be read as a NumPy array: .*"):
        open_source(Request(str(tmp_path / "x.npy")))


def test_training_and_test_data_must_have_one_shape(tmp_path: Path, open_one: Open) -> None:
    np.savez(tmp_path / "a.npz", x=X, y=Y)
    np.savez(tmp_path / "b.npz", x=X[:, :2], y=Y)
    with pytest.raises(DataError, match=r"training and test samples differ: .*\[3, 2\] and .*b.npz of shape \[2, 2\]"):
        open_one(source="npy", path=str(tmp_path / "a.npz"), test_path=str(tmp_path / "b.npz"))


def test_many_whole_numbers_as_targets_are_worth_a_note(tmp_path: Path, open_one: Open) -> None:
    np.savez(tmp_path / "a.npz", x=np.ones((2000, 1)), y=np.arange(2000) * 50)
    assert "2,000 different whole numbers" in open_one(source="npy", path=str(tmp_path / "a.npz")).report[0]
