"""torch's optimizers without torch's compiler.

torch takes care that torch.compile can meet its optimizers: their steps, and methods that it keeps out of what is
compiled, import the compiler, torch._dynamo, when they are first called, also where nothing is compiled. That takes
about as long as to import torch itself, and 72 MB a rank.
"""

from __future__ import annotations

import sys
from typing import Any

import torch

_KEPT_OUT = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")
_KINDS = (torch.optim.SGD, torch.optim.Adagrad, torch.optim.RMSprop, torch.optim.Adam)  # AdamW steps as Adam


def leave_compiler_unloaded() -> None:
    """Let these optimizers do in this process what they do, and no more. Where the compiler is loaded, nothing changes.

    For a process in which this package alone calls optimizers, before the first is made: who compiles what calls them
    needs what is left out. A model may be compiled. A torch that is made otherwise loads its compiler as ever.
    """
    if "torch._dynamo" in sys.modules:
        return
    for name in _KEPT_OUT:
        method = getattr(getattr(torch.optim.Optimizer, name), "__wrapped__", None)
        if method is not None:  # torch._disable_dynamo looks there for what it is to call
            method.__dict__.setdefault("__dynamo_disable", method)
    for kind in _KINDS:
        step: Any = kind.step
        if step.__code__.co_name == "_use_grad":  # without gradients, and with breaks of a graph around it
            kind.step = torch.no_grad()(step.__wrapped__)  # type: ignore[method-assign]
