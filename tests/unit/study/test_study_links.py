"""Links by name and by figures."""

from __future__ import annotations

import pytest

from hpctrain.errors import SettingsError
from hpctrain.study.links import LINKS, link_of


@pytest.mark.parametrize("name", LINKS)
def test_every_link_says_where_it_is_from_and_is_plausible(name: str) -> None:
    found = LINKS[name]
    assert found.source
    assert found.link == link_of(name)
    assert 1e-7 < found.link.alpha < 1e-3
    bits = {"mbit": 1e6, "gbit": 1e9}.get(name.lstrip("0123456789"))
    if bits:
        assert 0.9 < 8 / found.link.beta / (float(name.rstrip("gmbit")) * bits) < 1


def test_a_link_by_its_figures() -> None:
    link = link_of("2us,24GB/s")
    assert (link.alpha, link.beta) == (pytest.approx(2e-6), pytest.approx(1 / 24e9))
    link = link_of("0.05 ms, 940 Mbit/s")
    assert (link.alpha, link.beta) == (pytest.approx(5e-5), pytest.approx(8 / 940e6))


@pytest.mark.parametrize("text", ["hdr", "", "2us", "2us,0GB/s", "2us,1.2.3GB/s", "24GB/s,2us", "2us,24GB"])
def test_others_are_refused_with_the_names(text: str) -> None:
    with pytest.raises(SettingsError, match=r"there are 100mbit, 1gbit.*hdr200.*2us,24GB/s"):
        link_of(text)
