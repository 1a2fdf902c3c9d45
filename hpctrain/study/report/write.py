"""Writes the report of a study: one page for a browser, one in Markdown, and the figures as files.

report.html        all in one file: styles and figures are in it, and nothing is fetched
report.md          the same words and tables; its figures are the files
figures/NAME.svg   and figures/NAME.png
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpctrain.errors import EnvironmentProblem, HpctrainError
from hpctrain.launch.run_dir import write_whole
from hpctrain.study.report import answer, proposal, tables, words
from hpctrain.study.report.definitions import DEFINITIONS
from hpctrain.study.report.figures import Drawing, drawings
from hpctrain.study.report.findings import Findings
from hpctrain.study.report.style import COLOURS, RC
from hpctrain.study.report.svg import inline
from hpctrain.study.results import Study
from hpctrain.version import __version__

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DOTS_PER_INCH = 200  # of a PNG: 1000 wide
_PAGES = {"report.html": "report.html.j2", "report.md": "report.md.j2"}


@dataclass(frozen=True)
class Drawn:
    """A figure as the pages show it: what `Drawing` says of it, and the <svg> element."""

    section: str
    name: str
    caption: str
    svg: str


def write_report(study: Study, out: Path) -> None:
    """Write all files into the directory `out`, which is made if it is not there. Each is whole or as it was before.

    Raises EnvironmentProblem where matplotlib or jinja2 is not installed, and HpctrainError where a file cannot be
    written.
    """
    check_libraries()
    from matplotlib import rc_context

    found = Findings.of(study)
    try:
        (out / "figures").mkdir(parents=True, exist_ok=True)
        with rc_context(RC):  # type: ignore[arg-type]
            drawn = [_write_figure(drawing, out / "figures") for drawing in drawings(found)]
        for name, text in _pages(found, drawn).items():
            _write(out / name, text.encode())
    except OSError as error:
        raise HpctrainError(f"the report in {out} cannot be written: {error.strerror}") from error


def check_libraries() -> None:
    """Raise EnvironmentProblem where one is missing: better before runs that take hours than after them."""
    try:
        import jinja2  # noqa: F401
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise EnvironmentProblem(
            f'the report needs matplotlib and jinja2 ({error}): pip install "hpctrain[report]"'
        ) from error


def _write_figure(drawing: Drawing, folder: Path) -> Drawn:
    svg = _saved(drawing.figure, "svg", metadata={"Date": None, "Creator": None})
    _write(folder / f"{drawing.name}.svg", svg)
    _write(folder / f"{drawing.name}.png", _saved(drawing.figure, "png", dpi=_DOTS_PER_INCH))
    title = drawing.figure.get_suptitle()
    return Drawn(
        drawing.section,
        drawing.name,
        drawing.caption,
        inline(svg.decode(), drawing.name, f"{title}. {drawing.caption}"),
    )


def _saved(figure: Figure, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format=kind, **options)
    return file.getvalue()


def _pages(found: Findings, drawn: list[Drawn]) -> dict[str, str]:
    """The text of each page, by the name of its file."""
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    pages = Environment(
        loader=PackageLoader("hpctrain.study.report"),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters["cell"] = lambda text: text.replace("|", "\\|").replace("\n", " ")
    content = _content(found, drawn)
    return {name: pages.get_template(template).render(content) for name, template in _PAGES.items()}


def _content(found: Findings, drawn: list[Drawn]) -> dict[str, Any]:
    """What the templates fill in."""
    compared = [table for mode in found.modes if (table := tables.comparison(found, mode))]
    return {
        "study": found.study,
        "question": answer.question(found),
        "period": words.period(found.study.began, found.study.ended),
        "answer": answer.answer(found),
        "key_numbers": answer.key_numbers(found),
        "paragraph": proposal.paragraph(found),
        "modes": [(mode.value, tables.of_mode(found, mode)) for mode in found.modes],
        "compared": compared,
        "paying": tables.paying(found) if found.forecasts else None,
        "forecasts": [tables.forecast(name, each) for name, each in found.forecasts],
        "left_out": list(tables.left_out(found)),
        "unfinished": tables.unfinished(found) if found.unfinished else None,
        "environment": tables.environment(found),
        "commands": list(dict.fromkeys(run.command for run in found.study.runs)),
        "definitions": DEFINITIONS,
        "drawn": drawn,
        "colours": COLOURS,
        "version": __version__,
    }


def _write(path: Path, content: bytes) -> None:
    write_whole(path, lambda file: file.write(content))
