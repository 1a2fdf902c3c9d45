"""Which tensors of a torch module are of 16 bits in mixed precision."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.nn.modules.batchnorm import _NormBase

from hpctrain.parallel.precision import Precision


def kept_dtypes(model: torch.nn.Module, precision: Precision) -> dict[torch.Tensor, torch.dtype]:
    """Of each parameter, the dtype that the model shall compute with.

    float32 becomes 16 bits, but not in layers that keep running statistics (batch and instance normalisation): torch
    computes those from inputs of 16 bits with weights and statistics of 32, and a mean of 16 would stand still.
    """
    kept: dict[torch.Tensor, torch.dtype] = {parameter: parameter.dtype for parameter in model.parameters()}
    if precision.sixteen_bits:
        narrow = getattr(torch, precision.sixteen_bits)
        for module in _computing_in_sixteen_bits(model):
            kept |= {p: narrow for p in module.parameters(recurse=False) if p.dtype == torch.float32}
    return kept


def narrow_untrained(model: torch.nn.Module, precision: Precision) -> None:
    """Have buffers and frozen parameters of the same layers be of the same 16 bits."""
    if not precision.sixteen_bits:
        return
    narrow = getattr(torch, precision.sixteen_bits)
    for module in _computing_in_sixteen_bits(model):
        tensors = [*module.buffers(recurse=False), *module.parameters(recurse=False)]
        for tensor in tensors:
            if tensor.dtype == torch.float32 and not tensor.requires_grad:
                tensor.data = tensor.data.to(narrow)


def _computing_in_sixteen_bits(model: torch.nn.Module) -> Iterator[torch.nn.Module]:
    return (module for module in model.modules() if not isinstance(module, _NormBase))
