"""What composes with what: which settings a strategy uses, and which it cannot be combined with, and why.

The table in docs/howto/strategies.md is made of this page, and a test tries every cell of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from hpctrain.job.problem import Problem
from hpctrain.job.settings import Job, Parallel

Says = Callable[[Job], bool]

# Settings of [parallel] that belong to some strategies only. What is not here belongs to all.
USED_BY: Mapping[str, tuple[str, ...]] = {
    "gradient_sync": ("all_reduce",),
    "shard": ("all_reduce",),
    "num_servers": ("parameter_server",),
    "dedicated_servers": ("parameter_server",),
    "keys": ("parameter_server",),
    "consistency": ("parameter_server",),
    "max_staleness": ("parameter_server",),
    "locking": ("hogwild",),
    "topology": ("gossip",),
    "mixing_matrix": ("gossip",),
    "gossip": ("gossip",),
    "overlap": ("gossip", "local_sgd", "diloco"),
    "sync_every": ("local_sgd", "diloco"),
    "sync_growth": ("local_sgd", "diloco"),
    "outer_lr": ("diloco",),
    "outer_momentum": ("diloco",),
    "elasticity": ("local_sgd",),
    "fragments": ("local_sgd", "diloco"),
}

# Settings that say more about another one.
USED_WITH: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "max_staleness": ("consistency", ("bounded",)),
    "compression_ratio": ("compression", ("top_k", "random_k")),
    "compression_rank": ("compression", ("powersgd",)),
    "error_feedback": ("compression", ("fp16", "bf16", "int8", "sign", "top_k", "random_k", "powersgd")),
}


@dataclass(frozen=True)
class Rule:
    """Two settings that do not go together.

    Attributes:
        keys: of what, the one to change first.
        breaks: whether a job has both.
        reason: why not, and what to use instead.
    """

    keys: tuple[str, ...]
    breaks: Says
    reason: str


RULES = (
    Rule(
        ("parallel.shard", "parallel.gradient_sync"),
        lambda job: job.parallel.shard != "none" and job.parallel.gradient_sync != "auto",
        "parallel.shard says itself where gradients meet: leave parallel.gradient_sync out",
    ),
    Rule(
        ("parallel.compression", "parallel.gradient_sync"),
        lambda job: job.parallel.compression != "none" and job.parallel.gradient_sync == "node_shared",
        "ranks that share memory send no gradients that could be compressed: "
        "leave one of the two out, or use parallel.gradient_sync=replicated",
    ),
    Rule(
        ("parallel.compression", "parallel.shard"),
        lambda job: job.parallel.compression != "none" and job.parallel.shard in ("gradients", "parameters"),
        "the error that compression makes is kept for each whole gradient, which shard=gradients and parameters do not "
        "keep: use parallel.shard=optimizer",
    ),
    Rule(
        ("parallel.compression", "parallel.strategy"),
        lambda job: job.parallel.compression != "none" and job.parallel.strategy == "hogwild",
        "hogwild writes into the weights themselves, and nothing travels that could be compressed: "
        "use parallel.strategy=parameter_server with consistency=asynchronous",
    ),
    Rule(
        ("parallel.dedicated_servers", "data.partition"),
        lambda job: job.parallel.dedicated_servers and job.data.partition in ("range", "random", "hash"),
        "ranks that only serve would hold samples that nobody computes: use data.partition=batch",
    ),
    Rule(
        ("parallel.overlap", "parallel.gossip"),
        lambda job: job.parallel.overlap and job.parallel.gossip != "d_psgd",
        "gradient_tracking and push_sum need the numbers of this step: use parallel.gossip=d_psgd, or no overlap",
    ),
    Rule(
        ("parallel.overlap", "parallel.compression"),
        lambda job: job.parallel.overlap and job.parallel.compression != "none" and job.parallel.strategy == "gossip",
        "compressed gossip needs the numbers of this step: use compression=none, or no overlap",
    ),
    Rule(
        ("parallel.compression", "parallel.gossip"),
        lambda job: job.parallel.compression != "none" and job.parallel.gossip != "d_psgd",
        "compressed gossip (CHOCO) mixes weights alone: use parallel.gossip=d_psgd",
    ),
    Rule(
        ("parallel.compression", "parallel.topology"),
        lambda job: (
            job.parallel.compression != "none"
            and job.parallel.strategy == "gossip"
            and job.parallel.topology in ("one_peer_exponential", "random_matching")
        ),
        "compressed gossip keeps a copy of each neighbour's weights, so a rank must keep its neighbours: "
        "use ring, torus, hypercube, exponential, star or full",
    ),
    Rule(
        ("parallel.compression", "parallel.elasticity"),
        lambda job: job.parallel.compression != "none" and job.parallel.elasticity > 0,
        "elastic averaging sends weights, and compression is for changes of them: use elasticity=0",
    ),
    Rule(
        ("parallel.elasticity", "parallel.overlap"),
        lambda job: job.parallel.elasticity > 0 and job.parallel.overlap,
        "elastic averaging moves a rank and the centre towards each other at one moment: use no overlap",
    ),
    Rule(
        ("training.reproducible", "parallel.strategy"),
        lambda job: job.training.reproducible and job.parallel.strategy != "all_reduce",
        "the same bits at any world size need the sum of all gradients in every step: use parallel.strategy=all_reduce",
    ),
    Rule(
        ("training.reproducible", "parallel.gradient_sync"),
        lambda job: job.training.reproducible and job.parallel.gradient_sync != "auto",
        "reproducible sums have a way of their own: leave parallel.gradient_sync out",
    ),
    Rule(
        ("training.reproducible", "parallel.shard"),
        lambda job: job.training.reproducible and job.parallel.shard != "none",
        "reproducible sums are kept whole by every rank: use parallel.shard=none",
    ),
    Rule(
        ("training.reproducible", "parallel.compression"),
        lambda job: job.training.reproducible and job.parallel.compression != "none",
        "what compression loses depends on which rank held which sample: use parallel.compression=none",
    ),
    Rule(
        ("training.reproducible", "training.accumulate"),
        lambda job: job.training.reproducible and job.training.accumulate > 1,
        "reproducible training cuts the batch into training.micro_batches: leave training.accumulate out",
    ),
    Rule(
        ("training.reproducible", "training.batch_per_rank"),
        lambda job: job.training.reproducible and job.training.batch_per_rank > 0,
        "the batch must be the same at any world size: use training.batch_size",
    ),
    Rule(
        ("training.reproducible", "schedule.scale_lr"),
        lambda job: job.training.reproducible and job.schedule.scale_lr != "none",
        "the learning rate must be the same at any world size: use schedule.scale_lr=none",
    ),
    Rule(
        ("training.reproducible", "data.partition"),
        lambda job: job.training.reproducible and job.data.partition in ("range", "random", "hash"),
        "each rank must be able to read any sample of a batch: use data.partition=batch",
    ),
    Rule(
        ("comm.verify_every", "parallel.strategy"),
        lambda job: job.comm.verify_every > 0 and job.parallel.strategy in ("gossip", "hogwild"),
        "ranks hold different weights here, and are meant to: use verify_every=0",
    ),
    Rule(
        ("comm.verify_every", "parallel.consistency"),
        lambda job: (
            job.comm.verify_every > 0
            and job.parallel.strategy == "parameter_server"
            and job.parallel.consistency != "synchronous"
        ),
        "ranks that do not step together hold different weights, and are meant to: use verify_every=0",
    ),
    Rule(
        ("training.precision", "model.engine"),
        lambda job: job.training.precision != "full" and job.model.engine != "torch",
        "mixed precision is torch's: use model.engine=torch, or training.precision=full",
    ),
    Rule(
        ("training.precision", "parallel.strategy"),
        lambda job: job.training.precision != "full" and job.parallel.strategy not in ("all_reduce", "central"),
        "here ranks send weights, and those that the model computes with are rounded to 16 bits: "
        "use parallel.strategy=all_reduce, or training.precision=full",
    ),
    Rule(
        ("parallel.shard", "model.engine"),
        lambda job: job.parallel.shard == "parameters" and job.model.engine != "torch",
        "weights that are there only while they are used need hooks around each layer, which torch has: "
        "use model.engine=torch, or parallel.shard=gradients",
    ),
    Rule(
        ("training.precision", "training.dtype"),
        lambda job: job.training.precision != "full" and job.training.dtype != "float32",
        "mixed precision updates weights of float32: use training.dtype=float32",
    ),
    Rule(
        ("training.checkpoint_activations", "model.engine"),
        lambda job: job.training.checkpoint_activations and job.model.engine != "torch",
        "activation checkpointing is torch's: use model.engine=torch",
    ),
)


def check_composition(job: Job) -> Iterator[Problem]:
    """Everything of a job that does not go together, with what to use instead."""
    yield from _unused(job.parallel)
    yield from (Problem(rule.keys, _both(job, rule)) for rule in RULES if rule.breaks(job))


def _unused(parallel: Parallel) -> Iterator[Problem]:
    """Settings that would do nothing."""
    for key, field in Parallel.model_fields.items():
        value = getattr(parallel, key)
        if value == field.default:
            continue
        other, allowed = USED_WITH.get(key, ("strategy", USED_BY.get(key, ())))
        for name, wanted in {"strategy": USED_BY.get(key, ()), other: allowed}.items():
            found = getattr(parallel, name)
            if wanted and found not in wanted:
                text = f"parallel.{key} is for parallel.{name} {' or '.join(wanted)}, and that is {found}: leave it out"
                yield Problem((f"parallel.{key}", f"parallel.{name}"), text)
                break


def _both(job: Job, rule: Rule) -> str:
    settings = " and ".join(f"{key}={_value(job, key)}" for key in rule.keys)
    return f"{settings} do not go together: {rule.reason}"


def _value(job: Job, key: str) -> str:
    section, _, name = key.partition(".")
    value = getattr(getattr(job, section), name)
    return str(value).lower() if isinstance(value, bool) else str(value)
