"""The settings of one run: every key of a job file, its type, its default and what it means.

This page is the reference: `python -m hpctrain.train --help` prints it, job files and `section.key=value` overrides
are validated against it, and `job.json` in the run directory is its dump. Nothing here imports MPI, NumPy or torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from os.path import expanduser
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


@dataclass(frozen=True)
class Words:
    """What a person reads in place of a constraint that is written for a machine."""

    text: str


def _odd(number: int) -> int:
    if number % 2 == 0:
        raise ValueError(f"{number} is even")
    return number


JobName = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$"),
    Words('text of letters, digits, ".", "_" and "-" that starts with a letter or a digit'),
]
FactoryPath = Annotated[
    str,
    Field(pattern=r"^([A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*)?$"),
    Words('text of the form "package.module:function"'),
]
FilePath = Annotated[str, AfterValidator(expanduser)]
Odd = Annotated[int, Field(ge=1), AfterValidator(_odd), Words("an odd whole number, at least 1")]
Width = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """One table of a job file. Unknown keys are refused; a validated section never changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)


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


class Data(Section):
    """What is learned from."""

    source: Literal["digits", "npy", "csv", "parquet", "hdf5", "idx", "cifar", "images", "text", "stdlib"] = Field(
        "digits",
        description="kind of the data; digits come with the package, stdlib is the source text of Python's own "
        "library, the others are read from data.path",
    )
    path: FilePath = Field("", description="training data: a file, or a folder where the source allows one")
    test_path: FilePath = Field(
        "",
        description="test data; empty: the test files that a folder of idx or cifar also holds, "
        "else data.test_fraction of the training data is held out",
    )
    test_fraction: float = Field(
        0.2, ge=0.0, lt=1.0, description="share held out for testing without test_path; stdlib: share of the files"
    )
    split_seed: int = Field(
        0, ge=0, description="key of the choice of held-out samples, and of random and hash partitions"
    )
    features: list[str] = Field([], description="columns or arrays to learn from; empty: all but data.target")
    target: str = Field(
        "",
        description="column or array to predict; empty: the source's own labels (the last column of a CSV, "
        "'label' or 'y' where arrays have names)",
    )
    shape: list[Width] = Field([], description="shape of one sample, e.g. [1, 28, 28]; empty: as the source gives it")
    scale: float = Field(1.0, gt=0.0, description="every input is divided by this first, e.g. 255 for bytes")
    normalize: Literal["none", "standard"] = Field(
        "standard", description="standard: subtract the mean, divide by the deviation of the training data"
    )
    normalize_per: Literal["feature", "sample_shape"] = Field(
        "sample_shape",
        description="one mean and deviation per feature (column of a table; channel of an image, which is the first of "
        "three axes), or one for each position of a sample",
    )
    missing: Literal["refuse", "drop", "impute"] = Field(
        "refuse", description="missing and non-finite values: refuse the data, drop the sample, or impute the mean"
    )
    partition: Literal["auto", "batch", "range", "random", "hash"] = Field(
        "auto",
        description="who reads what. batch: each rank reads its block of every batch; range, random, hash: each rank "
        "holds its own part of the samples and computes on those; auto: batch where samples can be read one by one",
    )
    shuffle: bool = Field(True, description="a new order of the samples each epoch, the same at every world size")
    prefetch: int = Field(2, ge=0, description="batches made ready in the background; 0: none")
    context: int = Field(64, ge=1, description="text, stdlib: number of bytes that a sample shows the model")


class Model(Section):
    """What is trained."""

    kind: Literal["cnn", "mlp", "transformer"] = Field(
        "cnn", description="a built-in model; transformer, a small GPT, is the one that reads text"
    )
    factory: FactoryPath = Field("", description="function that makes your own torch model; replaces model.kind")
    options: dict[str, Any] = Field({}, description="keyword arguments for model.factory")
    engine: Literal["torch", "numpy", "cupy"] = Field("torch", description="what computes forward and backward")
    channels: list[Width] = Field([16, 32], description="cnn: output channels of each convolution block")
    kernel_size: Odd = Field(3, description="cnn: side of the convolution kernels")
    hidden: list[Width] = Field([64], description="cnn, mlp: widths of the hidden fully connected layers")
    layers: int = Field(4, ge=1, description="transformer: blocks of attention and a perceptron")
    width: int = Field(128, ge=1, description="transformer: length of a token's vector, a multiple of model.heads")
    heads: int = Field(4, ge=1, description="transformer: attention heads")
    dropout: float = Field(0.0, ge=0.0, lt=1.0, description="share of hidden activations dropped in training")


