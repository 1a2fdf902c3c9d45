"""A run as lines of a terminal: what happens, the curves, where the time goes, the ranks, and what was told."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from hpctrain.train.callbacks import formatting
from hpctrain.watch.braille import Curve, Scale, draw, fitting_scale
from hpctrain.watch.ranks import RankState, stragglers, verdict
from hpctrain.watch.sight import Sight

_STATUS_STYLES = {"completed": "bold green", "running": "bold cyan", "not begun": "bold", "preempted": "bold yellow"}
_CURVE_STYLES = ("cyan", "yellow")  # train, test
_SECTION_STYLES = {
    "compute": "blue",
    "communication": "dark_orange",
    "optimizer": "green",
    "data": "magenta",
    "other": "bright_black",
}
_QUIET = "bright_black"
_LEAST_CHART, _MOST_CHART = 5, 16  # rows of a chart, its heading and axis included


def lines(sight: Sight, width: int, height: int) -> list[Text]:
    """The whole screen: at most `height` lines of at most `width` characters. The curves take what room is left."""
    head = [*_header(sight, width), Text()]
    time_lines = [*_speed(sight), *_sections(sight, width)]
    told = _told(sight)
    room = height - len(head) - len(time_lines) - len(told) - _LEAST_CHART - 2
    ranks = _ranks(sight, max(room, 1))
    left = height - len(head) - len(time_lines) - len(told) - len(ranks)
    charts = _charts(sight, width, min(left - (left > 12), _MOST_CHART))
    gap = [Text()] if charts and left - len(charts) > 0 else []
    screen = [*head, *charts, *gap, *time_lines, *ranks, *told]
    for line in screen:
        line.truncate(width, overflow="ellipsis")
    return screen[:height]


def headline(sight: Sight) -> str:
    """How the run stands, in one line."""
    info = sight.info
    name = info.name if info else sight.run_dir.path.name
    parts = [name, _status(sight)]
    if info:
        share = sight.step / max(info.total_steps, 1)
        parts.append(f"step {sight.step:,}/{info.total_steps:,} ({share:.0%})")
        parts.append(f"epoch {min(int(share * info.epochs) + 1, info.epochs)}/{info.epochs}")
    if sight.exit_code is None and sight.seconds_left is not None:
        parts.append(f"{formatting.duration(sight.seconds_left)} left")
    return "  ".join(parts)


def _status(sight: Sight) -> str:
    if sight.status == "silent":
        return f"nothing heard for {formatting.duration(sight.now - sight.heard)}"
    return sight.status


def _header(sight: Sight, width: int) -> list[Text]:
    title = Text(headline(sight))
    title.stylize("bold", 0, len(title.plain.partition("  ")[0]))
    title.highlight_words([_status(sight)], style=_STATUS_STYLES.get(sight.status, "bold red"))
    found = [title]
    if sight.info:
        info = sight.info
        done = round(width * sight.step / max(info.total_steps, 1))
        found.append(Text("━" * done, "cyan").append("─" * (width - done), _QUIET))
        where = f"{formatting.count(info.world_size, 'rank')} on {formatting.count(info.num_nodes, 'node')}"
        found.append(Text(f"{where}, {info.strategy}; {info.model}; {info.device}; {info.launcher}", _QUIET))
    found.append(Text(str(sight.run_dir.path), _QUIET))
    return found


def _charts(sight: Sight, width: int, height: int) -> list[Text]:
    """Loss and, where there is one, accuracy, side by side."""
    if height < _LEAST_CHART - 1 or not sight.steps:
        return []
    losses = _curves(sight, "loss", 1.0)
    charts: list[tuple[str, list[Curve], Scale]] = [("loss", losses, fitting_scale(losses))]
    if any(line.get("accuracy") is not None for line in sight.steps):
        charts.append(("accuracy, %", _curves(sight, "accuracy", 100.0), float))
    each = (width - 3 * (len(charts) - 1)) // len(charts)
    end = max(line["step"] for line in sight.lines)
    columns = [_chart(title, curves, scale, end, each, height) for title, curves, scale in charts]
    gap = Text("   ")
    return [gap.join(row) for row in zip(*columns, strict=True)]


def _curves(sight: Sight, key: str, unit: float) -> list[Curve]:
    """The curve of training and that of tests."""
    return [
        Curve("train", _points(sight.steps, key, unit)),
        Curve("test", _points(sight.tests, f"test_{key}", unit)),
    ]


def _points(entries: Sequence[Mapping[str, Any]], key: str, unit: float) -> list[tuple[float, float]]:
    return [(line["step"], unit * line[key]) for line in entries if line.get(key) is not None]


def _chart(title: str, curves: Sequence[Curve], scale: Scale, end: int, width: int, height: int) -> list[Text]:
    """Heading with the newest values, the curves with the scale on the left, and the axis: `height` lines."""
    labels = 9
    picture = draw(curves, end, max(width - labels, 1), height - 2, scale)
    found = [_heading(title, curves, width)]
    marks = {0: _number(picture.high), height - 3: _number(picture.low)}
    for place, row in enumerate(picture.rows):
        line = Text(f"{marks.get(place, ''):>{labels - 2}} │", _QUIET)
        for character, owner in row:
            line.append(character, _CURVE_STYLES[owner] if owner >= 0 else "")
        found.append(line)
    ends = f"step {end:,}"
    name = "log scale" if scale is math.log else ""
    found.append(Text(f"{'':{labels}}{name:<{max(width - labels - len(ends), 0)}}{ends}", _QUIET))
    for line in found:
        line.truncate(width, overflow="ellipsis", pad=True)
    return found


def _heading(title: str, curves: Sequence[Curve], width: int) -> Text:
    """The title and the newest values, the names of the curves left out where there is no room for them."""
    newest = [
        (curve.name, _number(curve.points[-1][1]), style)
        for curve, style in zip(curves, _CURVE_STYLES, strict=True)
        if curve.points
    ]
    named, short = Text().append(title, "bold"), Text().append(title, "bold")
    for name, number, style in newest:
        named.append(f"  {name} {number}", style)
        short.append(f"  {number}", style)
    return named if len(named) <= width else short


def _number(value: float) -> str:
    """With as many digits as one can see the difference of."""
    if not math.isfinite(value):
        return f"{value}"
    return f"{value:.1f}" if 10 <= abs(value) < 1e5 else f"{value:.3g}"


def _labelled(label: str, style: str, text: str) -> Text:
    """A line that says what it is about."""
    return Text().append(f"{label:<7}", style).append(text.replace("\n", " "))


def _speed(sight: Sight) -> list[Text]:
    if not sight.steps:
        return []
    newest = sight.steps[-1]
    parts = [f"{formatting.rate(newest['samples_per_second'] or 0.0)} samples/s"]
    parts.append(f"{formatting.duration(sum(sight.seconds.values()))} a step")
    parts.append(f"learning rate {newest['learning_rate']:.3g}")
    if newest.get("bytes_sent"):
        parts.append(f"rank 0 has sent {formatting.size(newest['bytes_sent'])}")
    return [_labelled("speed", "bold", "  ".join(parts))]


def _sections(sight: Sight, width: int) -> list[Text]:
    """Where the time of a step goes: a bar, and its legend."""
    seconds = sight.seconds
    total = sum(seconds.values())
    if not total:
        return []
    bar, legend = Text(), Text()
    end = 0.0
    for name, value in seconds.items():
        style = _SECTION_STYLES.get(name, "")
        begin, end = end, end + value
        bar.append("█" * (round(width * end / total) - round(width * begin / total)), style)
        legend.append("■ ", style).append(f"{name} {formatting.percent(value / total)}  ")
    return [bar, legend]


def _ranks(sight: Sight, room: int) -> list[Text]:
    """Who waits for whom, then a line for each rank, stragglers first, as far as there is room."""
    if not sight.ranks:
        return []
    found = [_labelled("ranks", "bold", verdict(sight.ranks) or _balance(sight.ranks))]
    if sight.status not in ("running", "silent"):
        return found
    slow = stragglers(sight.ranks)
    ordered = [*slow, *(state for state in sight.ranks if state not in slow)]
    shown = ordered if len(ordered) <= room else ordered[: max(room - 1, 0)]
    hosts = max((len(state.host) for state in shown), default=0)
    for state in shown:
        style = "yellow" if state in slow else ""
        waiting = "" if state.waiting is None else formatting.percent(state.waiting)
        found.append(Text(f"{state.rank:>5} {state.host:<{hosts}} waits {waiting:>4}  {_doing(sight, state)}", style))
    if len(shown) < len(ordered) and room > 1:
        found.append(Text(f"      and {formatting.count(len(ordered) - len(shown), 'rank')} more", _QUIET))
    return found


def _balance(states: Sequence[RankState]) -> str:
    shares = sorted(state.waiting for state in states if state.waiting is not None)
    if not shares:
        return "in too few calls to say who waits"
    return f"wait {formatting.percent(shares[0])} to {formatting.percent(shares[-1])} of the time: none is behind"


def _doing(sight: Sight, state: RankState) -> str:
    if state.ended:
        return "ended"
    since = formatting.duration(max(sight.now - state.since, 0.0))
    return f"for {since} in {state.doing.words if state.doing else 'no call'}"


def _told(sight: Sight) -> list[Text]:
    """The newest stall, the newest notes, and the error."""
    found = [_labelled("stall", "bold red", sight.stall)] if sight.stall else []
    found += [_labelled("note", "yellow", note) for note in sight.notes[-2:]]
    summary = sight.summary or {}
    if "error" in summary:
        found.append(_labelled("error", "bold red", str(summary["error"])))
    if sight.status == "killed":
        found.append(Text("all ranks are gone, and none has written how it ended", "bold red"))
    if sight.status == "not begun":
        begun = f"its directory is there since {time.strftime('%H:%M:%S', time.localtime(sight.heard))}"
        found.append(Text(begun if sight.heard else "waits for it to begin", _QUIET))
    return found
