"""A checkpoint comes back bit for bit, or is refused with a message; a failed writer never harms an earlier one."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from safetensors.numpy import save_file

from hpctrain.checkpoint import manifest, store
from hpctrain.errors import CheckpointError

DTYPES = ["float16", "float32", "float64", "int8", "uint8", "uint16", "int32", "int64", "bool"]
STATE = {"epoch": 3, "batch": 17, "schedule": "cosine", "lr": 0.1, "seed": 2**63, "order": [1, 2]}


def shards(value: float = 1.0) -> dict[str, dict[str, np.ndarray]]:
    return {
        "model": {"0.weight": np.full((3, 5), value, np.float32), "0.bias": np.arange(5.0)},
        "optimizer": {"step": np.array(7), "m": np.zeros((0, 4), np.float16)},
    }


def value_of(checkpoint: store.Checkpoint | None) -> float:
    """What `shards` was called with; every other number is checked as well."""
    assert checkpoint is not None
    value = float(checkpoint.shards["model"]["0.weight"][0, 0])
    for shard, tensors in shards(value).items():
        for name, array in tensors.items():
            np.testing.assert_array_equal(checkpoint.shards[shard][name], array)
    return value


def leftovers(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir() if path.name.startswith(".")]


def test_everything_comes_back(tmp_path: Path) -> None:
    path = store.write(tmp_path / "new" / "checkpoints", 100, shards(), STATE)
    assert path == tmp_path / "new" / "checkpoints" / "step-00000100"
    assert sorted(file.name for file in path.iterdir()) == [
        "manifest.json",
        "model.safetensors",
        "optimizer.safetensors",
        "state.json",
    ]
    found = store.read(path)
    assert (found.step, found.state, found.path) == (100, STATE, path)
    assert value_of(found) == 1.0
    assert leftovers(path.parent) == []


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    array=st.sampled_from(DTYPES).flatmap(
        lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))
    )
)
def test_any_array_comes_back_bit_for_bit(tmp_path: Path, array: np.ndarray) -> None:
    given_shards = {"s": {"plain": array, "transposed": array.T, "strided": array[..., ::2] if array.ndim else array}}
    found = store.read(store.write(tmp_path, 1, given_shards, {})).shards["s"]
    for name, expected in given_shards["s"].items():
        assert found[name].dtype == expected.dtype
        assert found[name].shape == expected.shape
        assert found[name].tobytes() == expected.tobytes()  # NaN payloads and signed zeros included


def test_big_endian_values_come_back(tmp_path: Path) -> None:
    array = np.arange(5, dtype=">f4")
    np.testing.assert_array_equal(store.read(store.write(tmp_path, 1, {"s": {"x": array}}, {})).shards["s"]["x"], array)


def test_files_have_the_mode_that_the_user_asked_for(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        path = store.write(tmp_path, 1, shards(), STATE)
    finally:
        os.umask(old)
    assert {file.name: oct(file.stat().st_mode & 0o777) for file in path.iterdir()} == dict.fromkeys(
        ["manifest.json", "model.safetensors", "optimizer.safetensors", "state.json"], "0o640"
    )


def test_what_cannot_be_kept_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="finite numbers and strings only"):
        store.write(tmp_path, 1, shards(), {"loss": float("nan")})
    with pytest.raises(CheckpointError, match=r"finite numbers and strings only.*int64"):
        store.write(tmp_path, 1, shards(), {"epoch": np.int64(3)})
    with pytest.raises(CheckpointError, match="__metadata__"):
        store.write(tmp_path, 1, {"s": {"__metadata__": np.zeros(1)}}, {})
    with pytest.raises(CheckpointError, match="complex128"):
        store.write(tmp_path, 1, {"s": {"x": np.zeros(1, complex)}}, {})
    assert list(tmp_path.iterdir()) == []


# Damage


def test_newest_is_none_where_there_is_nothing(tmp_path: Path) -> None:
    assert store.newest(tmp_path) == (None, [])
    assert store.newest(tmp_path / "missing") == (None, [])


def test_a_missing_checkpoint_is_told(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"there is no checkpoint at .*nowhere"):
        store.read(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "state.json", "manifest.json"])
def test_truncation_removal_and_growth_are_found_in_every_file(tmp_path: Path, name: str) -> None:
    store.write(tmp_path, 1, shards(1.0), STATE)
    file = store.write(tmp_path, 2, shards(2.0), STATE) / name
    content = file.read_bytes()

    def expect(reason: str) -> None:
        checkpoint, passed_over = store.newest(tmp_path)
        assert value_of(checkpoint) == 1.0
        assert len(passed_over) == 1
        assert "checkpoint of step 2 passed over" in passed_over[0]
        assert name in passed_over[0]
        assert reason in passed_over[0]

    for length in {0, 1, len(content) // 2, len(content) - 1}:
        file.write_bytes(content[:length])
        expect("is damaged")
    file.write_bytes(content + b"x")
    expect("is damaged")
    file.unlink()
    expect("is missing")
    file.mkdir()
    expect(name)


def is_same_json(one: bytes, other: bytes) -> bool:
    try:
        return bool(json.loads(one) == json.loads(other))
    except ValueError:
        return False


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "state.json", "manifest.json"])
def test_no_flipped_bit_goes_through(tmp_path: Path, name: str) -> None:
    path = store.write(tmp_path, 2, {"model": {"w": np.arange(3.0)}, "optimizer": {}}, STATE)
    content = (path / name).read_bytes()
    for position in range(len(content)):
        flipped = content[:position] + bytes([content[position] ^ 1 << position % 8]) + content[position + 1 :]
        (path / name).write_bytes(flipped)
        if name == "manifest.json" and is_same_json(flipped, content):  # white space changed
            assert store.read(path).state == STATE
        else:
            with pytest.raises(CheckpointError, match=name):
                store.read(path)


def test_a_format_of_the_future_is_told_as_such(tmp_path: Path) -> None:
    path = store.write(tmp_path, 1, shards(), STATE)
    content = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps({**content, "format": 2}))
    with pytest.raises(CheckpointError, match=r"manifest.json has format 2, and this .* reads format 1"):
        store.read(path)


def test_tensors_that_are_not_the_manifests_are_refused(tmp_path: Path) -> None:
    """Files and checksums that agree, of another tensor: the manifest's own list of tensors decides."""
    path = store.write(tmp_path, 1, shards(), STATE)
    lie = {
        "model.safetensors": {"0.weight": np.zeros((5, 3), np.float32), "0.bias": np.arange(5.0)},
        "optimizer.safetensors": shards()["optimizer"],
    }
    (path / "manifest.json").unlink()
    (path / "manifest.json").write_text(json.dumps(manifest.build(path, 1, 1, lie)))
    with pytest.raises(CheckpointError, match=r"model.safetensors holds tensors .*\[3, 5\].* manifest says .*\[5, 3\]"):
        store.read(path)


