"""Parameters of a torch module whose numbers are not here: who reads one is told so, and not what freed storage holds.

As torch.nn.UninitializedParameter does it: such a parameter changes its class, and gets its own back with its numbers.
What is known without the numbers may be asked: shape, dtype, gradient, hooks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MethodWrapperType
from typing import Any

import torch

from hpctrain.errors import ModelError

_KNOWN = {
    "__len__",
    "dim",
    "element_size",
    "is_complex",
    "is_contiguous",
    "is_floating_point",
    "ndimension",
    "nelement",
    "numel",
    "register_hook",
    "register_post_accumulate_grad_hook",
    "requires_grad_",
    "size",
    "storage_offset",
    "stride",
    "untyped_storage",
}
_TENSORS = {"H", "T", "data", "imag", "mH", "mT", "real"}  # attributes that are the numbers themselves


class AbsentParameter(torch.nn.Parameter):
    """A parameter between `take_away` and `bring_back`."""

    name_in_model: str
    own_class: type[torch.nn.Parameter]

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """What torch calls for every operation on such a parameter. Raises ModelError where that needs its numbers."""
        kwargs = kwargs or {}
        with torch._C.DisableTorchFunctionSubclass():
            if not _is_known(func):
                for tensor in tensors_in([args, kwargs]):
                    if isinstance(tensor, cls) and tensor.numel() and not tensor.untyped_storage().nbytes():
                        raise ModelError(_refusal(tensor))
            return func(*args, **kwargs)


def _is_known(func: Callable[..., Any]) -> bool:
    """Whether it needs no numbers. Attributes come as methods of what describes them."""
    if isinstance(func, MethodWrapperType):
        return func.__name__ != "__get__" or getattr(func.__self__, "__name__", "") not in _TENSORS
    return func.__name__ in _KNOWN


def _refusal(parameter: AbsentParameter) -> str:
    return (
        f'the weights "{parameter.name_in_model}" are not here: with parallel.shard=parameters each rank keeps a part '
        "of them, and they are whole only while their own module computes. Read weights, state_dict() too, inside "
        "`with hpctrain.consensus(model):`, which all ranks enter; load them before hpctrain.distribute()"
    )


def take_away(parameter: torch.nn.Parameter, name: str) -> None:
    """The storage of this parameter has been freed; `name` as the model calls it."""
    own_class = type(parameter)
    parameter.__class__ = AbsentParameter
    assert isinstance(parameter, AbsentParameter)
    parameter.name_in_model, parameter.own_class = name, own_class


def bring_back(parameter: torch.nn.Parameter) -> None:
    """Its numbers are there again."""
    assert isinstance(parameter, AbsentParameter)
    own_class = parameter.own_class
    del parameter.name_in_model, parameter.own_class
    parameter.__class__ = own_class  # type: ignore[assignment]


def tensors_in(value: Any) -> Iterator[torch.Tensor]:
    """All tensors in what a module returns, or an operation takes."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from tensors_in(item)
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from tensors_in(item)
