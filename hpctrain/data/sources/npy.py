"""NumPy's files: a pair of .npy files, a folder of them, or an .npz archive. Mapped: only what is read is loaded."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path
from typing import Literal

import numpy as np

from hpctrain.data.sources.arrays import ArraySource, choose_arrays, name_for
from hpctrain.data.sources.files import existing
from hpctrain.data.sources.names import TARGET_NAMES, pick
from hpctrain.data.sources.source import Request
from hpctrain.errors import DataError

_PARTNERS = (
    ("x", "y"), ("X", "y"), ("X", "Y"), ("images", "labels"), ("image", "label"), ("data", "labels"),
    ("features", "labels"), ("features", "targets"), ("inputs", "targets"), ("inputs", "labels"),
)  # fmt: skip
_LOCAL_HEADER = struct.Struct("<26xHH")  # of a member of a zip file: the lengths of its name and of its extra field


def open_source(request: Request) -> ArraySource:
    """Arrays from an .npz archive, from all .npy files of a folder, or from one .npy file and its target beside it."""
    path = existing(request.path, "a .npy file, an .npz archive, or a folder of .npy files")
    if path.is_dir():
        return _open_folder(request, path)
    if path.suffix == ".npy":
        return _open_pair(request, path)
    if not zipfile.is_zipfile(path):
        raise DataError(f"{path} is neither a .npy file nor an .npz archive")
    return _open_archive(request, path)


def _open_folder(request: Request, path: Path) -> ArraySource:
    names = sorted(file.stem for file in path.glob("*.npy"))
    features, target = choose_arrays(request, names, path)
    arrays = {name: _map(path / f"{name}.npy") for name in (*features, target)}
    return ArraySource(path, {name: arrays[name] for name in features}, (target, arrays[target]))


def _open_pair(request: Request, path: Path) -> ArraySource:
    if request.features not in ((), (path.stem,)):
        raise DataError(f"data.features chooses arrays of a folder or an archive, and data.path is one array, {path}")
    target = _target_beside(request, path)
    return ArraySource(path, {path.stem: _map(path)}, (target, _map(path.with_name(f"{target}.npy"))))


def _target_beside(request: Request, path: Path) -> str:
    """The array in the same folder that holds the targets of `path`: as asked for, or of a usual name."""
    beside = [file.stem for file in sorted(path.parent.glob("*.npy")) if file != path]
    if request.target:
        return pick(name_for(request.role, request.target, beside), beside, ".npy file beside it called", path)
    usual = [path.stem.replace(old, new, 1) for old, new in _PARTNERS if old in path.stem]
    for name in [*usual, *TARGET_NAMES]:
        if name in beside:
            return name
    tried = ", ".join(f"{name}.npy" for name in [*usual, *TARGET_NAMES])
    raise DataError(f"the targets of {path} are not beside it (looked for {tried}); name their array in data.target")


def _open_archive(request: Request, path: Path) -> ArraySource:
    with zipfile.ZipFile(path) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
    features, target = choose_arrays(request, sorted(members), path)
    arrays, compressed = {}, []
    for name in (*features, target):
        if members[name].compress_type == zipfile.ZIP_STORED:
            arrays[name] = _map(path, _offset(path, members[name]))
        else:
            arrays[name] = _decompress(path, name)
            compressed.append(name)
    notes = (_compressed_note(path, compressed),) if compressed else ()
    return ArraySource(path, {name: arrays[name] for name in features}, (target, arrays[target]), notes)


def _compressed_note(path: Path, names: list[str]) -> str:
    return (
        f"{path}: {', '.join(names)} compressed, so every rank reads the whole of it into memory; "
        "np.savez, without compression, makes a file that is mapped"
    )


def _offset(path: Path, member: zipfile.ZipInfo) -> int:
    """Where the bytes of an uncompressed member begin."""
    with path.open("rb") as file:
        file.seek(member.header_offset)
        name_bytes, extra_bytes = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
    return member.header_offset + _LOCAL_HEADER.size + int(name_bytes) + int(extra_bytes)


def _map(path: Path, offset: int = 0) -> np.ndarray:
    """The array whose .npy header begins at `offset`, mapped read-only."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            version = np.lib.format.read_magic(file)
            read_header = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }[version]
            shape, fortran_order, dtype = read_header(file)
            offset = file.tell()
        if dtype.hasobject:
            raise ValueError("it holds Python objects, which are not read from files; save numbers or strings")
        if 0 in shape:  # nothing to map
            return np.empty(shape, dtype)
        order: Literal["F", "C"] = "F" if fortran_order else "C"
        return np.asarray(np.memmap(path, dtype=dtype, mode="r", offset=offset, shape=shape, order=order))
    except (ValueError, KeyError, OSError) as error:
        raise DataError(f"{path} cannot be read as a NumPy array: {error}") from error


def _decompress(path: Path, name: str) -> np.ndarray:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            array: np.ndarray = arrays[name]
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise DataError(f'{path}: array "{name}" cannot be read: {error}') from error
    return array
