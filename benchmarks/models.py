"""The models that are trained, each with its data: random numbers of a fixed seed, since only time is asked.

Batches are small, as on one CPU core: the less there is to compute, the more communication shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, scaled_dot_product_attention


def sgd(parameters: Iterator[nn.Parameter]) -> torch.optim.Optimizer:
    """The cheapest optimizer that people train with: what a dearer one costs would hide what communication costs."""
    return torch.optim.SGD(parameters, lr=0.01, momentum=0.9)


def adam(parameters: Iterator[nn.Parameter]) -> torch.optim.Optimizer:
    """The usual one. Steps are small, since it makes a step of full length out of a gradient that is rounding alone:
    contenders that sum in another order would drift apart, and could not be held to the same loss."""
    return torch.optim.Adam(parameters, lr=1e-5)


@dataclass(frozen=True)
class Workload:
    """A model, and the batch of one rank, which it sees again in every step; and which optimizer updates it."""

    model: nn.Module
    inputs: Tensor
    targets: Tensor
    optimizer_of: Callable[[Iterator[nn.Parameter]], torch.optim.Optimizer] = sgd

    def loss(self, model: nn.Module) -> Tensor:
        """Mean cross-entropy of `model`, which is `self.model` or wraps it."""
        outputs = model(self.inputs)
        return cross_entropy(outputs.flatten(0, -2), self.targets.flatten())

    def optimizer(self) -> torch.optim.Optimizer:
        """Over the model's parameters."""
        return self.optimizer_of(self.model.parameters())


def mlp(rank: int) -> Workload:
    """25.2 M weights in 4 layers, 64 samples a rank: as many bytes to send as can be for what there is to compute."""
    widths = [1024, 4096, 4096, 1024, 10]
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU()]
    model = nn.Sequential(*layers[:-1])
    data = torch.Generator().manual_seed(rank)
    return Workload(model, torch.randn(64, 1024, generator=data), torch.randint(10, (64,), generator=data))


def mlp_adam(rank: int) -> Workload:
    """The same with Adam: twice as much optimizer state, and an update that costs."""
    return replace(mlp(rank), optimizer_of=adam)


def cnn(rank: int) -> Workload:
    """0.81 M weights in 8 layers, 16 images of 3 x 32 x 32 a rank: next to nothing to send."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for before, after in [(3, 32), (32, 64), (64, 128)]:
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU()]
        layers += [nn.Conv2d(after, after, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(2048, 256), nn.ReLU(), nn.Linear(256, 10))
    data = torch.Generator().manual_seed(rank)
    return Workload(model, torch.randn(16, 3, 32, 32, generator=data), torch.randint(10, (16,), generator=data))


class Block(nn.Module):
    """One layer of a GPT: attention to what came before, then a perceptron, each added to what it was given."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query_key_value, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.perceptron = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        split = self.query_key_value(self.norm1(x)).unflatten(-1, (3, self.heads, -1))
        query, key, value = split.permute(2, 0, 3, 1, 4)
        attended = scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.out(attended.transpose(1, 2).flatten(2))
        return x + self.perceptron(self.norm2(x))


class Gpt(nn.Module):
    """GPT-2's architecture (Radford et al. 2019), with an output layer of its own."""

    def __init__(self, vocabulary: int, context: int, width: int, heads: int, depth: int) -> None:
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(depth)))
        self.out = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False))

    def forward(self, tokens: Tensor) -> Tensor:
        positions = torch.arange(tokens.shape[1], device=tokens.device)
        return self.out(self.blocks(self.tokens(tokens) + self.positions(positions)))


def gpt(rank: int) -> Workload:
    """10.9 M weights in 6 layers of width 384, 4 texts of 128 bytes a rank: many middling arrays to send."""
    torch.manual_seed(0)
    model = Gpt(vocabulary=256, context=128, width=384, heads=6, depth=6)
    tokens = torch.randint(256, (4, 129), generator=torch.Generator().manual_seed(rank))
    return Workload(model, tokens[:, :-1], tokens[:, 1:])


WORKLOADS: Mapping[str, Callable[[int], Workload]] = {"cnn": cnn, "mlp": mlp, "gpt": gpt, "mlp_adam": mlp_adam}
