"""Links by name, or by their figures: what a forecast assumes between nodes where another network is asked about.

Seconds a byte follow from the rate and from what headers take of it; they are sure. Seconds a step are nominal: what
MPI takes for a short message between two nodes, a few switches included, to one digit. Libraries, settings and distance
change them by half and more, so measure your own where steps count: `python -m hpctrain.bench collectives`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from hpctrain.collectives.tuning.links import Link
from hpctrain.errors import SettingsError

_TCP = 1448 / 1538  # of an Ethernet frame with 1500 bytes, gap and preamble included, and time stamps in TCP's header
_ROCE = 4096 / 4166  # of a frame with 4096 bytes of data: gap, Ethernet, IP, UDP and InfiniBand headers
_INFINIBAND = 4096 / 4126  # of a packet with 4096 bytes of data


@dataclass(frozen=True)
class NamedLink:
    """A link, and where its figures come from."""

    link: Link
    source: str


def _named(bits_per_second: float, share: float, alpha: float, source: str) -> NamedLink:
    return NamedLink(Link(alpha, 8 / (bits_per_second * share)), source)


LINKS: Mapping[str, NamedLink] = {
    "100mbit": _named(1e8, _TCP, 100e-6, "fast Ethernet, TCP in frames of 1500 bytes; nominal 100 us"),
    "1gbit": _named(
        1e9, _TCP, 25e-6, "Ethernet, TCP in frames of 1500 bytes; 24 us and 118 MB/s at nw-grid.ac.uk/LivMPI"
    ),
    "10gbit": _named(1e10, _TCP, 20e-6, "Ethernet, TCP in frames of 1500 bytes; nominal 20 us"),
    "25gbit": _named(2.5e10, _TCP, 15e-6, "Ethernet, TCP in frames of 1500 bytes; nominal 15 us"),
    "100gbit": _named(1e11, _ROCE, 3e-6, "Ethernet, RoCE v2; nominal 3 us"),
    "hdr100": _named(1e11, _INFINIBAND, 1.5e-6, "InfiniBand HDR on two lanes, packets of 4 KiB; nominal 1.5 us"),
    "hdr200": _named(2e11, _INFINIBAND, 1.5e-6, "InfiniBand HDR, packets of 4 KiB; nominal 1.5 us"),
    "ndr200": _named(2e11, _INFINIBAND, 1.5e-6, "InfiniBand NDR on two lanes, packets of 4 KiB; nominal 1.5 us"),
    "ndr400": _named(4e11, _INFINIBAND, 1.5e-6, "InfiniBand NDR, packets of 4 KiB; nominal 1.5 us"),
    "slingshot11": _named(2e11, _ROCE, 2e-6, "HPE Slingshot with 200 Gbit/s ports, dragonfly; nominal 2 us"),
}
"""Of one port of a node. For nodes with several ports, give the figures of all of them together."""

_FIGURES = re.compile(r"(?P<alpha>[\d.]+) *(?P<time>ns|us|ms) *, *(?P<rate>[\d.]+) *(?P<unit>[KMGT])(?P<kind>bit|B)/s")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3}
_UNITS = {"K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}


def link_of(text: str) -> Link:
    """The link of that name, or of figures such as "2us,24GB/s" or "50us, 940Mbit/s" (no headers taken off).

    Raises SettingsError for anything else.
    """
    if text in LINKS:
        return LINKS[text].link
    found = _FIGURES.fullmatch(text.strip())
    try:
        alpha, rate = (float(found[name]) for name in ("alpha", "rate")) if found else (0.0, 0.0)
    except ValueError:
        found, rate = None, 0.0
    if found is None or not rate:
        raise SettingsError(f'no link "{text}"; there are {", ".join(LINKS)}, or give figures such as "2us,24GB/s"')
    bits = 8 if found["kind"] == "B" else 1
    return Link(alpha * _SECONDS[found["time"]], 8 / (rate * _UNITS[found["unit"]] * bits))
