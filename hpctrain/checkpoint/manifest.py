"""The manifest of a checkpoint: what its directory must hold, to the byte.

`manifest.json` is the last file written into a checkpoint, so a directory without one is incomplete:

    format    version of this layout
    step      training steps done
    sequence  1 for the first checkpoint written into a run directory, one more for each after it: says which is newest
    written   time of day, UTC
    hpctrain  version that wrote it
    files     for each file its bytes, its SHA-256 and, for a shard, each tensor's dtype and shape
    checksum  SHA-256 of all of the above, so that a damaged manifest is told from a damaged file
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from hpctrain.errors import CheckpointError
from hpctrain.version import __version__

NAME = "manifest.json"
FORMAT = 1


def build(directory: Path, step: int, sequence: int, shards: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, Any]:
    """The manifest of the files that lie in `directory`; `shards` are the arrays by shard file name.

    Raises OSError where a file cannot be read back.
    """
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "step": step,
        "sequence": sequence,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "hpctrain": __version__,
        "files": {path.name: _entry(path, shards.get(path.name)) for path in sorted(directory.iterdir())},
    }
    return {**manifest, "checksum": _checksum(manifest)}


def load(directory: Path) -> dict[str, Any]:
    """The manifest in `directory`, known to be as it was written.

    Raises CheckpointError where it is missing, damaged, or of a format this version does not know.
    """
    try:
        manifest = json.loads((directory / NAME).read_bytes())
    except FileNotFoundError:
        if not directory.exists():
            raise CheckpointError(f"there is no checkpoint at {directory}") from None
        raise CheckpointError(f"{directory}: {NAME} is missing: no checkpoint, or an incomplete one") from None
    except OSError as error:
        raise CheckpointError(f"{directory}: {NAME} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise CheckpointError(f"{directory}: {NAME} is damaged: it is not JSON ({error})") from None
    if not isinstance(manifest, dict) or "format" not in manifest:
        raise CheckpointError(f"{directory}: {NAME} is damaged: it holds no format version")
    if manifest["format"] != FORMAT:
        raise CheckpointError(
            f"{directory}: {NAME} has format {manifest['format']!r}, and this version of hpctrain reads format {FORMAT}"
        )
    if manifest.pop("checksum", None) != _checksum(manifest):
        raise CheckpointError(f"{directory}: {NAME} is damaged: its content does not fit its own checksum")
    return manifest


def check_sizes(directory: Path, manifest: Mapping[str, Any]) -> None:
    """Raise CheckpointError where a file is missing or has not the bytes that the manifest says."""
    for name, entry in manifest["files"].items():
        try:
            size = (directory / name).stat().st_size
        except FileNotFoundError:
            raise CheckpointError(f"{directory}: {name} is missing") from None
        except OSError as error:
            raise CheckpointError(f"{directory}: {name} cannot be read: {error.strerror}") from error
        if size != entry["bytes"]:
            raise CheckpointError(f"{directory}: {name} is damaged: it has {size:,} bytes of {entry['bytes']:,}")


def check_contents(directory: Path, manifest: Mapping[str, Any]) -> None:
    """Raise CheckpointError where a file's bytes are not those that were written. Reads every file once."""
    for name, entry in manifest["files"].items():
        try:
            digest = _digest(directory / name)
        except OSError as error:
            raise CheckpointError(f"{directory}: {name} cannot be read: {error.strerror}") from error
        if digest != entry["sha256"]:
            raise CheckpointError(f"{directory}: {name} is damaged: its SHA-256 is not the manifest's")


def check_tensors(directory: Path, name: str, entry: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Raise CheckpointError unless `arrays`, as read from the shard `name`, are those of its manifest entry."""
    found, expected = _tensors(arrays), entry.get("tensors")
    if found != expected:
        raise CheckpointError(f"{directory}: {name} holds tensors {found}, and the manifest says {expected}")


def _entry(path: Path, arrays: Mapping[str, np.ndarray] | None) -> dict[str, Any]:
    entry: dict[str, Any] = {"bytes": path.stat().st_size, "sha256": _digest(path)}
    return entry if arrays is None else {**entry, "tensors": _tensors(arrays)}


def _tensors(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    return {name: {"dtype": array.dtype.name, "shape": list(array.shape)} for name, array in arrays.items()}


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _checksum(manifest: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