class Training(Section):
    """How it is trained."""

    epochs: int = Field(10, ge=1, description="passes over the training data")
    max_steps: int = Field(0, ge=0, description="stop after so many steps; 0: after training.epochs")
    batch_size: int = Field(64, ge=1, description="samples in one step, over all ranks together")
    batch_per_rank: int = Field(0, ge=0, description="samples in one step for each rank; replaces batch_size if not 0")
    accumulate: int = Field(1, ge=1, description="micro-batches that a rank cuts its part of a batch into")
    dtype: Literal["float32", "float64"] = Field("float32", description="type of weights, gradients and inputs")
    loss: Literal["auto", "cross_entropy", "mse"] = Field(
        "auto",
        description="cross_entropy for classes, mse for values; auto: whole numbers and words are classes, "
        "real numbers are values",
    )
    clip_norm: float = Field(0.0, ge=0.0, description="largest global norm of the gradient; 0: not clipped")
    precision: Literal["full", "bf16_mixed", "fp16_mixed"] = Field(
        "full",
        description="full: everything in training.dtype; mixed (torch): forward and backward in 16 bits, weights of "
        "32 bits to update (fp16 with loss scaling)",
    )
    checkpoint_activations: bool = Field(
        False, description="torch: keep only the inputs of each block, and compute the rest again in backward"
    )
    reproducible: bool = Field(
        False,
        description="the same bits at any world size: the batch is cut into training.micro_batches, and gradients "
        "are added up in one fixed order. It takes more time",
    )
    micro_batches: int = Field(
        8, ge=1, description="reproducible: parts of a global batch; ranks beyond so many are idle"
    )
    on_nan: Literal["stop", "skip"] = Field("stop", description="a NaN or infinite loss: end the job, or skip the step")
    evaluate_every: int = Field(1, ge=0, description="epochs between evaluations on the test data; 0: at the end only")


class Optimizer(Section):
    """How a gradient becomes a step. Defaults are torch.optim's."""

    name: Literal["sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw"] = Field(
        "adam", description="rule of the step"
    )
    lr: float = Field(1e-3, gt=0.0, description="learning rate")
    momentum: float = Field(0.9, ge=0.0, lt=1.0, description="momentum, nesterov: share of the last step kept")
    beta1: float = Field(0.9, ge=0.0, lt=1.0, description="adam, adamw: decay of the mean")
    beta2: float = Field(0.999, ge=0.0, lt=1.0, description="adam, adamw: decay of the mean square")
    alpha: float = Field(0.99, ge=0.0, lt=1.0, description="rmsprop: decay of the mean square")
    eps: float = Field(1e-8, gt=0.0, description="adagrad, rmsprop, adam, adamw: added to the divisor")
    weight_decay: float = Field(0.0, ge=0.0, description="pull of every weight towards 0 (adamw: decoupled)")


class Schedule(Section):
    """How the learning rate changes from step to step."""

    name: Literal["constant", "step", "cosine"] = Field(
        "constant", description="step: cut the rate now and then; cosine: lower it along half a wave to the last step"
    )
    warmup_steps: int = Field(0, ge=0, description="steps in which the rate rises linearly from 0")
    step_size: int = Field(100, ge=1, description="step: steps between two cuts of the rate")
    gamma: float = Field(0.1, gt=0.0, le=1.0, description="step: factor of each cut")
    final_factor: float = Field(0.0, ge=0.0, le=1.0, description="cosine: share of the rate left at the last step")
    scale_lr: Literal["none", "linear"] = Field("none", description="linear: optimizer.lr times the world size")


