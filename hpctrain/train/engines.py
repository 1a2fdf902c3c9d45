"""From a job to the engine that computes it, on the device of this rank."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module

from hpctrain.collectives.group import Group
from hpctrain.data.open import OpenedData
from hpctrain.errors import EnvironmentProblem, SettingsError
from hpctrain.job.settings import Job
from hpctrain.models.build import build_nn, build_torch
from hpctrain.optim.build import build_optimizer, build_torch_optimizer
from hpctrain.parallel.precision import Precision
from hpctrain.train.engine import Engine


def build_engine(job: Job, data: OpenedData, group: Group) -> Engine:
    """The engine that `model.engine` names, whose library `import_library` has imported.

    Raises InputError kinds where job, data and machine do not fit together.
    """
    return _BUILDERS[job.model.engine](job, data, group)


def import_library(engine: str) -> None:
    """Import what `engine` computes with. Raises EnvironmentProblem where it is not installed."""
    try:
        import_module(engine)
    except ImportError as error:
        raise EnvironmentProblem(_missing(engine, error)) from error


def _torch(job: Job, data: OpenedData, group: Group) -> Engine:
    import torch

    from hpctrain.models.torch_recompute import recompute_activations
    from hpctrain.optim.torch_uncompiled import leave_compiler_unloaded
    from hpctrain.train.torch_engine import TorchEngine

    model = build_torch(
        job.model,
        input_shape=data.train.sample_shape,
        num_outputs=data.train.num_outputs,
        seed=job.run.seed,
        dtype=job.training.dtype,
    )
    device = _torch_device(job, group, torch.cuda.device_count() if torch.cuda.is_available() else 0)
    if device != "cpu":
        torch.cuda.set_device(device)  # for whatever in somebody's model says "cuda" and means this rank's
    model = model.to(device)
    if job.training.checkpoint_activations:
        recompute_activations(model)
    leave_compiler_unloaded()
    optimizer = build_torch_optimizer(job.optimizer, (p for p in model.parameters() if p.requires_grad))
    inputs = getattr(torch, Precision(job.training.precision).sixteen_bits or "float32")
    return TorchEngine(model, optimizer, loss=_loss(job, data), seed=job.run.seed, inputs=inputs)


def _torch_device(job: Job, group: Group, num_gpus: int) -> str:
    if job.run.device == "cuda" and not num_gpus:
        raise EnvironmentProblem('run.device is "cuda", and torch finds no GPU here: use run.device=auto or cpu')
    if job.run.device == "cpu" or not num_gpus:
        return "cpu"
    return f"cuda:{group.local_rank % num_gpus}"


def _numpy(job: Job, data: OpenedData, group: Group) -> Engine:
    import numpy

    return _nn(job, data, numpy)


def _cupy(job: Job, data: OpenedData, group: Group) -> Engine:
    import cupy

    try:
        num_gpus = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise EnvironmentProblem(f'model.engine is "cupy", and CuPy finds no GPU here ({error})') from error
    cupy.cuda.Device(group.local_rank % num_gpus).use()
    return _nn(job, data, cupy)


def _nn(job: Job, data: OpenedData, xp: object) -> Engine:
    from hpctrain.train.nn_engine import NnEngine

    model = build_nn(
        job.model,
        xp,
        input_shape=data.train.sample_shape,
        num_outputs=data.train.num_outputs,
        seed=job.run.seed,
        dtype=job.training.dtype,
    )
    return NnEngine(model, build_optimizer(job.optimizer, model.named_parameters()), xp, loss=_loss(job, data))


def _loss(job: Job, data: OpenedData) -> str:
    fitting = "mse" if data.train.num_classes is None else "cross_entropy"
    if job.training.loss not in ("auto", fitting):
        raise SettingsError(
            f'training.loss is "{job.training.loss}", and the targets are real numbers: use "{fitting}"'
        )
    return fitting


def _missing(package: str, error: ImportError) -> str:
    extras = {"torch": "hpctrain[torch]", "cupy": "hpctrain[cupy-cuda12x]"}
    others = {"torch": "model.engine=numpy needs none", "cupy": "model.engine=numpy computes the same on the CPU"}
    return (
        f'model.engine is "{package}", and {package} cannot be imported ({error}): '
        f'pip install "{extras[package]}"; {others[package]}'
    )


_BUILDERS: Mapping[str, Callable[[Job, OpenedData, Group], Engine]] = {"torch": _torch, "numpy": _numpy, "cupy": _cupy}
