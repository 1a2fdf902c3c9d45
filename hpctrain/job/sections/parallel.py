"""Section [parallel]: how ranks share the work."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from hpctrain.job.sections.section import FilePath, Section


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
