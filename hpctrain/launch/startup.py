"""What the time goes into before the first step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, get_args

from hpctrain.launch.age import process_age_seconds

Part = Literal["import", "mpi_init", "stage", "run_dir", "data", "model", "resume"]
PARTS: tuple[Part, ...] = get_args(Part)
"""In the order in which they come:

    import     Python itself, the packages, the settings: slow where a shared file system is
    mpi_init   the ranks find each other, and wait for the last one that imports
    stage      the environment and the data are copied to the nodes (run.stage)
    run_dir    the run directory is made, and says who runs what on what
    data       opened, cleaned and measured
    model      the model, its optimizer and the plan are made; torch imports more of itself meanwhile
    resume     a checkpoint is found and read
"""


class Startup:
    """Divides the time from the start of this process to its first step into parts, which add up to the whole.

    Attributes:
        seconds: of each part, as far as it is over.
    """

    def __init__(self, age: Callable[[], float] = process_age_seconds) -> None:
        """`age` tells the seconds since the process was started."""
        self._age = age
        self.seconds: dict[str, float] = dict.fromkeys(PARTS, 0.0)

    @property
    def total(self) -> float:
        """Seconds from the start of the process to the end of the last part."""
        return sum(self.seconds.values())

    def end(self, part: Part) -> None:
        """What has passed since the last part ended belongs to `part`, which may come in several pieces."""
        self.seconds[part] += self._age() - self.total


def slowest(seconds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Of each part the most that any rank took; `seconds` are those of all ranks."""
    return {part: max(mine[part] for mine in seconds) for part in PARTS}


def words(seconds: Mapping[str, float]) -> str:
    """The parts that took any time to speak of, e.g. "import 1.52, mpi_init 0.31"."""
    return ", ".join(f"{part} {value:.2f}" for part, value in seconds.items() if value >= 0.005)
