"""The variants of a comparison, from `--compare section.key=value,value`.

Each value makes a variant. One that needs more settings brings them along behind "+":

    --compare parallel.strategy=all_reduce,gossip+parallel.topology=ring,gossip+parallel.topology=full

Of several --compare, every combination is a variant.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import product

from hpctrain.errors import InputError

Settings = tuple[str, ...]
"""`section.key=value`, one or several."""

_SETTING = re.compile(r"[a-z_]\w*(\.\w+)+=.+", re.ASCII | re.DOTALL)
_ANOTHER = re.compile(r"\+(?=[a-z_]\w*(?:\.\w+)+=)", re.ASCII)  # 1e+3 is no other setting


def variants_of(comparisons: Sequence[str]) -> tuple[Settings, ...]:
    """The settings of each variant; a single one without settings where nothing is compared.

    Raises InputError for what is no comparison, and where two variants are the same.
    """
    variants = [sum(choice, ()) for choice in product(*map(_choices, comparisons))]
    twice = [name_of(variant) for variant in dict.fromkeys(variants) if variants.count(variant) > 1]
    if twice:
        raise InputError(f"--compare: {twice[0]} is there twice")
    return tuple(variants)


def name_of(variant: Settings) -> str:
    """The settings as one text; "" without any."""
    return " ".join(variant)


def folder_of(variant: Settings) -> str:
    """A name for files, without sections: "strategy=gossip,topology=ring"; "" without settings."""
    keys = (setting.partition(".")[2] for setting in variant)
    return re.sub(r"[^A-Za-z0-9._=,-]", "-", ",".join(keys))


def _choices(comparison: str) -> list[Settings]:
    key, _, values = comparison.partition("=")
    choices = [tuple(_ANOTHER.split(f"{key}={value}")) for value in _at_commas(values)]
    for setting in (setting for choice in choices for setting in choice):
        if not _SETTING.fullmatch(setting):
            raise InputError(
                f'--compare "{comparison}": write section.key=value,value,... with the settings that a value needs '
                "besides behind it, e.g. parallel.strategy=all_reduce,gossip+parallel.topology=ring"
            )
    return choices


def _at_commas(text: str) -> Iterator[str]:
    """The parts between commas that stand in no brackets: [16,32] is one value."""
    depth, begin = 0, 0
    for place, letter in enumerate(text):
        depth += (letter in "[{") - (letter in "]}")
        if letter == "," and not depth:
            yield text[begin:place]
            begin = place + 1
    yield text[begin:]
