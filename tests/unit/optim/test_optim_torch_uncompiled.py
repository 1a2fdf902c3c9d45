"""In processes of their own: in this one, other tests have loaded the compiler."""

import json
import subprocess
import sys
from typing import Any

import torch

from hpctrain.optim.torch_uncompiled import leave_compiler_unloaded

PROGRAM = """
import json, sys
import torch
from hpctrain.job.settings import Optimizer
from hpctrain.optim.build import build_torch_optimizer
from hpctrain.optim.torch_uncompiled import leave_compiler_unloaded

if sys.argv[1] == "without":
    leave_compiler_unloaded()
    leave_compiler_unloaded()

told = {"weights": {}, "hooks": [], "gradients": []}
for name in ("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw"):
    weights = torch.nn.Parameter(torch.linspace(-1, 1, 7))
    make = lambda: build_torch_optimizer(Optimizer(name=name, lr=0.1, weight_decay=0.01), [weights])
    optimizer = make()

    def loss():
        told["gradients"].append(torch.is_grad_enabled())
        optimizer.zero_grad()
        total = (weights**3).sum()
        total.backward()
        return total

    for step in range(6):
        if step == 3:
            state, optimizer = optimizer.state_dict(), make()
            optimizer.load_state_dict(state)
        handles = [
            optimizer.register_step_pre_hook(lambda *_: told["hooks"].append("before")),
            optimizer.register_step_post_hook(lambda *_: told["hooks"].append("after")),
        ]
        optimizer.step(loss)
        for handle in handles:
            handle.remove()
    told["weights"][name] = [number.hex() for number in weights.tolist()]

told["loaded"] = "torch._dynamo" in sys.modules
compiled = torch.compile(torch.nn.Linear(2, 3), backend="eager")
told["shape"] = list(compiled(torch.ones(4, 2)).shape)
print(json.dumps(told))
"""


def told(how: str) -> Any:
    done = subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_optimizers_do_the_same_without_the_compiler() -> None:
    usual, without = told("usual"), told("without")
    assert (usual.pop("loaded"), without.pop("loaded")) == (True, False)
    assert without == usual
    assert without["hooks"] == ["before", "after"] * 6 * 7
    assert all(without["gradients"])
    assert len({*map(tuple, without["weights"].values())}) == 7
    assert without["shape"] == [4, 3]  # and a model may be compiled afterwards


def test_a_compiler_that_is_loaded_is_left_to_itself() -> None:
    torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1).step()
    assert "torch._dynamo" in sys.modules
    step, note = torch.optim.SGD.step, vars(torch.optim.Optimizer.state_dict.__wrapped__).get("__dynamo_disable")
    leave_compiler_unloaded()
    assert torch.optim.SGD.step is step
    assert vars(torch.optim.Optimizer.state_dict.__wrapped__).get("__dynamo_disable") is note
