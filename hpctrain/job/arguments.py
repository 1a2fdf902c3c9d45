"""What command lines with options have in common: one line for what is wrong, and whole numbers that are checked."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, NoReturn

from hpctrain.errors import InputError


class Parser(argparse.ArgumentParser):
    """Shows description and epilog as they are written, and leaves it to the command how to end."""

    def __init__(self, prog: str, **options: Any) -> None:
        """`prog` as a person types it, `python -m hpctrain.submit`; `options` of argparse.ArgumentParser."""
        super().__init__(prog, formatter_class=argparse.RawDescriptionHelpFormatter, **options)

    def error(self, message: str) -> NoReturn:
        """Raise InputError: the command refuses in one line, once for all ranks."""
        raise InputError(f"{message}; {self.prog} --help says more")


def at_least(least: int) -> Callable[[str], int]:
    """The type of an option that is a whole number, `least` or more."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdecimal()) or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text} is no whole number, at least {least}")
        return int(text)

    return read


count = at_least(0)
positive = at_least(1)
