from __future__ import annotations

import pytest

from hpctrain.errors import InputError
from hpctrain.job.arguments import Parser, at_least, count, positive


@pytest.fixture
def parser() -> Parser:
    made = Parser("python -m hpctrain.submit", description="first line\n  second line")
    made.add_argument("--nodes", type=positive)
    made.add_argument("--gpus", type=count)
    made.add_argument("--repeats", type=at_least(3))
    return made


def test_whole_numbers_are_read(parser: Parser) -> None:
    given = parser.parse_args(["--nodes", "1", "--gpus", "0", "--repeats", "12"])
    assert (given.nodes, given.gpus, given.repeats) == (1, 0, 12)


@pytest.mark.parametrize(
    ("option", "value", "least"),
    [
        ("--nodes", "0", 1),
        ("--gpus", "-1", 0),
        ("--gpus", "1.5", 0),
        ("--gpus", "", 0),
        ("--gpus", "²", 0),
        ("--repeats", "2", 3),
    ],
)
def test_what_is_wrong_is_said_in_one_line(parser: Parser, option: str, value: str, least: int) -> None:
    with pytest.raises(InputError) as caught:
        parser.parse_args([f"{option}={value}"])
    assert str(caught.value) == (
        f"argument {option}: {value} is no whole number, at least {least}; python -m hpctrain.submit --help says more"
    )


def test_the_help_keeps_its_lines(parser: Parser) -> None:
    assert "first line\n  second line" in parser.format_help()
