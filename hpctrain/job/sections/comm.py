"""Section [comm]: how ranks talk."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from hpctrain.job.sections.section import FilePath, Section


class Comm(Section):
    """How ranks talk."""

    algorithm: Literal[
        "auto",
        "native",
        "ring",
        "naive",
        "recursive_doubling",
        "rabenseifner",
        "tree",
        "swing",
        "node_shared",
        "hierarchical",
    ] = Field(
        "auto",
        description="all-reduce: native is MPI's own, naive the readable oracle; auto: what was measured to be the "
        "fastest for so many bytes on so many ranks",
    )
    tuning_file: FilePath = Field(
        "",
        description="what comm.algorithm=auto goes by, from python -m hpctrain.bench collectives --out FILE; empty: "
        "the file that the environment variable HPCTRAIN_TUNING names, else the tables of the package",
    )
    check: bool = Field(
        False,
        description="before each collective ranks agree on what it is, on which arrays and from which line; where they "
        "differ, all end with a message that says how. For finding mistakes: it takes time",
    )
    stall_seconds: float = Field(
        300.0,
        ge=0.0,
        description="a rank that waits so long in one call is reported, with what the others do instead; 0: never",
    )
    stall_action: Literal["report", "stop"] = Field(
        "report", description="after such a report: go on waiting, or end all ranks with exit code 1"
    )
    verify_every: int = Field(
        0,
        ge=0,
        description="steps between comparisons of the weights that ranks hold, which must be the same; 0: never",
    )
    verify_action: Literal["stop", "resync"] = Field(
        "stop",
        description="where weights differ: end all ranks with a message, or give all the weights of the lowest rank",
    )
    bucket_bytes: int = Field(
        4 * 2**20, ge=1, description="gradients travel in buckets of at least one array and about this many bytes"
    )
    device_path: Literal["auto", "nccl", "cuda_aware", "staged"] = Field(
        "auto",
        description="how gradients on GPUs are averaged: by NCCL (CuPy, and a GPU for each rank), by an MPI that reads "
        "GPU memory, or in pieces through host memory; auto: the first of these that works here",
    )
