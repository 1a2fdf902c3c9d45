"""The table of what composes with what, as Markdown: `python -m hpctrain.job.composition_table` prints it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from hpctrain.errors import SettingsError
from hpctrain.job.load import load_job

# Every strategy, and those settings of it that make another algorithm of it.
STRATEGIES: Mapping[str, Sequence[str]] = {
    "all_reduce": ["strategy=all_reduce"],
    "central": ["strategy=central"],
    "parameter_server": ["strategy=parameter_server"],
    "… asynchronous": ["strategy=parameter_server", "consistency=asynchronous"],
    "… bounded": ["strategy=parameter_server", "consistency=bounded"],
    "hogwild": ["strategy=hogwild"],
    "gossip": ["strategy=gossip"],
    "… gradient_tracking": ["strategy=gossip", "gossip=gradient_tracking"],
    "… push_sum": ["strategy=gossip", "gossip=push_sum"],
    "local_sgd": ["strategy=local_sgd"],
    "… elasticity": ["strategy=local_sgd", "elasticity=0.5"],
    "diloco": ["strategy=diloco"],
}

# What one may want besides.
OPTIONS: Mapping[str, Sequence[str]] = {
    "shard=optimizer": ["parallel.shard=optimizer"],
    "shard=gradients": ["parallel.shard=gradients"],
    "shard=parameters": ["parallel.shard=parameters"],
    "compression=fp16": ["parallel.compression=fp16"],
    "compression=bf16": ["parallel.compression=bf16"],
    "compression=int8": ["parallel.compression=int8"],
    "compression=sign": ["parallel.compression=sign"],
    "compression=top_k": ["parallel.compression=top_k"],
    "compression=random_k": ["parallel.compression=random_k"],
    "compression=powersgd": ["parallel.compression=powersgd"],
    "overlap": ["parallel.overlap=true"],
    "fragments=2": ["parallel.fragments=2"],
    "dedicated_servers": ["parallel.dedicated_servers=true"],
    "precision=bf16_mixed": ["training.precision=bf16_mixed"],
    "precision=fp16_mixed": ["training.precision=fp16_mixed"],
    "checkpoint_activations": ["training.checkpoint_activations=true"],
    "reproducible": ["training.reproducible=true"],
    "verify_every": ["comm.verify_every=2"],
    "clip_norm": ["training.clip_norm=1.0"],
    "accumulate": ["training.accumulate=2"],
    "engine=numpy": ["model.engine=numpy"],
}


@dataclass(frozen=True)
class Cell:
    """A strategy with an option: the overrides that ask for both, and why they are refused; "" where they are not."""

    strategy: str
    option: str
    overrides: tuple[str, ...]
    refusal: str


def cells() -> Iterator[Cell]:
    """Every strategy with every option."""
    for strategy, settings in STRATEGIES.items():
        for option, others in OPTIONS.items():
            overrides = (*(f"parallel.{setting}" for setting in settings), *others)
            yield Cell(strategy, option, overrides, _refusal(overrides))


def table() -> str:
    """One row an option, one column a strategy."""
    marks = {(cell.strategy, cell.option): "no" if cell.refusal else "yes" for cell in cells()}
    lines = [
        f"| | {' | '.join(STRATEGIES)} |",
        f"| --- {'| --- ' * len(STRATEGIES)}|",
        *(f"| {option} | {' | '.join(marks[name, option] for name in STRATEGIES)} |" for option in OPTIONS),
    ]
    return "\n".join(lines)


def _refusal(overrides: Sequence[str]) -> str:
    try:
        load_job(None, overrides)
    except SettingsError as error:
        return str(error)
    return ""


if __name__ == "__main__":
    print(table())