# Order and pruning


def test_newest_is_the_one_written_last(tmp_path: Path) -> None:
    for step in (100, 200, 300, 150):  # 150: the run was continued from 100
        store.write(tmp_path, step, shards(step), STATE)
    checkpoint, passed_over = store.newest(tmp_path)
    assert checkpoint is not None
    assert (checkpoint.step, passed_over) == (150, [])


def test_prune_keeps_the_newest_and_ignores_what_is_not_a_checkpoint(tmp_path: Path) -> None:
    for step in (1, 2, 3, 4, 5):
        store.write(tmp_path, step, shards(step), STATE)
    (tmp_path / "step-00000005" / "model.safetensors").unlink()
    (tmp_path / "notes").mkdir()
    store.prune(tmp_path, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "notes",
        "step-00000003",
        "step-00000004",
        "step-00000005",
    ]
    assert value_of(store.newest(tmp_path)[0]) == 4
    store.prune(tmp_path, 9)
    assert len(list(tmp_path.iterdir())) == 4
    with pytest.raises(ValueError, match="keep is 0"):
        store.prune(tmp_path, 0)


def test_the_same_step_is_replaced(tmp_path: Path) -> None:
    store.write(tmp_path, 7, shards(1.0), STATE)
    store.write(tmp_path, 7, shards(2.0), STATE)
    assert value_of(store.newest(tmp_path)[0]) == 2.0
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000007"]


# Writers that die or fail


class Killed(BaseException):
    """What a killed process does next: nothing."""


