"""Python's search for modules, turned to copies of the folders that it searched before."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable


def import_from(local: Callable[[str], str]) -> None:
    """Have what is imported from now on come from where `local` says that the copy of a folder is.

    What has been imported stays as it is, but parts of a package that are not there yet come from its copy. Folders of
    which there is no copy are searched as before, and in the same order.
    """
    sys.path[:] = [_copy(entry, local) for entry in sys.path]
    for module in list(sys.modules.values()):
        search = getattr(module, "__path__", None)
        if isinstance(search, list):
            search[:] = [_copy(entry, local) for entry in search]
    importlib.invalidate_caches()


def _copy(folder: str, local: Callable[[str], str]) -> str:
    real = os.path.realpath(folder)
    copy = local(real)
    return folder if copy == real else copy
