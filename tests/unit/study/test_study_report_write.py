"""The files of a report: whole, by themselves, and all that was measured is in them."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from studies import a_report, failed, forecasts, noisy

from hpctrain.errors import EnvironmentProblem, HpctrainError
from hpctrain.study.forecast import Scaling
from hpctrain.study.report.style import labelled
from hpctrain.study.report.svg import inline
from hpctrain.study.report.write import write_report
from hpctrain.study.results import Study
from hpctrain.study.strategy import Strategy

PER_MODE = ("speedup", "efficiency", "throughput", "breakdown", "memory")
VOID = {"meta", "br", "link"}


def one_variant() -> Study:
    return a_report(noisy(repeats=2, sizes=(1, 2)))


def four_variants() -> Study:
    variants = {f"parallel.strategy={name}": 1.0 for name in ("all_reduce", "gossip", "central", "local_sgd")}
    return a_report(noisy([Scaling.WEAK], repeats=1, sizes=(1, 3), variants=variants))


def strong_only() -> Study:
    return a_report(noisy([Scaling.STRONG], repeats=1, sizes=(2,)))


def with_failures() -> Study:
    runs = noisy([Scaling.STRONG], repeats=2, sizes=(1, 2))
    return a_report([failed(run, "<b>rank 1 & all</b> | died") if run.ranks == 2 else run for run in runs])


def with_target_and_forecast() -> Study:
    known, asked = forecasts([Strategy("all_reduce"), Strategy("gossip")], num_replicates=3)
    runs = noisy([Scaling.WEAK], repeats=1, sizes=(1, 2), target=True)
    return a_report(runs, target="test_accuracy=0.95", fits={"": known}, forecasts={"": asked}, link="hdr200")


def nothing() -> Study:
    return a_report([failed(run, "no") for run in noisy(repeats=1)], environment={})


EXPECTED: list[tuple[Callable[[], Study], set[str]]] = [
    (one_variant, {f"{name}-{mode.value}" for name in PER_MODE for mode in Scaling}),
    (four_variants, {f"{name}-weak" for name in (*PER_MODE, "comparison")}),
    (strong_only, {f"{name}-strong" for name in PER_MODE}),
    (with_failures, {f"{name}-strong" for name in PER_MODE}),
    (with_target_and_forecast, {f"{name}-weak" for name in (*PER_MODE, "cost")}
     | {f"forecast-{name}-{mode.value}" for name in ("efficiency", "seconds") for mode in Scaling}),
    (nothing, set()),
]  # fmt: skip


class Balanced(HTMLParser):
    """Fails where an element is closed that is not open; ids and what is asked from elsewhere are collected."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open += [] if tag in VOID else [tag]
        for name, value in attrs:
            self.ids += [value or ""] if name == "id" else []
            fetches = name in ("src", "href", "xlink:href", "data", "srcset")
            self.fetched += [value or ""] if fetches and not (value or "").startswith("#") else []

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize(("study", "figures"), EXPECTED, ids=lambda value: getattr(value, "__name__", ""))
def test_all_files_are_written(study: Callable[[], Study], figures: set[str], tmp_path: Path) -> None:
    found = study()
    write_report(found, tmp_path / "out")
    files = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()}
    endings = ("svg", "png")
    assert files == {"report.html", "report.md"} | {f"figures/{name}.{end}" for name in figures for end in endings}

    html = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert html.startswith("<!doctype html>")
    page = Balanced()
    page.feed(html)
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    assert page.fetched == []
    assert not re.search(r"<script|@import|url\((?!#)", html)
    assert {name for name in figures if f'<figure id="{name}">' in html} == figures

    text = (tmp_path / "out/report.md").read_text(encoding="utf-8")
    for link in re.findall(r"\]\((figures/[^)]+)\)", text):
        assert (tmp_path / "out" / link).is_file()
    assert found.command in text
    assert all(run.command in text for run in found.runs)


def test_both_pages_say_the_same(tmp_path: Path) -> None:
    write_report(with_target_and_forecast(), tmp_path)
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    shown = re.sub(r"\s+", " ", re.sub(r"<(?!svg)[^>]*>", "", re.sub(r"<svg.*?</svg>", "", html, flags=re.DOTALL)))
    rows = [line for line in (tmp_path / "report.md").read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    assert len(rows) > 20
    for row in rows:
        for cell in row.strip("| ").split(" | "):
            assert cell.strip("*-").replace("&", "&amp;").replace("'", "&#39;") in shown


def test_texts_of_runs_are_text(tmp_path: Path) -> None:
    write_report(with_failures(), tmp_path)
    assert "&lt;b&gt;rank 1 &amp; all&lt;/b&gt; | died" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert r"<b>rank 1 & all</b> \| died" in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_the_same_study_gives_the_same_files(tmp_path: Path) -> None:
    for out in ("a", "b"):
        write_report(strong_only(), tmp_path / out)
    for path in (tmp_path / "a").rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes()


def test_figures_of_a_page_have_their_own_ids_and_its_colours() -> None:
    svg = '<?xml?><svg width="360pt" height="9pt"><metadata>x</metadata><g id="a" style="fill: #0072b2"/>' \
        '<use xlink:href="#a" clip-path="url(#a)" style="stroke: #123456"/></svg>'  # fmt: skip
    assert inline(svg, "f", 'a "b"') == (
        '<svg role="img" aria-label="a &quot;b&quot;"><g id="f-a" style="fill: var(--blue)"/>'
        '<use xlink:href="#f-a" clip-path="url(#f-a)" style="stroke: #123456"/></svg>'
    )


def test_world_sizes_that_stand_close_have_no_label() -> None:
    assert labelled([1, 2, 4, 8]) == {1, 2, 4, 8}
    assert labelled([64]) == {64}
    assert labelled([1, 63, 64]) == {1, 64}
    powers = [2**power for power in range(17)]
    assert {65536} < labelled(powers) < set(powers)


def test_without_matplotlib_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("matplotlib", "jinja2"):
        with monkeypatch.context() as patched:
            patched.setitem(sys.modules, name, None)
            with pytest.raises(EnvironmentProblem, match=r'the report needs .*: pip install "hpctrain\[report\]"'):
                write_report(strong_only(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_written_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_report(strong_only(), tmp_path)
    before = (tmp_path / "report.html").read_bytes()

    def full(source: object, target: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(HpctrainError, match="cannot be written: No space left on device"):
        write_report(replace(strong_only(), name="other"), tmp_path)
    assert (tmp_path / "report.html").read_bytes() == before
    assert not list(tmp_path.rglob("*.partial"))


def test_no_global_state_of_matplotlib_is_touched(tmp_path: Path) -> None:
    import matplotlib

    before = matplotlib.rcParams.copy()
    write_report(strong_only(), tmp_path)
    assert matplotlib.rcParams.copy() == before
    assert "matplotlib.pyplot" not in sys.modules
