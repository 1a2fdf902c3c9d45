"""Whether the ranks of a node can share the memory of a model."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from hpctrain.arrays.library import gpu_arrays_of

# torch's own optimizers that treat each element of a parameter by itself, so that any part can be updated anywhere.
ELEMENT_BY_ELEMENT = {
    "ASGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "NAdam",
    "RAdam",
    "RMSprop",
    "Rprop",
    "SGD",
}


def is_on_gpu(model: Any) -> bool:
    """Whether some of its parameters are."""
    named = model.named_parameters() if hasattr(model, "named_parameters") else ()
    return any(gpu_arrays_of(getattr(parameter, "value", parameter)) is not None for _, parameter in named)


def why_not_shared(model: Any, optimizer: Any) -> str:
    """Why the ranks of a node cannot share weights and gradients and share out the updates; empty where they can."""
    torch = sys.modules.get("torch")  # a torch module can only exist where torch is imported
    if torch is not None and isinstance(model, torch.nn.Module):
        return _why_not_torch(torch, model, optimizer)
    values = (
        [parameter.value for _, parameter in model.named_parameters()] if hasattr(model, "named_parameters") else []
    )
    return "" if all(isinstance(value, np.ndarray) for value in values) else "they lie on a GPU"


def _why_not_torch(torch: Any, model: Any, optimizer: Any) -> str:
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if devices := {p.device.type for p in trained} - {"cpu"}:
        return f"they lie on {', '.join(sorted(devices))}"
    if types := {str(p.dtype) for p in trained} - {"torch.float32", "torch.float64"}:
        return f"sums of {', '.join(sorted(types))} need float32"
    return why_not_in_parts(torch, optimizer)


def why_not_sharded(model: Any, optimizer: Any, shard: str) -> str:
    """Why ranks cannot keep what `parallel.shard` says in parts; empty where they can."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(model, torch.nn.Module):
        return "layers of hpctrain.nn keep their weights: use shard=gradients" if shard == "parameters" else ""
    return why_not_in_parts(torch, optimizer)


def why_not_in_parts(torch: Any, optimizer: Any) -> str:
    """Why a torch optimizer cannot update any part of a parameter by itself; empty where it can."""
    kind = type(optimizer)
    if kind not in {getattr(torch.optim, name, None) for name in ELEMENT_BY_ELEMENT}:
        return f"the optimizer {kind.__qualname__} is not known to treat every element by itself"
    return ""
