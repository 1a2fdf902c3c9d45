"""The first screen of a report: what was asked, the answer in plain words, and a few numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from hpctrain.study.forecast import Scaling
from hpctrain.study.report import words
from hpctrain.study.report.findings import Findings
from hpctrain.study.scaling import Series, World

_MOST_NUMBERS = 4


class KeyNumber(NamedTuple):
    """A number to be seen first, what it is, and for what."""

    value: str
    what: str
    where: str


def question(found: Findings) -> str:
    """What was asked."""
    runs = found.study.runs
    repeats = len({run.repeat for run in runs})
    variants = f"{words.count(len(found.names), 'variant')} with " if found.compares else ""
    modes = words.listed([mode.value for mode in found.modes])
    each = "once" if repeats == 1 else f"{repeats} times"
    return f"{variants}{ranks_in_words([run.ranks for run in runs])}, {modes} scaling, {each} each"


def answer(found: Findings) -> list[str]:
    """The answer, in sentences."""
    if not found.series:
        return ["No run completed, so there is no answer yet. What went wrong is told below."]
    sentences = [f"Of {words.count(len(found.names), 'variant')}, {choice(found)}"] if found.compares else []
    sentences += [" ".join(filter(None, [scaling(series), pays(series)])) for series in found.lead]
    return [*sentences, *target(found)]


def key_numbers(found: Findings) -> list[KeyNumber]:
    """Three or four, less where little completed."""
    if not found.series:
        return [_completed(found)]
    shown = [
        KeyNumber(
            words.estimate(series.largest.efficiency, words.percent),
            f"efficiency, {series.mode.value} scaling",
            words.count(series.largest.ranks, "rank"),
        )
        for series in found.lead
    ]
    if found.cheapest and found.cheapest.node_hours:
        hours = words.estimate(found.cheapest.node_hours, words.node_hours)
        shown.append(KeyNumber(hours, f"to {found.study.target}", words.count(found.cheapest.ranks, "rank")))
    fastest = max((series.largest for series in found.lead), key=lambda world: world.samples_per_second.value)
    rate = words.estimate(fastest.samples_per_second, words.number)
    last = [KeyNumber(rate, "samples a second", words.count(fastest.ranks, "rank")), _completed(found)]
    return [*shown, *(reversed(last) if found.unfinished else last)][:_MOST_NUMBERS]


def choice(found: Findings) -> str:
    """Which variant is told of, and why, as the end of a sentence. There is a series."""
    lead = found.lead[0]
    name = found.names[lead.variant]
    if found.cheapest:
        return f"{name} reaches {found.study.target} in the fewest node-hours."
    ranks = found.shared_ranks(lead.mode)
    where = f"with {words.count(ranks, 'rank')}" if ranks else "in its largest world"
    return f"{name} does the most samples a second {where} in {lead.mode.value} scaling."


def scaling(series: Series) -> str:
    """Speed-up and efficiency of the largest world, as a sentence."""
    first, last = series.worlds[0], series.largest
    kept = f"{series.mode.value.capitalize()} scaling, with {batch(series.mode, last)}"
    if first is last:
        took = words.estimate(last.seconds, words.seconds)
        return f"{kept}: only runs with {words.count(last.ranks, 'rank')} completed; a step takes {took}."
    speedup = words.estimate(last.speedup.times(1 / first.ranks), words.number)
    told = "are {} times as fast as" if series.mode is Scaling.STRONG else "do {} times as many samples a second as"
    return (
        f"{kept}: {words.count(last.ranks, 'rank')} {told.format(speedup)} {words.count(first.ranks, 'rank')}, "
        f"an efficiency of {words.estimate(last.efficiency, words.percent)}."
    )


def pays(series: Series) -> str:
    """Up to which of the measured worlds it pays, as a sentence; empty where there is only one."""
    last = series.largest.ranks
    if len(series.worlds) == 1:
        return ""
    if not series.reason:
        return f"It pays up to {words.count(last, 'rank')}, the largest world that was measured."
    return f"It pays up to {words.count(series.pays_up_to, 'rank')}: {series.reason[0].lower()}{series.reason[1:]}"


def target(found: Findings) -> list[str]:
    """What the target costs, as a sentence; none without a target."""
    if not found.study.target:
        return []
    if not found.cheapest or not found.cheapest.node_hours:
        return [f"No run came to {found.study.target}."]
    world = found.cheapest
    hours = words.estimate(found.cheapest.node_hours, words.node_hours)
    reached = "" if world.reached == world.completed else f", in {world.reached} of {world.completed} runs"
    return [
        f"{found.study.target} is reached in {hours} with {words.count(world.ranks, 'rank')}{reached}, "
        "the fewest of all that was measured."
    ]


def batch(mode: Scaling, world: World) -> str:
    """What stays the same, in words."""
    if mode is Scaling.STRONG:
        return f"a global batch of {words.count(world.batch_size, 'sample')}"
    return f"{words.count(world.batch_size // world.ranks, 'sample')} a rank"


def ranks_in_words(sizes: Sequence[int]) -> str:
    """Each size once, in order: "1, 2 and 4 ranks"."""
    ordered = sorted(set(sizes))
    return f"{words.listed([f'{size:,}' for size in ordered])} rank{'' if ordered == [1] else 's'}"


def _completed(found: Findings) -> KeyNumber:
    asked = len(found.study.runs)
    missing = len(found.unfinished)
    return KeyNumber(
        f"{asked - missing} of {asked}", "runs completed", "the others are listed below" if missing else ""
    )
