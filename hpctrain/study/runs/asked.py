"""What a person asks of a study, as values: all that its command line says of the runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hpctrain.study.forecast import LARGEST_WORLD, Scaling
from hpctrain.study.runs.variants import Settings


@dataclass(frozen=True)
class ForecastAsked:
    """What is forecast from the runs.

    Attributes:
        modes: none: nothing is.
        link: between nodes, as `links.link_of` takes it; "": what was measured.
        ranks_per_node: 0: those of the largest run.
        largest: ranks.
    """

    modes: tuple[Scaling, ...] = ()
    link: str = ""
    ranks_per_node: int = 0
    largest: int = LARGEST_WORLD


@dataclass(frozen=True)
class Asked:
    """The runs of a study.

    Attributes:
        job: path of the job file; "": the job that comes with the package.
        overrides: settings of all runs.
        ranks: world sizes, ascending.
        modes, repeats, variants: every combination of these with `ranks` is a run.
        out: the directory of the study.
        target: e.g. "test_accuracy=0.95"; "": none.
        steps: of each run; 0: as many as the job says.
        ranks_per_node: 0: all ranks are on one node.
        launcher: line of shell that starts a command as {ranks} ranks; "": what is found here.
        forecast: from the runs.
        command: of the study, as one line of shell.
    """

    job: str
    overrides: Settings
    ranks: tuple[int, ...]
    modes: tuple[Scaling, ...]
    repeats: int
    variants: tuple[Settings, ...]
    out: Path
    target: str = ""
    steps: int = 0
    ranks_per_node: int = 0
    launcher: str = ""
    forecast: ForecastAsked = ForecastAsked()
    command: str = ""
