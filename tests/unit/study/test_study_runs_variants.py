from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpctrain.errors import InputError
from hpctrain.study.runs.variants import folder_of, name_of, variants_of


def test_each_value_is_a_variant_and_several_multiply() -> None:
    assert variants_of([]) == ((),)
    assert variants_of(["parallel.strategy=all_reduce,central"]) == (
        ("parallel.strategy=all_reduce",),
        ("parallel.strategy=central",),
    )
    found = variants_of(["optimizer.lr=0.1,1e+3", "model.channels=[16,32],[8]"])
    assert [name_of(variant) for variant in found] == [
        "optimizer.lr=0.1 model.channels=[16,32]",
        "optimizer.lr=0.1 model.channels=[8]",
        "optimizer.lr=1e+3 model.channels=[16,32]",
        "optimizer.lr=1e+3 model.channels=[8]",
    ]


def test_a_value_brings_along_what_it_needs() -> None:
    found = variants_of(["parallel.strategy=all_reduce,gossip+parallel.topology=ring,gossip+parallel.topology=full"])
    assert found[1:] == (
        ("parallel.strategy=gossip", "parallel.topology=ring"),
        ("parallel.strategy=gossip", "parallel.topology=full"),
    )
    assert folder_of(found[1]) == "strategy=gossip,topology=ring"


def test_names_of_folders_have_no_strange_letters() -> None:
    assert folder_of(("model.channels=[16, 32]", "data.path=/a b/c")) == "channels=-16,-32-,path=-a-b-c"


@pytest.mark.parametrize("wrong", ["", "strategy=a,b", "parallel.strategy", "parallel.strategy=", "a.b=1,,2", "a.b=1,"])
def test_what_is_no_comparison_is_refused(wrong: str) -> None:
    with pytest.raises(InputError, match=r"write section\.key=value,value"):
        variants_of([wrong])


def test_a_variant_is_there_once() -> None:
    with pytest.raises(InputError, match=r"optimizer\.lr=1 is there twice"):
        variants_of(["optimizer.lr=1,2,1"])


@given(st.lists(st.from_regex(r"[a-z0-9.]{1,5}|\[[0-9,]{0,5}\]", fullmatch=True), min_size=1, unique=True))
def test_values_come_back_as_they_were(values: list[str]) -> None:
    assert [name_of(variant) for variant in variants_of(["a.b=" + ",".join(values)])] == [f"a.b={v}" for v in values]
