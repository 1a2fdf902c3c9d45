"""Programs take turns, and their samples get the names that results have."""

from __future__ import annotations

from pathlib import Path

from harness.program import Program, launch_in_turns
from harness.samples import Sample, append_samples

CASE = {"ranks": 2}


def test_every_program_is_launched_once_in_each_repeat() -> None:
    launched: list[str] = []

    def launch(program: Program, out: Path) -> None:
        assert not out.exists()
        name, *_ = program.contenders
        launched.append(name)
        append_samples(out, [Sample(CASE, contender, 0, len(launched)) for contender in program.contenders])

    programs = [Program({"mpi": "Open MPI"}), Program({"auto": "hpctrain auto", "ring": "hpctrain ring"})]
    samples = list(launch_in_turns(programs, 2, launch))
    assert launched == ["mpi", "auto", "mpi", "auto"]
    assert samples == [
        Sample(CASE, "Open MPI", 0, 1),
        Sample(CASE, "hpctrain auto", 0, 2),
        Sample(CASE, "hpctrain ring", 0, 2),
        Sample(CASE, "Open MPI", 1, 3),
        Sample(CASE, "hpctrain auto", 1, 4),
        Sample(CASE, "hpctrain ring", 1, 4),
    ]
