"""Summing up: many samples become one row for each case and contender."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from statistics import median, quantiles

from harness.samples import Case, Sample

# Title -> (contender -> those that it is compared with). Of several baselines the one with the lowest median in the
# case is taken. Who is left out has no ratio.
Comparisons = Mapping[str, Mapping[str, Collection[str]]]


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
        value: over the repeats.
        ratios: title of a comparison -> how many times the baseline's value this took. A ratio is taken inside a
            repeat, and the spread is that of the ratios: what slows the whole machine for a while cancels.
        place: "best" or "worst" of the contenders of a case that compete, else "".
    """

    case: Case
    contender: str
    value: Spread
    ratios: Mapping[str, Spread]
    place: str


def summarise(samples: Iterable[Sample], comparisons: Comparisons, competing: Collection[str]) -> list[Row]:
    """One row for each case and contender, in the order in which they were first measured.

    Args:
        samples: of any number of cases.
        comparisons: the ratios that are asked for.
        competing: the contenders among which each case names a best and a worst.
    """
    rows = []
    for case, contenders in _by_case(samples):
        middles = {name: median(repeats.values()) for name, repeats in contenders.items()}
        places = _places({name: middle for name, middle in middles.items() if name in competing})
        for name, repeats in contenders.items():
            baselines = {title: _best(baseline.get(name, ()), middles) for title, baseline in comparisons.items()}
            ratios = {title: _ratios(repeats, contenders[best]) for title, best in baselines.items() if best}
            spreads = {title: Spread.of(numbers) for title, numbers in ratios.items() if numbers}
            rows.append(Row(case, name, Spread.of(list(repeats.values())), spreads, places.get(name, "")))
    return rows


def _by_case(samples: Iterable[Sample]) -> list[tuple[Case, dict[str, dict[int, float]]]]:
    """Case by case: contender -> repeat -> value."""
    cases: dict[tuple[tuple[str, str | int], ...], dict[str, dict[int, float]]] = {}
    for sample in samples:
        contenders = cases.setdefault(tuple(sample.case.items()), {})
        contenders.setdefault(sample.contender, {})[sample.repeat] = sample.value
    return [(dict(case), contenders) for case, contenders in cases.items()]


def _best(names: Collection[str], middles: Mapping[str, float]) -> str | None:
    """Which of those that were measured has the lowest median."""
    return min((name for name in names if name in middles), key=middles.__getitem__, default=None)


def _ratios(repeats: Mapping[int, float], baseline: Mapping[int, float]) -> list[float]:
    return [value / baseline[repeat] for repeat, value in repeats.items() if repeat in baseline]


def _places(middles: Mapping[str, float]) -> dict[str, str]:
    if len(middles) < 2:
        return {}
    return {max(middles, key=middles.__getitem__): "worst", min(middles, key=middles.__getitem__): "best"}
