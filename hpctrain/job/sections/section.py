"""What the sections of a job file are made of: tables that refuse unknown keys, and types of more than one of them."""

from __future__ import annotations

from dataclasses import dataclass
from os.path import expanduser
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


@dataclass(frozen=True)
class Words:
    """What a person reads in place of a constraint that is written for a machine."""

    text: str


FilePath = Annotated[str, AfterValidator(expanduser)]
Width = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """One table of a job file. Unknown keys are refused; a validated section never changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)
