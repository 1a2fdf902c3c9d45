"""Summing up: many samples become one row for each case and contender."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from statistics import median, quantiles

from harness.samples import Sample


@dataclass(frozen=True)
class Spread:
    """The middle of some numbers, and the quartiles between which half of them lie."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, numbers: list[float]) -> Spread:
        """Quartiles as NumPy's default has them; one number is its own."""
        low, _, high = quantiles(numbers, n=4, method="inclusive") if len(numbers) > 1 else numbers * 3
        return cls(median(numbers), low, high)


@dataclass(frozen=True)
class Row:
    """One contender in one case.

    Attributes:
        case, contender: of whom this speaks.
        seconds: over the repeats.
        ratios: title of a comparison -> how many times the baseline's seconds this took. A ratio is taken inside a
            repeat, and the spread is that of the ratios: what slows the whole machine for a while cancels.
        place: "fastest" or "slowest" of the contenders of a case that compete, else "".
    """

    case: Mapping[str, str | int]
    contender: str
    seconds: Spread
    ratios: Mapping[str, Spread]
    place: str


def summarise(
    samples: Iterable[Sample], comparisons: Mapping[str, Mapping[str, str]], competing: Collection[str]
) -> list[Row]:
    """One row for each case and contender, in the order in which they were first measured.

    Args:
        samples: of any number of cases.
        comparisons: title -> (contender -> the contender that it is compared with); who is left out has no ratio.
        competing: the contenders among which each case names a fastest and a slowest.
    """
    rows = []
    for case, contenders in _by_case(samples):
        middles = {name: median(repeats.values()) for name, repeats in contenders.items()}
        places = _places({name: middle for name, middle in middles.items() if name in competing})
        for name, repeats in contenders.items():
            ratios = {
                title: _ratio(repeats, contenders[baseline[name]])
                for title, baseline in comparisons.items()
                if baseline.get(name) in contenders
            }
            rows.append(Row(case, name, Spread.of(list(repeats.values())), ratios, places.get(name, "")))
    return rows


def _by_case(samples: Iterable[Sample]) -> list[tuple[Mapping[str, str | int], dict[str, dict[int, float]]]]:
    """Case by case: contender -> repeat -> seconds."""
    cases: dict[tuple[tuple[str, str | int], ...], dict[str, dict[int, float]]] = {}
    for sample in samples:
        contenders = cases.setdefault(tuple(sample.case.items()), {})
        contenders.setdefault(sample.contender, {})[sample.repeat] = sample.seconds
    return [(dict(case), contenders) for case, contenders in cases.items()]


def _ratio(repeats: Mapping[int, float], baseline: Mapping[int, float]) -> Spread:
    return Spread.of([seconds / baseline[repeat] for repeat, seconds in repeats.items() if repeat in baseline])


def _places(middles: Mapping[str, float]) -> dict[str, str]:
    if len(middles) < 2:
        return {}
    return {max(middles, key=middles.__getitem__): "slowest", min(middles, key=middles.__getitem__): "fastest"}
