"""Settings that are right one by one and impossible together. Nothing here looks into the data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hpctrain.job.composition import check_composition
from hpctrain.job.describe import nearest
from hpctrain.job.problem import Problem
from hpctrain.job.settings import Job, Model

# Sources whose inputs and targets have no names that one could choose from.
_NAMELESS = {"digits", "idx", "cifar", "images", "text", "stdlib"}
# Sources that read no files, and what is meant in their place where a path is given.
_WITHOUT_FILES = {"digits": "csv", "stdlib": "text"}
# Sources whose samples are rows of tokens.
_TEXTS = {"text", "stdlib"}
_SOURCES_BY_ENDING = {
    ".npy": "npy",
    ".npz": "npy",
    ".csv": "csv",
    ".parquet": "parquet",
    ".h5": "hdf5",
    ".hdf5": "hdf5",
    ".txt": "text",
}


def check(job: Job) -> Iterator[Problem]:
    """Everything that cannot work, whatever the data and the machine are. Looks whether named files exist."""
    yield from _data(job)
    yield from _model(job)
    yield from _optimizer(job)
    yield from _device(job)
    yield from _resume(job)
    yield from _stage(job)
    yield from check_composition(job)


def _data(job: Job) -> Iterator[Problem]:
    data = job.data
    if data.source not in _WITHOUT_FILES and not data.path:
        yield Problem(("data.path", "data.source"), f'data.source is "{data.source}", and data.path is not set')
    for name, path in {"data.path": data.path, "data.test_path": data.test_path}.items():
        if path and data.source in _WITHOUT_FILES:
            source = _SOURCES_BY_ENDING.get(Path(path).suffix.lower(), _WITHOUT_FILES[data.source])
            text = (
                f'{name} is "{path}", and data.source "{data.source}" reads no files: set data.source, '
                f'e.g. to "{source}"'
            )
            yield Problem((name, "data.source"), text)
        elif path and not _exists(path):
            yield Problem((name,), f'{name} is "{path}", and there is no such file or folder (in {Path.cwd()})')
    for name, chosen in {"data.features": data.features, "data.target": data.target}.items():
        if chosen and data.source in _NAMELESS:
            text = f'{name} is set, and data.source "{data.source}" has no named columns: leave it out'
            yield Problem((name, "data.source"), text)


def _model(job: Job) -> Iterator[Problem]:
    model = job.model
    if model.factory and model.engine != "torch":
        text = f'model.factory makes a torch model, and model.engine is "{model.engine}": leave one of them out'
        yield Problem(("model.engine", "model.factory"), text)
    if model.options and not model.factory:
        text = "model.options are passed to model.factory, and that is not set: set it, or leave the options out"
        yield Problem(("model.options", "model.factory"), text)
    if not model.factory:
        yield from _built_in(job)


def _built_in(job: Job) -> Iterator[Problem]:
    """What a built-in model cannot do; who knows of a model of somebody's own."""
    model, source = job.model, job.data.source
    if source in _TEXTS and model.kind != "transformer":
        text = f'model.kind is "{model.kind}", and data.source "{source}" is text: use model.kind "transformer"'
        yield Problem(("model.kind", "data.source"), text)
    if model.kind == "cnn" and not model.channels:
        text = 'model.channels is [], and a cnn needs a convolution: give widths, or set model.kind to "mlp"'
        yield Problem(("model.channels", "model.kind"), text)
    if model.kind != "transformer":
        return
    if source not in _TEXTS:
        text = f'model.kind "transformer" reads text, and data.source is "{source}": use data.source "text" or "stdlib"'
        yield Problem(("model.kind", "data.source"), text)
    if model.width % model.heads:
        text = f"model.width is {model.width}, and model.heads, {model.heads}, does not divide it: use {_nearby(model)}"
        yield Problem(("model.width", "model.heads"), text)
    if job.training.loss == "mse":
        text = 'training.loss is "mse", and a transformer predicts which byte comes next: use "cross_entropy"'
        yield Problem(("training.loss", "model.kind"), text)


def _nearby(model: Model) -> str:
    """The widths next to the one asked for that the heads divide."""
    below = model.width // model.heads * model.heads
    return f"{below} or {below + model.heads}" if below else f"{model.heads}"


def _optimizer(job: Job) -> Iterator[Problem]:
    if job.optimizer.name == "nesterov" and not job.optimizer.momentum:
        text = 'optimizer.momentum is 0, and optimizer.name "nesterov" is a momentum that looks ahead: set one above 0'
        yield Problem(("optimizer.momentum", "optimizer.name"), text)


def _device(job: Job) -> Iterator[Problem]:
    wanted, engine = job.run.device, job.model.engine
    if wanted == "cuda" and engine == "numpy":
        text = 'run.device is "cuda", and model.engine "numpy" computes on the CPU: use engine "cupy" or "torch"'
        yield Problem(("run.device", "model.engine"), text)
    if wanted == "cpu" and engine == "cupy":
        text = 'run.device is "cpu", and model.engine "cupy" computes on a GPU: use engine "numpy" or "torch"'
        yield Problem(("run.device", "model.engine"), text)


def _resume(job: Job) -> Iterator[Problem]:
    resume = job.run.resume
    if resume not in ("no", "auto") and not _exists(resume):
        meant = nearest(resume, ["no", "auto"])
        hint = f'did you mean "{meant}"?' if meant else f"none is there in {Path.cwd()}"
        text = f'run.resume is "{resume}", and must be "no", "auto" or the path of a checkpoint ({hint})'
        yield Problem(("run.resume",), text)


def _stage(job: Job) -> Iterator[Problem]:
    run = job.run
    for name, value in {"run.stage_dir": run.stage_dir, "run.stage_keep": run.stage_keep}.items():
        if value and run.stage == "none":
            text = (
                f'{name} is for copies on the nodes, and run.stage is "none": set run.stage to "node", or leave it out'
            )
            yield Problem((name, "run.stage"), text)


def _exists(path: str) -> bool:
    try:
        return Path(path).exists()
    except OSError:  # a name that is too long, or a folder that may not be looked into
        return False
