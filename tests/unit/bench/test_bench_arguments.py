"""The command line and its sizes."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpctrain.bench.arguments import OPERATIONS, Asked, parse
from hpctrain.bench.operations import _MAKERS
from hpctrain.bench.sizes import parse_sizes, words
from hpctrain.errors import InputError


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("4:32", (4, 8, 16, 32)),
        ("12:100", (12, 24, 48, 96)),
        ("1M,4,64K,4", (4, 65536, 2**20)),
        ("1.5k", (1536,)),
        ("2 MiB", (2**21,)),
        ("1G", (2**30,)),
    ],
)
def test_sizes(text: str, sizes: tuple[int, ...]) -> None:
    assert parse_sizes(text) == sizes


def test_the_default_is_every_power_of_two_up_to_256_mib() -> None:
    asked = parse(["collectives"])
    assert isinstance(asked, Asked)
    assert asked.sizes == tuple(4 << step for step in range(27))
    assert asked.sizes[-1] == 256 * 2**20
    assert (asked.operations, asked.out, asked.plot, asked.grade) == (("all_reduce",), None, None, None)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("6", "6 bytes are no whole number of elements of 4 bytes"),
        ("8:4", '"8:4": the first size is larger than the last'),
        ("4,,8", '"" is no number of bytes: write 4, 64K, 1M'),
        ("4:", '"" is no number of bytes'),
        ("0", '"0" is no number of bytes'),
        ("1.3", '"1.3" is no number of bytes'),
        ("4T", '"4T" is no number of bytes'),
    ],
)
def test_sizes_that_cannot_be(text: str, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        parse(["collectives", "--sizes", text])


def test_a_size_holds_whole_elements_of_the_dtype() -> None:
    with pytest.raises(InputError, match="12 bytes are no whole number of elements of 8 bytes"):
        parse(["collectives", "--dtype", "float64", "--sizes", "12"])
    assert isinstance(parse(["collectives", "--dtype", "float16", "--sizes", "2"]), Asked)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["colectives"], "invalid choice: 'colectives'"),
        (
            ["collectives", "--opz", "x"],
            "unrecognized arguments: --opz x; python -m hpctrain.bench collectives --help says more",
        ),
        (["collectives", "--ops", "all_reduce,reduce"], '--ops: there is no "reduce": use some of all_reduce, shared'),
        (["collectives", "--plot", "p.jpeg"], r'--plot "p.jpeg": write a name that ends in .png, .svg or .pdf'),
        (["collectives", "--repeats", "2"], "--repeats: 2 is no whole number, at least 3"),
        (["collectives", "--grade", "a", "--out", "b"], "--grade measures, and writes neither --out nor --plot"),
    ],
)
def test_arguments_that_cannot_be(arguments: list[str], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        parse(arguments)


@pytest.mark.parametrize("arguments", [[], ["--help"], ["collectives", "-h"], ["-h", "--nonsense"]])
def test_help(arguments: list[str]) -> None:
    text = parse(arguments)
    assert isinstance(text, str)
    for word in ("mpirun -n 8 python -m hpctrain.bench collectives", "--max-seconds", "Exit codes"):
        assert word in text


def test_paths_are_read() -> None:
    asked = parse(["collectives", "--out", "a.json", "--plot", "b.svg", "--ops", "broadcast, all_gather"])
    assert isinstance(asked, Asked)
    assert (asked.out, asked.plot, asked.operations) == (Path("a.json"), Path("b.svg"), ("broadcast", "all_gather"))


def test_every_operation_that_may_be_named_is_there() -> None:
    assert tuple(_MAKERS) == OPERATIONS


@pytest.mark.parametrize(
    ("num_bytes", "text"), [(4, "4 B"), (1023, "1023 B"), (1024, "1 KiB"), (82122, "80.2 KiB"), (2**28, "256 MiB")]
)
def test_sizes_in_words(num_bytes: int, text: str) -> None:
    assert words(num_bytes) == text
