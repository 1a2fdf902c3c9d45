"""Numbers as people write them. Sentences and tables take them from here, so both say the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from hpctrain.study.scaling import Estimate

_UNITS = {"s": 1.0, "ms": 1e-3, "µs": 1e-6}
FEWEST_NODE_HOURS = 0.01
"""Of fewer, node-seconds are the better unit."""


def percent(share: float) -> str:
    """In whole percent; below 10% with one digit more: "83%", "4.2%"."""
    return f"{share:.0%}" if abs(share) >= 0.0995 else f"{share:.1%}"


def number(value: float) -> str:
    """To three digits, whole ones all: "15,424", "3.10", "0.0123"."""
    if not value:
        return "0"
    return f"{value:,.0f}" if abs(value) >= 99.95 else f"{value:#.3g}"


def tick(value: float) -> str:
    """The number beside a tick, which is round: "5,000", "0.5"."""
    return f"{value:,g}"


def seconds(value: float, digits: Callable[[float], str] = number) -> str:
    """In a unit that fits: "1.23 s", "12.3 ms", "850 µs"."""
    unit = next((unit for unit, size in _UNITS.items() if value >= 0.9995 * size), "µs")
    return f"{digits(value / _UNITS[unit])} {unit}"


def node_hours(value: float) -> str:
    """Node-hours; very few of them in node-seconds: "1,204 node-hours", "15.1 node-seconds"."""
    if value < FEWEST_NODE_HOURS:
        return f"{number(3600 * value)} node-seconds"
    return f"{number(value)} node-hours"


def estimate(found: Estimate, words: Callable[[float], str]) -> str:
    """The number, and its interval where several runs give one: "83% (81% to 84%)"."""
    if found.num_runs == 1 or found.low == found.high:
        return words(found.value)
    return interval(found.value, found.low, found.high, words)


def interval(value: float, low: float, high: float, words: Callable[[float], str]) -> str:
    """The number and the interval, with the unit once where all have the same: "12.3 ms (12.1 to 12.9)"."""
    told, least, most = (words(each) for each in (value, low, high))
    (_, _, unit), (short, _, least_unit), (long, _, most_unit) = (text.partition(" ") for text in (told, least, most))
    if unit == least_unit == most_unit:
        return f"{told} ({short} to {long})"
    return f"{told} ({least} to {most})"


def count(how_many: int, noun: str) -> str:
    """With the right ending: "1 rank", "1,024 ranks"."""
    return f"{how_many:,} {noun}{'' if how_many == 1 else 's'}"


def period(began: str, ended: str) -> str:
    """From two times of ISO 8601: "21 November 2026, 14:02 to 14:31 UTC"; what is no time stays as it is."""
    try:
        first, last = datetime.fromisoformat(began), datetime.fromisoformat(ended)
    except ValueError:
        return " to ".join(filter(None, [began, ended]))
    day, until = f"{first.day} {first:%B %Y}", f"{last.day} {last:%B %Y}, "
    return f"{day}, {first:%H:%M} to {until if first.date() != last.date() else ''}{last:%H:%M %Z}".rstrip()


def listed(items: Sequence[str]) -> str:
    """As in a sentence: "a, b and c"."""
    return " and ".join(filter(None, [", ".join(items[:-1]), *items[-1:]]))


def labels(variants: Sequence[str]) -> dict[str, str]:
    """A short name for each variant: "gossip, topology=ring" for "parallel.strategy=gossip parallel.topology=ring".

    What all of them set is told by its value alone, and anything else without its section.
    """
    settings = {variant: [setting.partition("=")[::2] for setting in variant.split()] for variant in variants}
    shared = set.intersection(*({key for key, _ in pairs} for pairs in settings.values())) if settings else set()
    names = {
        variant: ", ".join(value if key in shared else f"{key.rpartition('.')[2]}={value}" for key, value in pairs)
        for variant, pairs in settings.items()
    }
    return names if len(set(names.values())) == len(names) else {variant: variant for variant in variants}
