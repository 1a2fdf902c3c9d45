"""The tuning file of a job: rank 0 reads it for all."""

from __future__ import annotations

from pathlib import Path

from hpctrain.collectives.all_reduce import ALGORITHMS
from hpctrain.collectives.tuning.file import read
from hpctrain.collectives.tuning.table import Table, family
from hpctrain.collectives.tuning.tuning import Tuning
from hpctrain.comm.communicator import Communicator
from hpctrain.errors import SettingsError
from hpctrain.launch.host import cpu_model


def agreed_tuning(comm: Communicator, file: str, crowded: bool) -> Tuning:
    """What rank 0 reads in `file`, if one is named, its processor, and whether any rank's node is `crowded`.

    The same on all ranks. All ranks; all raise SettingsError where rank 0 cannot use the file.
    """
    found = (_tables(file), cpu_model()) if comm.rank == 0 else ((), "")
    told = comm.gather_objects((*found, crowded))
    tables, processor, _ = told[0]
    if isinstance(tables, SettingsError):
        raise tables
    return Tuning(tables, any(is_crowded for *_, is_crowded in told), processor)


def notes_on(tuning: Tuning, library: str, file: str) -> list[str]:
    """What to say about a file that holds nothing on the `library` that carries the messages."""
    families = sorted({table.family for table in tuning.tables})
    if not families or family(library) in families:
        return []
    return [
        f"{file} was measured with {', '.join(families)}, and messages travel by {library} here: "
        'algorithm "auto" goes by the tables of the package'
    ]


def _tables(file: str) -> tuple[Table, ...] | SettingsError:
    try:
        return read(Path(file).expanduser(), ALGORITHMS) if file else ()
    except SettingsError as error:
        return error
