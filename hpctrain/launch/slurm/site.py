"""The profile of a site: what batch scripts must say on one cluster, and not on another.

A profile is a TOML file whose keys are the fields of `Site`. `--site NAME` means slurm/sites/NAME.toml in the working
directory, and anything that ends in .toml is a path.
"""

from __future__ import annotations

import os
import pwd
import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from hpctrain.errors import SettingsError
from hpctrain.job.describe import expected, nearest, written
from hpctrain.job.problem import settings_error
from hpctrain.job.sections.section import Section, Words

SITES = Path("slurm/sites")

Word = Annotated[str, Field(pattern=r"^\S*$"), Words("text without spaces")]


class Site(Section):
    """What a cluster wants to be told. The defaults are a plain Slurm."""

    partition: Word = Field("", description="empty: the default partition")
    account: Word = Field("", description="on whose account jobs are charged")
    cores_per_node: int = Field(0, ge=0, description="to share out among the ranks of a node; 0: not known")
    threads_per_core: int = Field(
        0, ge=0, le=2, description="hardware threads of a core that ranks use: 1, 2, or 0: as Slurm is set"
    )
    gpus_per_node: Annotated[int | None, Words("a whole number, at least 0")] = Field(
        None, ge=0, description="the most that a job can ask for; not set: not known"
    )
    gpu_type: Word = Field("", description="as in --gres=gpu:TYPE:4")
    launcher: Literal["mpirun", "srun-pmix", "srun-pmi2"] = Field("mpirun", description="what starts the ranks")
    modules: list[Word] = Field([], description="environment modules to load")
    setup: list[str] = Field([], description="lines of shell after that, e.g. source .venv/bin/activate")
    interface: Word = Field("", description="network interface for TCP, e.g. ib0; empty: MPI chooses")
    scratch: Word = Field(
        "", description="folder in which runs/ lies, %u: the user's name; empty: the working directory"
    )
    options: list[str] = Field([], description="further options of sbatch, e.g. --qos=normal")


def load_site(name: str) -> Site:
    """The profile of that name or path; "" is a plain Slurm.

    Raises SettingsError where there is none, with the nearest names, and for keys and values that are not allowed.
    """
    if not name:
        return Site()
    path = Path(name) if name.endswith(".toml") else SITES / f"{name}.toml"
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(_unknown(name)) from None
    except (OSError, ValueError) as error:  # not to be read; not UTF-8; not TOML
        raise SettingsError(f"{path}: {error}") from None
    try:
        site = Site.model_validate(table, strict=True)
    except ValidationError as error:
        wrong = dict.fromkeys(str(entry["loc"][0]) for entry in error.errors())
        raise settings_error([f"{path}: {_problem(key, table[key])}" for key in wrong]) from None
    user = pwd.getpwuid(os.getuid()).pw_name if "%u" in site.scratch else ""
    return site.model_copy(update={"scratch": os.path.expanduser(site.scratch).replace("%u", user)})


def _unknown(name: str) -> str:
    names = sorted(path.stem for path in SITES.glob("*.toml"))
    meant = nearest(name, names)
    hint = f" (did you mean {meant}?)" if meant else ""
    there = f"there are {', '.join(names)}" if names else "there are none"
    return f'no site "{name}"{hint}: in {SITES.absolute()} {there}; or give the path of a .toml file'


def _problem(key: str, value: object) -> str:
    field = Site.model_fields.get(key)
    if field is None:
        meant = nearest(key, list(Site.model_fields))
        hint = f" (did you mean {meant}?)" if meant else ""
        return f"a site has no {key}{hint}; it has {', '.join(Site.model_fields)}"
    return f"{key} is {written(value)}, and must be {expected(field)}"
