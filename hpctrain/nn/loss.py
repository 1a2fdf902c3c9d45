"""Losses, as sums over samples: ranks hold different numbers of samples, and sums add up exactly as means do not."""

from __future__ import annotations

from math import prod

from hpctrain.errors import ModelError
from hpctrain.nn.module import Array, ArrayModule


def cross_entropy(xp: ArrayModule, logits: Array, targets: Array) -> tuple[float, Array, float]:
    """Softmax cross-entropy, finite for all finite logits; a sample of several positions counts as their mean.

    Args:
        xp: numpy or cupy.
        logits: (n, classes), or (n, positions, classes); n may be 0.
        targets: (n,) or (n, positions) int64 class numbers.

    Returns:
        The sum of the samples' losses, its gradient by the logits, and how many samples (or which share of their
        positions) have the largest logit at their target.
    """
    shape, positions = logits.shape, prod(targets.shape[1:])
    logits, targets = logits.reshape(-1, shape[-1]), targets.reshape(-1)
    rows = xp.arange(len(logits))
    shifted = logits - logits.max(axis=1, keepdims=True)  # exp of at most 0 cannot overflow
    gradient = xp.exp(shifted)
    totals = gradient.sum(axis=1, keepdims=True)
    losses = xp.log(totals[:, 0]) - shifted[rows, targets]
    gradient /= totals
    gradient[rows, targets] -= 1
    gradient /= positions
    num_correct = int((logits.argmax(axis=1) == targets).sum())
    return float(losses.sum(dtype="float64")) / positions, gradient.reshape(shape), num_correct / positions


def mean_squared_error(xp: ArrayModule, outputs: Array, targets: Array) -> tuple[float, Array, None]:
    """The squared error, averaged over the outputs of a sample and summed over samples.

    Args:
        xp: numpy or cupy.
        outputs: (n, outputs); n may be 0.
        targets: of the same shape.

    Returns:
        The sum of the samples' losses, its gradient by the outputs, and None: nothing is right or wrong.

    Raises ModelError where the shapes differ.
    """
    if outputs.shape != targets.shape:  # a difference would silently spread one over the other
        raise ModelError(f"the model's outputs have shape {outputs.shape} and the targets {targets.shape}")
    difference = outputs - targets
    num_outputs = outputs.shape[1]
    loss = float(xp.square(difference).sum(dtype="float64")) / num_outputs
    return loss, difference * (2 / num_outputs), None
