"""Where metrics go besides metrics.jsonl. Each program's library is imported only where it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec

from hpctrain.errors import EnvironmentProblem
from hpctrain.job.settings import Job
from hpctrain.launch.run_dir import RunDir
from hpctrain.train.callbacks.callback import Callback
from hpctrain.train.callbacks.metric_lines import Told

_NEEDED = {
    "tensorboard": ("tensorboardX", "hpctrain[live]"),
    "mlflow": ("mlflow", "hpctrain[mlflow]"),
    "prometheus": ("prometheus_client", "hpctrain[live]"),
}


def check_installed(kinds: Sequence[str]) -> None:
    """Raise EnvironmentProblem where an entry of run.metrics_to needs what is not installed. Imports nothing."""
    for kind in kinds:
        module, extra = _NEEDED[kind]
        if find_spec(module) is None:
            raise EnvironmentProblem(
                f'run.metrics_to has "{kind}", which needs {module}, and that is not installed: pip install "{extra}"'
            )


def exports(job: Job, run_dir: RunDir, note: Callable[[str], None]) -> list[Callback]:
    """The callbacks that run.metrics_to asks for. Each tells `note` once if what it writes to is away. Rank 0."""
    makers = {"tensorboard": _tensorboard, "mlflow": _mlflow, "prometheus": _prometheus}
    return [makers[kind](job, run_dir, Told(note)) for kind in dict.fromkeys(job.run.metrics_to)]


def _tensorboard(job: Job, run_dir: RunDir, tell: Told) -> Callback:
    from hpctrain.train.callbacks.tensorboard import TensorBoard

    return TensorBoard(run_dir.tensorboard, job.run.log_every, tell)


def _mlflow(job: Job, run_dir: RunDir, tell: Told) -> Callback:
    from hpctrain.train.callbacks.mlflow import Mlflow

    return Mlflow(run_dir.mlflow, job.model_dump(), job.run.log_every, tell)


def _prometheus(job: Job, run_dir: RunDir, tell: Told) -> Callback:
    from hpctrain.train.callbacks.prometheus import Prometheus

    return Prometheus(run_dir.prometheus, job.run.log_every, tell)
