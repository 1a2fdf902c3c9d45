"""What a report tells of: the study, its series, the variant that it speaks of first, and the machine in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from hpctrain.bench.sizes import words as bytes_in_words
from hpctrain.study.forecast import Forecast, Scaling
from hpctrain.study.report import words
from hpctrain.study.results import Run, Study
from hpctrain.study.scaling import Series, World, all_series

MODES = (Scaling.STRONG, Scaling.WEAK)


@dataclass(frozen=True)
class Findings:
    """A study as its report sees it.

    Attributes:
        study: all of it.
        series: of the runs that completed.
        names: short ones, by variant.
    """

    study: Study
    series: tuple[Series, ...]
    names: Mapping[str, str]

    @classmethod
    def of(cls, study: Study) -> Findings:
        """Do the arithmetic."""
        variants = list(dict.fromkeys(run.variant for run in study.runs))
        return cls(study, all_series(study.runs), words.labels(variants))

    @property
    def compares(self) -> bool:
        """Whether there are several variants."""
        return len(self.names) > 1

    def of_mode(self, mode: Scaling) -> tuple[Series, ...]:
        """The series in that mode, in the order of variants."""
        return tuple(series for series in self.series if series.mode is mode)

    def shared_ranks(self, mode: Scaling) -> int:
        """The largest world that all series of the mode have; 0 where there is none."""
        sizes = [{world.ranks for world in series.worlds} for series in self.of_mode(mode)]
        return max(set.intersection(*sizes), default=0) if sizes else 0

    @cached_property
    def lead(self) -> tuple[Series, ...]:
        """All modes of the variant that is told of first.

        With a target the variant that reaches it in the fewest node-hours; without, or where none does, the one with
        the most samples a second in the largest world that all have, in strong scaling if that was asked for.
        """
        best = min(self.series, key=self._rank_of, default=None)
        return tuple(series for series in self.series if best and series.variant == best.variant)

    def _rank_of(self, series: Series) -> tuple[float, int, float]:
        """Sorts series, the best first."""
        world = series.at(self.shared_ranks(series.mode) or series.largest.ranks)
        return series.cheapest.cost, MODES.index(series.mode), -world.samples_per_second.value

    @property
    def cheapest(self) -> World | None:
        """The world of the lead that reaches the target in the fewest node-hours; None where none reaches it."""
        best = min((series.cheapest for series in self.lead), key=lambda world: world.cost, default=None)
        return best if best and best.node_hours else None

    @property
    def modes(self) -> tuple[Scaling, ...]:
        """Those asked for."""
        return tuple(mode for mode in MODES if any(run.mode is mode for run in self.study.runs))

    @property
    def unfinished(self) -> tuple[Run, ...]:
        """Runs that did not complete: they failed, were stopped, or were not run."""
        return tuple(run for run in self.study.runs if run.status != "completed")

    @property
    def forecasts(self) -> tuple[tuple[str, Forecast], ...]:
        """All, each with a name that no other of its mode has."""
        return tuple(
            (self._name_of(variant, found), found) for variant, group in self.study.forecasts.items() for found in group
        )

    def _name_of(self, variant: str, found: Forecast) -> str:
        alone = sum(other.scaling is found.scaling for other in self.study.forecasts[variant]) == 1
        told = self.names.get(variant, variant) if self.compares else ""
        return told if told and alone else ": ".join(filter(None, [told, str(found.strategy)]))

    @property
    def machine(self) -> str:
        """Nodes, processors and MPI, as a part of a sentence."""
        nodes = self.study.environment.get("nodes") or []
        used = max((run.nodes for run in self.study.runs if run.status == "completed"), default=len(nodes))
        mpi = self.study.environment.get("mpi")
        kinds = list(dict.fromkeys(map(_node_in_words, nodes)))
        details = "; ".join(filter(None, [" or ".join(kinds), mpi]))
        return f"{words.count(used, 'node')}{' of this kind' if used > 1 and kinds else ''} ({details})".replace(
            " ()", ""
        )


def _node_in_words(node: Mapping[str, Any]) -> str:
    """E.g. "AMD EPYC, 2 cores, 23.5 GiB of memory, 4 NVIDIA A100"."""
    return ", ".join([
        str(node.get("cpu", "unknown processor")),
        words.count(int(node.get("cores", 0)), "core"),
        f"{bytes_in_words(node.get('memory_bytes', 0))} of memory",
        *_gpus_in_words(node.get("gpus") or ()),
    ])  # fmt: skip


def _gpus_in_words(gpus: Sequence[str]) -> list[str]:
    return [f"{list(gpus).count(name)} x {name}" for name in dict.fromkeys(gpus)]
