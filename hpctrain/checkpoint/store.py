"""Checkpoints on disk: written whole or not at all, and never read back otherwise than they were written.

    checkpoints/
      step-00000100/
        model.safetensors  optimizer.safetensors   one file a shard
        state.json                                 plain numbers and strings
        manifest.json                              what must be there (see `manifest`)
      .step-00000200.1f3a.partial/                 being written, or left by a writer that died
      .step-00000100.9c04.replaced/                moved aside for a new step-00000100, for an instant

A directory appears under its final name by one rename, after every byte of it has been synced. One process writes into
a run's directory (rank 0); any number may read. There is no pickle in here: a checkpoint cannot run code.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from hpctrain.checkpoint import manifest
from hpctrain.errors import CheckpointError

STATE = "state.json"
_SUFFIX = ".safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """One checkpoint, read and verified.

    Attributes:
        step: training steps done when it was written.
        shards: shard name to tensor name to array, of the dtypes and shapes that were written.
        state: what was given as `state`, through JSON (a tuple comes back as a list).
        path: where it lies.
    """

    step: int
    shards: dict[str, dict[str, np.ndarray]]
    state: dict[str, Any]
    path: Path


def write(directory: Path, step: int, shards: Mapping[str, Mapping[str, np.ndarray]], state: Mapping[str, Any]) -> Path:
    """Write the checkpoint of `step` into `directory` (made if need be) and return its path. One rank calls it.

    Arrays may be of any shape and of bool, integer, float or complex64 dtypes. An existing checkpoint of the same
    step is replaced: at every instant the old or the new one is there, whole.

    Raises CheckpointError where the files cannot be written; earlier checkpoints are then as they were.
    """
    final = directory / f"step-{step:08d}"
    partial, aside = _hidden(final, "partial"), _hidden(final, "replaced")
    arrays = {f"{shard}{_SUFFIX}": _contiguous(shards[shard]) for shard in shards}
    text = _encode(state)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _tidy(directory)
        partial.mkdir()
        _fill(partial, step, arrays, text)
        if final.exists():
            os.rename(final, aside)
        os.rename(partial, final)
        _sync(directory)
    except (OSError, SafetensorError) as error:
        needed = len(text) + sum(array.nbytes for shard in arrays.values() for array in shard.values())
        raise CheckpointError(_failure(final, error, needed)) from error
    finally:
        with contextlib.suppress(OSError):
            _tidy(directory)
    return final


def read(path: Path) -> Checkpoint:
    """Read the checkpoint at `path` and check every byte of it against its manifest. Any rank may call it.

    Raises CheckpointError naming the file and what is wrong with it.
    """
    content = manifest.load(path)
    manifest.check_sizes(path, content)
    manifest.check_contents(path, content)
    shards = {}
    for name, entry in content["files"].items():
        if not name.endswith(_SUFFIX):
            continue
        try:
            arrays = load_file(path / name)
        except (OSError, SafetensorError) as error:
            raise CheckpointError(f"{path}: {name} cannot be read: {error}") from error
        manifest.check_tensors(path, name, entry, arrays)
        shards[name.removesuffix(_SUFFIX)] = arrays
    return Checkpoint(content["step"], shards, json.loads((path / STATE).read_bytes()), path)


def newest(directory: Path) -> tuple[Checkpoint | None, list[str]]:
    """The newest complete and undamaged checkpoint in `directory`, None without one, and what was passed over.

    The newest is the one written last: the highest step, unless a run was continued from an earlier one. The second
    value holds a message for each damaged or incomplete checkpoint that was tried before it. It only reads, so every
    rank may call it; where ranks may see a file system differently, let one call it and the others `read` its path.
    """
    passed_over: list[str] = []
    for path in _found(directory):
        try:
            return read(path), passed_over
        except CheckpointError as error:
            passed_over.append(f"checkpoint of step {_step(path)} passed over: {error}")
    return None, passed_over


def prune(directory: Path, keep: int) -> None:
    """Remove all but the `keep` checkpoints written last. One rank calls it.

    A checkpoint that is visibly incomplete does not count and is left for a person to look at.

    Raises ValueError unless keep >= 1, and CheckpointError where one cannot be removed.
    """
    if keep < 1:
        raise ValueError(f"keep is {keep}, and at least 1 checkpoint must be kept")
    try:
        for path in [path for path in _found(directory) if _is_whole(path)][keep:]:
            os.rename(path, _hidden(path, "partial"))
        _tidy(directory)
    except OSError as error:
        raise CheckpointError(f"cannot remove old checkpoints in {directory}: {error.strerror}") from error


def _fill(partial: Path, step: int, arrays: Mapping[str, Mapping[str, np.ndarray]], state: bytes) -> None:
    """Write every file into `partial`, the manifest last, and sync them all."""
    for name, tensors in arrays.items():
        save_file(dict(tensors), partial / name)
        # safetensors makes files that their owner alone can read; the directory's mode follows the user's umask
        os.chmod(partial / name, partial.stat().st_mode & 0o666)
        _sync(partial / name)
    _write_bytes(partial / STATE, state)
    content = manifest.build(partial, step, _next_sequence(partial.parent), arrays)
    _write_bytes(partial / manifest.NAME, json.dumps(content, indent=1).encode())
    _sync(partial)


def _tidy(directory: Path) -> None:
    """Settle what a writer left: a checkpoint moved aside returns unless a new one took its place; the rest goes."""
    for aside in directory.glob(".step-*.replaced"):
        final = _place(aside)
        os.rename(aside, _hidden(final, "partial") if final.exists() else final)
    for partial in directory.glob(".step-*.partial"):
        shutil.rmtree(partial, ignore_errors=True)


def _found(directory: Path) -> list[Path]:
    """Checkpoints in `directory`, newest first; one moved aside counts where nothing took its place."""
    complete = [path for path in directory.glob("step-*") if re.fullmatch(r"step-\d{8,}", path.name)]
    aside = [path for path in directory.glob(".step-*.replaced") if not _place(path).exists()]
    return sorted(complete + aside, key=lambda path: (_sequence(path), _step(path)), reverse=True)


def _sequence(path: Path) -> float:
    """Position of a checkpoint in the order of writing; an unreadable one may be the newest, and is told first."""
    try:
        return int(manifest.load(path)["sequence"])
    except CheckpointError:
        return math.inf


def _next_sequence(directory: Path) -> int:
    return 1 + max((int(order) for order in map(_sequence, _found(directory)) if order < math.inf), default=0)


def _is_whole(path: Path) -> bool:
    try:
        manifest.check_sizes(path, manifest.load(path))
    except CheckpointError:
        return False
    return True


def _hidden(final: Path, kind: str) -> Path:
    return final.with_name(f".{final.name}.{secrets.token_hex(4)}.{kind}")


def _place(aside: Path) -> Path:
    """The final name of a checkpoint that was moved aside."""
    return aside.with_name(aside.name.split(".")[1])


def _step(path: Path) -> int:
    return int(path.name.lstrip(".").split(".")[0].removeprefix("step-"))


def _contiguous(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The tensors with their values in C order, which is how a file holds them."""
    if "__metadata__" in tensors:
        raise CheckpointError('a tensor cannot be called "__metadata__": safetensors keeps that name for itself')
    return {name: np.asarray(array, order="C") for name, array in tensors.items()}


def _encode(state: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(dict(state), indent=1, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"the state of a checkpoint holds finite numbers and strings only: {error}") from None


def _write_bytes(path: Path, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(path: Path) -> None:
    """Have the operating system put a file, or the names in a directory, on the disk before it goes on."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _failure(final: Path, error: Exception, needed: int) -> str:
    reason = str(error)
    if isinstance(error, OSError) and error.strerror:
        reason = f"{error.strerror} ({Path(error.filename).name})" if error.filename else error.strerror
    free = shutil.disk_usage(next(path for path in final.absolute().parents if path.exists())).free
    return (
        f"cannot write the checkpoint {final}: {reason}; it needs {needed:,} bytes, and {free:,} are free there. "
        "Earlier checkpoints are as they were"
    )