def interrupt_at(call: int, reason: Callable[[], BaseException], dead: bool, patch: pytest.MonkeyPatch) -> list[str]:
    """Let the `call`-th file operation from now on raise; a dead process then does no other. Returns those tried."""
    done: list[str] = []

    def wrap(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            done.append(name)
            if len(done) == call or (dead and len(done) > call):
                raise reason()
            return original(*args, **kwargs)

        return wrapped

    for name in ("rename", "fsync", "open", "chmod", "mkdir"):
        patch.setattr(f"os.{name}", wrap(name, getattr(os, name)))
    patch.setattr("builtins.open", wrap("builtins.open", open))
    patch.setattr("hpctrain.checkpoint.store.save_file", wrap("save_file", save_file))
    patch.setattr("shutil.rmtree", wrap("rmtree", shutil.rmtree))
    return done


def disk_full() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def interruptions(
    existing: list[int], dead: bool, reason: Callable[[], BaseException], root: Path
) -> Iterator[tuple[Path, BaseException | None]]:
    """Write step 2 over and over, interrupted one operation later each time, until it goes through."""
    for call in range(1, 200):
        directory = root / str(call)
        for step in existing:
            store.write(directory, step, shards(1.0), STATE)
        caught: BaseException | None = None
        with pytest.MonkeyPatch.context() as patch:
            done = interrupt_at(call, reason, dead, patch)
            try:
                store.write(directory, 2, shards(2.0), STATE)
            except (Killed, CheckpointError) as error:
                caught = error
        yield directory, caught
        if len(done) < call:
            assert caught is None
            return
    raise AssertionError("the writer never came through")


@pytest.mark.parametrize("existing", [[1], [2], [1, 2]])
def test_a_writer_killed_at_any_operation_leaves_the_old_or_the_new_one(tmp_path: Path, existing: list[int]) -> None:
    outcomes = []
    for directory, _ in interruptions(existing, True, Killed, tmp_path):
        checkpoint, passed_over = store.newest(directory)
        outcomes.append(value_of(checkpoint))
        assert passed_over == []
        store.write(directory, 3, shards(3.0), STATE)  # the next writer settles what is left
        assert value_of(store.newest(directory)[0]) == 3.0
        assert leftovers(directory) == []
        assert all(value_of(store.read(path)) in (1.0, 2.0, 3.0) for path in directory.iterdir())
        assert (directory / f"step-0000000{existing[-1]}").exists()
    assert outcomes == sorted(outcomes)
    assert set(outcomes) == {1.0, 2.0}


@pytest.mark.parametrize("existing", [[1], [2], [1, 2]])
def test_an_operation_that_fails_is_told_and_leaves_no_trace(tmp_path: Path, existing: list[int]) -> None:
    told = 0
    for directory, error in interruptions(existing, False, disk_full, tmp_path):
        checkpoint, passed_over = store.newest(directory)
        assert value_of(checkpoint) in (1.0, 2.0)
        assert passed_over == []
        assert all((directory / f"step-0000000{step}").exists() for step in existing)
        if error is not None:
            told += 1
            assert "cannot write the checkpoint" in str(error)
            assert "step-00000002: No space left on device" in str(error)
            assert "bytes" in str(error)
            assert leftovers(directory) == []
        store.write(directory, 3, shards(3.0), STATE)
        assert leftovers(directory) == []
    assert told > 10


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting a small file system takes root and the right to mount")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_is_told_and_the_earlier_checkpoint_stays(tiny_disk: Path) -> None:
    store.write(tiny_disk, 1, shards(1.0), STATE)
    for array in (np.zeros(100_000), np.zeros(4_000)):  # the disk is full in the first write, or close to the last
        with pytest.raises(CheckpointError, match=r"No space left on device.*needs [\d,]+ bytes, and [\d,]+ are free"):
            store.write(tiny_disk, 2, {"model": {"x": array}, "optimizer": {"x": array}}, STATE)
        assert [path.name for path in tiny_disk.iterdir()] == ["step-00000001"]
        assert value_of(store.newest(tiny_disk)[0]) == 1.0


def test_a_read_only_disk_is_told(tiny_disk: Path) -> None:
    store.write(tiny_disk, 1, shards(1.0), STATE)
    subprocess.run(["mount", "-o", "remount,ro", str(tiny_disk)], check=True)
    with pytest.raises(CheckpointError, match="Read-only file system"):
        store.write(tiny_disk, 2, shards(2.0), STATE)
    with pytest.raises(CheckpointError, match="Read-only file system"):
        store.write(tiny_disk / "deeper", 2, shards(2.0), STATE)
    store.write(tiny_disk.parent / "other", 2, shards(2.0), STATE)
    assert value_of(store.newest(tiny_disk)[0]) == 1.0
    store.prune(tiny_disk, 1)  # nothing to remove, so nothing to complain about


def test_a_path_under_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match=r"file/checkpoints/step-00000001: Not a directory"):
        store.write(tmp_path / "file" / "checkpoints", 1, shards(), STATE)
