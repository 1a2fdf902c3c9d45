"""report.html in a real browser, as wide as a phone and as wide as a screen."""

from __future__ import annotations

import html
import importlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from hpctrain.study.forecast import Scaling
from hpctrain.study.report.write import write_report
from hpctrain.study.strategy import Strategy

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDTHS = (390, 1280)  # a phone's and a screen's, in CSS pixels

# Shows the page in frames of these widths, and writes down what it measures there.
MEASURING = """<!doctype html><meta charset="utf-8"><style>body { margin: 0 } iframe { border: 0 }</style>
FRAMES<pre id="measured"></pre><script>
const shown = element => element.getBoundingClientRect();
const beside = (a, b) => a.right <= b.left + 1 || a.bottom <= b.top + 2;
const overlap = (a, b) => !beside(shown(a), shown(b)) && !beside(shown(b), shown(a));
const inside = (a, b) => shown(a).left >= shown(b).left - 1 && shown(a).right <= shown(b).right + 1;
addEventListener("load", () => {
  const measured = [...document.querySelectorAll("iframe")].map(frame => {
    const page = frame.contentDocument, view = frame.contentWindow;
    const figures = [...page.querySelectorAll("figure")].map(figure => {
      const svg = figure.querySelector("svg"), texts = [...svg.querySelectorAll("text")];
      return {
        name: figure.id, width: shown(svg).width, height: shown(svg).height,
        drawn: [...svg.querySelectorAll("path, use")].filter(each => shown(each).width * shown(each).height > 1).length,
        outside: texts.filter(text => !inside(text, svg)).map(text => text.textContent),
        overlapping: texts.flatMap((a, i) => texts.slice(i + 1).filter(b => overlap(a, b))
          .map(b => [a.textContent, b.textContent])),
      };
    });
    return {
      frame: view.innerWidth, page: page.documentElement.scrollWidth, figures,
      fetched: view.performance.getEntriesByType("resource").map(each => each.name),
      smallest: Math.min(...[...page.querySelectorAll("svg text")].map(text => shown(text).height)),
    };
  });
  document.querySelector("#measured").textContent = JSON.stringify(measured);
});
</script>"""


@pytest.fixture(scope="module")
def browser() -> str:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is installed")
    return found


@pytest.fixture(scope="module")
def report(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the report of three variants, with a target, crowded cores, failed runs and a forecast."""
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(str(repository / "tests/unit/study"))
        studies = importlib.import_module("studies")
    variants = {f"parallel.strategy={name}": factor for name, factor in [("all_reduce", 1.0), ("gossip", 0.4)]}
    runs = studies.noisy([Scaling.STRONG], repeats=5, variants=variants, sizes=(1, 2, 3, 4, 6, 8), target=True)
    runs = [studies.failed(run, "died " * 40) if run.ranks == 8 and run.repeat else run for run in runs]
    known, asked = studies.forecasts([Strategy("all_reduce"), Strategy("local_sgd")], num_replicates=5)
    named = dict.fromkeys(variants, asked)
    out = tmp_path_factory.mktemp("study")
    write_report(
        studies.a_report(runs, target="test_loss=0.1", fits={next(iter(variants)): known}, forecasts=named), out
    )
    return out


def browse(browser: str, page: Path, *options: str) -> str:
    """What the browser prints, of a profile of its own that nothing else uses."""
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    profile = f"--user-data-dir={page.parent / 'profile'}"
    done = subprocess.run(
        [*command, profile, *options, page.as_uri()],
        env={**os.environ, "HOME": str(page.parent)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout


@pytest.fixture(scope="module")
def measured(browser: str, report: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What a browser says of the page, for each of WIDTHS."""
    source = html.escape((report / "report.html").read_text(encoding="utf-8"), quote=True)
    frames = "".join(f'<iframe width="{width}" srcdoc="{source}"></iframe>' for width in WIDTHS)
    page = tmp_path_factory.mktemp("measuring") / "page.html"
    page.write_text(MEASURING.replace("FRAMES", frames), encoding="utf-8")
    dom = browse(browser, page, "--dump-dom", f"--window-size={sum(WIDTHS) + 100},1000", "--virtual-time-budget=5000")
    found = re.search(r'<pre id="measured">(.*?)</pre>', dom, re.DOTALL)
    assert found, dom[-2000:]
    frames_seen: list[dict[str, Any]] = json.loads(html.unescape(found[1]))
    return frames_seen


def test_the_page_is_as_wide_as_the_window(measured: list[dict[str, Any]]) -> None:
    assert [frame["frame"] for frame in measured] == list(WIDTHS)
    for frame in measured:
        assert frame["page"] <= frame["frame"]


def test_nothing_is_fetched(measured: list[dict[str, Any]], report: Path) -> None:
    assert [frame["fetched"] for frame in measured] == [[], []]
    assert "default-src 'none'" in (report / "report.html").read_text(encoding="utf-8")


def test_all_figures_are_drawn(measured: list[dict[str, Any]], report: Path) -> None:
    files = {path.stem for path in (report / "figures").glob("*.svg")}
    assert len(files) > 8
    for frame in measured:
        assert {figure["name"] for figure in frame["figures"]} == files
        for figure in frame["figures"]:
            assert 300 < figure["width"] <= frame["frame"]
            assert figure["height"] > 100
            assert figure["drawn"] > 5, figure["name"]


def test_no_label_lies_on_another_or_outside(measured: list[dict[str, Any]]) -> None:
    for frame in measured:
        for figure in frame["figures"]:
            assert figure["overlapping"] == [], figure["name"]
            assert figure["outside"] == [], figure["name"]
        assert frame["smallest"] >= 9  # pixels: on a phone too, letters can be read


def test_the_browser_paints_it(browser: str, report: Path, tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    page = shutil.copy(report / "report.html", tmp_path / "page.html")
    browse(
        browser, page, f"--screenshot={tmp_path / 'page.png'}", f"--window-size={WIDTHS[1]},3000", "--hide-scrollbars"
    )
    with image.open(tmp_path / "page.png") as picture:
        assert picture.width == WIDTHS[1]
        colours = {colour[:3] for _, colour in picture.getcolors(picture.width * picture.height)}
    assert {(0x00, 0x72, 0xB2), (0x4C, 0x93, 0xC3)} <= colours  # the first line, and computing in the bars
