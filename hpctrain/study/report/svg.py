"""A figure as a part of a page: its colours by name, its ids its own, its text read aloud."""

from __future__ import annotations

import html
import re

from hpctrain.study.report.style import COLOURS

_NAMES = {colour.light: name for name, colour in COLOURS.items()}
_ID = re.compile(r'(\bid="|\bhref="#|url\(#)')


def inline(svg: str, name: str, told: str) -> str:
    """The <svg> element of a file that matplotlib wrote.

    Args:
        svg: text of the file.
        name: of the figure; goes before every id, since figures on one page must not share any.
        told: what the figure shows, for those who do not see it.
    """
    element = svg[svg.index("<svg") :]
    element = re.sub(r"<metadata>.*?</metadata>\s*", "", element, flags=re.DOTALL)
    element = _ID.sub(rf"\g<1>{name}-", element)
    element = re.sub(r"#[0-9a-f]{6}\b", lambda found: _by_name(found[0]), element)
    element = re.sub(r'\s(?:width|height)="[\d.]+pt"', "", element, count=2)  # the page says how wide it is
    return element.replace("<svg", f'<svg role="img" aria-label="{html.escape(told)}"', 1)


def _by_name(colour: str) -> str:
    return f"var(--{_NAMES[colour]})" if colour in _NAMES else colour
