"""A model of your own for hpctrain: `model.factory=examples.own_model:network`."""

from math import prod

import torch


class Residual(torch.nn.Module):
    """Adds what a layer makes of its input to the input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(width, width)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Any (n, width)."""
        return inputs + torch.relu(self.layer(inputs))


def network(input_shape: tuple[int, ...], num_outputs: int, width: int = 64, depth: int = 2) -> torch.nn.Module:
    """hpctrain gives the two arguments that it knows from the data; `model.options` are the others."""
    return torch.nn.Sequential(
        torch.nn.Flatten(),
        torch.nn.Linear(prod(input_shape), width),
        *(Residual(width) for _ in range(depth)),
        torch.nn.Linear(width, num_outputs),
    )
