"""A paragraph of plain words that could go into a proposal, put together from the numbers of a study.

It says what was run and where, how far it scales, what that rests on, and what it does not show.
"""

from __future__ import annotations

from collections.abc import Iterator

from hpctrain.study.forecast import LEAST_EFFICIENCY, Forecast, Scaling
from hpctrain.study.grade import Grade
from hpctrain.study.report import words
from hpctrain.study.report.answer import choice, ranks_in_words, scaling, target
from hpctrain.study.report.findings import Findings
from hpctrain.study.scaling import FEWEST_FOR_BOOTSTRAP, Series

_LIMITS = {
    "compute": "computing, which does not shrink, or grows, as ranks are added",
    "optimizer": "the optimizer's update",
    "data": "making batches ready",
    "communication": "communication",
    "waiting": "waiting for slower ranks",
    "other": "work beside computing and communication",
}


def paragraph(found: Findings) -> str:
    """The whole of it."""
    if not found.series:
        return f"{_what_ran(found)} No run completed, so nothing can be said about scaling."
    sentences = [
        _what_ran(found),
        *([f"Of these, {choice(found)} What follows is about it."] if found.compares else []),
        *(sentence for series in found.lead for sentence in (scaling(series), *_limit(series))),
        _certainty(found),
        _sensible(found),
        *_forecasts(found),
        *target(found),
        *caveats(found),
    ]
    return " ".join(sentences)


def caveats(found: Findings) -> Iterator[str]:
    """What the numbers do not show, in sentences."""
    if found.unfinished:
        one = len(found.unfinished) == 1
        yield (
            f"{len(found.unfinished)} of {len(found.study.runs)} runs did not complete and "
            f"{'is' if one else 'are'} in none of these numbers."
        )
    worlds = [world for series in found.series for world in series.worlds]
    if max(world.nodes for world in worlds) == 1:
        yield "All ranks ran on one machine, so these runs tell nothing of a network between nodes."
    crowded = [world for world in worlds if world.ranks_per_core > 1]
    if crowded:
        least = min(world.ranks for world in crowded)
        most = max(world.ranks_per_core for world in crowded)
        yield (
            f"From {words.count(least, 'rank')} up there were more ranks than cores (up to {most:g} ranks on "
            "a core): from there on speed-up is limited by the cores, and says little about a machine with a core "
            "for each rank."
        )


def _what_ran(found: Findings) -> str:
    study = found.study
    version = study.environment.get("hpctrain", "")
    what = "; ".join(line.strip().rstrip(".") for line in study.description)
    name = f"{study.name} ({what})" if what else study.name
    done = [run.ranks for run in study.runs if run.status == "completed"] or [run.ranks for run in study.runs]
    repeats = len({run.repeat for run in study.runs})
    variants = (
        f", in {len(found.names)} variants ({words.listed(list(found.names.values()))})" if found.compares else ""
    )
    return (
        f"{name} was trained with {f'hpctrain {version}'.strip()} on {found.machine}, with {ranks_in_words(done)}, "
        f"{'once' if repeats == 1 else f'{repeats} times'} each{variants}."
    )


def _limit(series: Series) -> Iterator[str]:
    found = series.limit()
    if found is not None:
        told_apart = found.part != "communication" or any(world.parts["waiting"] for world in series.worlds)
        yield (
            f"Of the time that a step of {words.count(found.ranks, 'rank')} takes beyond the ideal, "
            f"{words.percent(found.share)} is {_LIMITS[found.part]}"
            f"{'' if told_apart else ', in which waiting for slower ranks is included'}."
        )


def _certainty(found: Findings) -> str:
    """What the intervals are."""
    fewest = min(world.completed for series in found.lead for world in series.worlds)
    if fewest >= FEWEST_FOR_BOOTSTRAP:
        return "Numbers in brackets are 90% bootstrap intervals over repeated runs."
    if fewest > 1:
        return f"Numbers in brackets are the range of as few as {fewest} runs, which is no measure of certainty."
    return "Some numbers rest on a single run, which tells nothing of how they would vary."


def _sensible(found: Findings) -> str:
    """What to ask for, by the rule of the forecasts."""
    sizes = []
    for series in found.lead:
        best, end = series.at(series.pays_up_to), "" if series.reason else " (the largest measured)"
        where = f"{words.count(best.ranks, 'rank')} on {words.count(best.nodes, 'node')}"
        sizes.append(f"{where}{end} in {series.mode.value} scaling")
    return (
        f"It is sensible to ask for up to {words.listed(sizes)}, by the rule that a rank does at least "
        f"{LEAST_EFFICIENCY:.0%} of the work that it does in the smallest world."
    )


def _forecasts(found: Findings) -> Iterator[str]:
    """Of the variant that is told of: one for each mode."""
    variant = found.lead[0].variant
    told: dict[Scaling, Forecast] = {}
    for forecast in found.study.forecasts.get(variant, ()):
        told.setdefault(forecast.scaling, forecast)
    if not told:
        return
    link = f" (link between nodes: {found.study.link})" if found.study.link else ""
    ends = words.listed([_end(forecast) for forecast in told.values()])
    yield f"A cost model fitted to these runs{link} forecasts that {ends}."
    if variant in found.study.fits:
        yield left_out(found.study.fits[variant].left_out)


def _end(forecast: Forecast) -> str:
    """Up to where it pays, as a part of a sentence."""
    mode = f"{forecast.scaling.value} scaling"
    if not forecast.pays_up_to:
        return f"{mode} pays nowhere"
    point = next(each for each in forecast.points if each.case.placement.world_size == forecast.pays_up_to)
    nodes = words.count(point.case.placement.num_nodes, "node")
    efficiency = words.interval(*point.efficiency, words.percent)
    return (
        f"{mode} pays up to {words.count(forecast.pays_up_to, 'rank')} on {nodes}, with an efficiency of {efficiency}"
    )


def left_out(checked: Grade) -> str:
    """How far the model was off where it could be checked, as a sentence."""
    if not checked.rows:
        return "No run could be left out to check the model, so how far it is off is unknown."
    return (
        "Where one run was left out and predicted from the others, the median error was "
        f"{words.percent(checked.median_error)} and the worst {words.percent(checked.worst_error)}."
    )
