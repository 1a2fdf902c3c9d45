"""Section [run]: where and how a job runs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hpctrain.job.sections.section import FilePath, Section, Words

JobName = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$"),
    Words('text of letters, digits, ".", "_" and "-" that starts with a letter or a digit'),
]


class Run(Section):
    """Where and how the job runs."""

    name: JobName = Field("run", description="name of the job, part of run.dir; not set: the name of the job file")
    dir: FilePath = Field("", description="run directory; empty: runs/<name>/<stamp>")
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="where a torch rank computes; auto: the GPU of its local rank when there is one"
    )
    resume: FilePath = Field(
        "no",
        description='"no"; "auto": continue from the newest complete checkpoint in run.dir (where run.dir is empty: in '
        "the newest run directory of this job), if there is one; or the path of a checkpoint",
    )
    seed: int = Field(0, ge=0, lt=2**32, description="key of every random number: initial weights, order, dropout")
    local_ranks: int = Field(
        0, ge=0, description="start so many ranks on this machine, without MPI; 0: the ranks that a launcher started"
    )
    threads: int = Field(0, ge=0, description="threads per rank; 0: this rank's share of the node's cores")
    log_every: int = Field(10, ge=1, description="steps between lines in metrics.jsonl and in a batch log")
    progress: Literal["auto", "bar", "lines", "none"] = Field(
        "auto", description="auto: a progress bar on a terminal, plain lines elsewhere"
    )
    trace: bool = Field(False, description="write trace.json, a timeline of every rank, to open in a browser")
    stage: Literal["none", "node"] = Field(
        "none",
        description="node: rank 0 reads the installed packages, hpctrain and the data, and each node gets a copy, from "
        "which its ranks go on; none: every rank reads them where they are",
    )
    stage_dir: FilePath = Field(
        "", description="stage: folder for the copies in the local storage of each node; empty: $TMPDIR, or else /tmp"
    )
    stage_keep: bool = Field(False, description="stage: leave the copies on the nodes at the end, for the next job")
    metrics_to: list[Literal["tensorboard", "mlflow", "prometheus"]] = Field(
        [],
        description="where metrics go besides metrics.jsonl: TensorBoard's event files, in the run directory; MLflow, "
        "where MLFLOW_TRACKING_URI says, else in the run directory; metrics.prom, text for Prometheus",
    )
