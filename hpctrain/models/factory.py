"""A user's own torch model, named as "package.module:function"."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from hpctrain.errors import ModelError

if TYPE_CHECKING:
    import torch

    from hpctrain.job import settings as job


def call_factory(settings: job.Model, *, input_shape: tuple[int, ...], num_outputs: int, seed: int) -> torch.nn.Module:
    """The model that `settings.factory` makes, called with `settings.options`.

    A factory that names `input_shape` or `num_outputs` among its parameters gets those too. (One that only has
    `**kwargs` does not: it may well hand them to something that knows no such argument.) Modules are looked for where
    Python looks, the current directory first under `python -m`. While the factory runs, torch's CPU generator is seeded
    with `seed`; afterwards it is put back.

    Raises ModelError where there is no such module or function, the options do not fit, or no torch.nn.Module comes
    back. An error inside the factory itself is passed on as it is.
    """
    import torch

    factory = _find(settings.factory)
    arguments = _arguments(factory, settings, {"input_shape": input_shape, "num_outputs": num_outputs})
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model = factory(**arguments)
    if not isinstance(model, torch.nn.Module):
        raise ModelError(
            f'model.factory "{settings.factory}" returned a {type(model).__name__}, and must return a torch.nn.Module'
        )
    return model


def _find(factory: str) -> Callable[..., Any]:
    """The function named "package.module:function"."""
    module_name, _, function_name = factory.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if module_name != missing and not module_name.startswith(missing + "."):
            raise  # the module is there, and something that it imports is not
        raise ModelError(
            f'model.factory is "{factory}", and there is no module "{missing}"{_nearest(missing, _siblings(missing))}. '
            "Start the job from the directory that holds it, or install it"
        ) from None
    function = getattr(module, function_name, None)
    if not callable(function):
        callables = [name for name, value in vars(module).items() if callable(value)]
        raise ModelError(
            f'model.factory is "{factory}", and "{module_name}" has no function "{function_name}"'
            f"{_nearest(function_name, callables)}"
        )
    return function  # type: ignore[no-any-return]


def _siblings(module_name: str) -> list[str]:
    """The modules that can be imported from where `module_name` should be."""
    package, _, _ = module_name.rpartition(".")
    path = getattr(importlib.import_module(package), "__path__", []) if package else None
    prefix = f"{package}." if package else ""
    return [prefix + module.name for module in pkgutil.iter_modules(path)]


def _nearest(name: str, known: Iterable[str]) -> str:
    matches = get_close_matches(name, list(known), n=1)
    return f'; did you mean "{matches[0]}"?' if matches else ""


def _arguments(factory: Callable[..., Any], settings: job.Model, offered: dict[str, Any]) -> dict[str, Any]:
    """The options, and what the factory asks for by name of what is `offered`."""
    try:
        signature = inspect.signature(factory)
    except ValueError:  # some functions written in C do not tell
        return settings.options
    named = {
        name: offered[name]
        for name, parameter in signature.parameters.items()
        if name in offered and parameter.kind is not inspect.Parameter.VAR_KEYWORD
    }
    arguments = {**named, **settings.options}
    try:
        signature.bind(**arguments)
    except TypeError as error:
        raise ModelError(
            f'model.factory "{settings.factory}" takes {signature}, and model.options are {settings.options}: {error}'
        ) from None
    return arguments