class Parallel(Section):
    """How ranks share the work. Settings that the strategy does not use are refused."""

    strategy: Literal["all_reduce", "central", "parameter_server", "hogwild", "gossip", "local_sgd", "diloco"] = Field(
        "all_reduce",
        description="all_reduce: ranks average gradients, each updates; central: rank 0 gathers, updates, broadcasts; "
        "parameter_server: servers hold the weights, workers push gradients and pull weights; hogwild: every rank "
        "updates weights that all share, when it is ready; gossip: each rank steps alone and mixes weights with its "
        "neighbours; local_sgd: ranks step alone and average now and then; diloco: the same, with an outer optimizer",
    )
    gradient_sync: Literal["auto", "node_shared", "replicated"] = Field(
        "auto",
        description="all_reduce: node_shared: ranks of a node share one copy of the weights and each updates its part; "
        "replicated: each has a copy and updates it; auto: node_shared, where model and optimizer allow it",
    )
    data: int = Field(0, ge=0, description="ranks on the data axis; 0: all of them")
    shard: Literal["none", "optimizer", "gradients", "parameters"] = Field(
        "none",
        description="all_reduce: what each rank holds only its part of, besides what comes before it in this list "
        "(ZeRO stages 1 to 3): the optimizer's state, gradients, weights",
    )
    num_servers: int = Field(1, ge=1, description="parameter_server: ranks that hold a part of the weights each")
    dedicated_servers: bool = Field(False, description="parameter_server: servers only serve, and compute nothing")
    keys: Literal["range", "hash"] = Field(
        "range", description="parameter_server: which server holds a weight: by its place in the model, or by a hash"
    )
    consistency: Literal["synchronous", "asynchronous", "bounded"] = Field(
        "synchronous",
        description="parameter_server: synchronous: all workers step together; asynchronous: none waits for another; "
        "bounded: one waits that is more than max_staleness steps ahead of the slowest",
    )
    max_staleness: int = Field(4, ge=0, description="parameter_server, bounded: steps that a worker may be ahead")
    locking: Literal["none", "shard"] = Field(
        "none",
        description="hogwild: none: ranks write over each other; shard: one rank at a time updates each part",
    )
    topology: Literal[
        "ring",
        "torus",
        "hypercube",
        "exponential",
        "one_peer_exponential",
        "star",
        "full",
        "random_matching",
    ] = Field("ring", description="gossip: who mixes with whom")
    mixing_matrix: FilePath = Field(
        "",
        description="gossip: file (.npy, or numbers as text) of weights w_ij, a row for each rank; replaces topology",
    )
    gossip: Literal["d_psgd", "gradient_tracking", "push_sum"] = Field(
        "d_psgd",
        description="gossip: d_psgd: step, then mix; gradient_tracking: ranks also mix estimates of the mean gradient; "
        "push_sum: for matrices whose columns alone sum to 1",
    )
    overlap: bool = Field(
        False, description="gossip, local_sgd, diloco: weights travel while the next step is computed, one step stale"
    )
    sync_every: int = Field(8, ge=1, description="local_sgd, diloco: steps between two averages")
    sync_growth: float = Field(
        1.0, ge=1.0, description="local_sgd, diloco: after each average, the steps to the next grow by this factor"
    )
    outer_lr: float = Field(0.7, gt=0.0, description="diloco: learning rate of the outer step")
    outer_momentum: float = Field(0.9, ge=0.0, lt=1.0, description="diloco: Nesterov momentum of the outer step")
    elasticity: float = Field(
        0.0,
        ge=0.0,
        lt=1.0,
        description="local_sgd: 0: each rank takes the average; else elastic averaging: each moves this share of the "
        "way towards a common centre, which moves towards them",
    )
    fragments: int = Field(
        1,
        ge=1,
        description="local_sgd, diloco: parts of the model that are averaged in turn, each every sync_every steps",
    )
    compression: Literal["none", "fp16", "bf16", "int8", "sign", "top_k", "random_k", "powersgd"] = Field(
        "none",
        description="what gradients (local_sgd, diloco: changes of the weights) become before they travel; what is "
        "lost is added to the next one (error feedback)",
    )
    compression_ratio: float = Field(
        0.01, gt=0.0, le=1.0, description="top_k, random_k: share of the numbers that is sent"
    )
    compression_rank: int = Field(2, ge=1, description="powersgd: rank of the matrices that are sent")
    error_feedback: Literal["keep", "reset"] = Field(
        "keep",
        description="compression: what a run that is continued does with what was lost before: add it to its first "
        "step (keep), or forget it (reset)",
    )


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


class Checkpoint(Section):
    """What is kept of a run, to continue it. One is always written at the end."""

    every_steps: int = Field(0, ge=0, description="steps between checkpoints; 0: not by steps")
    every_minutes: float = Field(0.0, ge=0.0, description="minutes between checkpoints; 0: not by time")
    keep: int = Field(3, ge=1, description="newest checkpoints kept")


class Job(Section):
    """Every setting of one run."""

    run: Run = Run()
    data: Data = Data()
    model: Model = Model()
    training: Training = Training()
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()
    parallel: Parallel = Parallel()
    comm: Comm = Comm()
    checkpoint: Checkpoint = Checkpoint()
