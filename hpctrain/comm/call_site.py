"""Where in a program a call stands, for people: "loader.py:88", and whose line it is."""

from __future__ import annotations

import os
from types import CodeType, FrameType

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_TALKS = tuple(_PACKAGE + room + os.sep for room in ("comm", "collectives"))
_STANDARD_LIBRARY = os.path.dirname(os.__file__) + os.sep
_INSTALLED = tuple(f"{os.sep}{folder}{os.sep}" for folder in ("site-packages", "dist-packages"))
_LONGEST = 60  # letters


def where(code: CodeType, line: int | None) -> str:
    """The file, with the folder that it lies in, and the line."""
    place = "/".join(code.co_filename.replace(os.sep, "/").split("/")[-2:])
    return f"{place[-_LONGEST:]}:{line or '?'}"


def user_frame(frame: FrameType) -> FrameType:
    """Whose call it is: the innermost frame that belongs to neither hpctrain, Python nor an installed package.

    Where there is none, as in `python -m hpctrain.train`, the innermost that called the group.
    """
    outside = [found for found in _outwards(frame) if not found.f_code.co_filename.startswith(_TALKS)]
    return next((found for found in outside if _is_users(found.f_code.co_filename)), outside[0] if outside else frame)


def stack(frame: FrameType, depth: int = 12) -> list[str]:
    """The innermost `depth` frames, outermost first: "load_batch (data/loader.py:88)". Of any thread."""
    found = [place(outer) for outer in _outwards(frame) if not outer.f_code.co_filename.startswith("<frozen")]
    return found[:depth][::-1]


def place(frame: FrameType) -> str:
    """The function, and where in it."""
    return f"{frame.f_code.co_qualname} ({where(frame.f_code, frame.f_lineno)})"


def _outwards(frame: FrameType | None) -> list[FrameType]:
    frames = []
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    return frames


def _is_users(filename: str) -> bool:
    library = filename.startswith((_PACKAGE, _STANDARD_LIBRARY, "<frozen"))
    return not library and not any(folder in filename for folder in _INSTALLED)
