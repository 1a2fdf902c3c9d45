"""The model that all ranks have come to, for somebody's own loop."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any
from weakref import WeakKeyDictionary, ref

from hpctrain.errors import ModelError
from hpctrain.parallel.distribution import Distribution

_AT_WORK: WeakKeyDictionary[Any, ref[Distribution]] = WeakKeyDictionary()  # by model; its optimizer's hooks keep it


def remember(model: Any, distribution: Distribution) -> None:
    """`distribution` is at work on `model`."""
    _AT_WORK[model] = ref(distribution)


def consensus(model: Any) -> AbstractContextManager[object]:
    """A context in which a distributed model is, on every rank, the one that training has come to: the same bits.

        with hpctrain.consensus(model):
            evaluate(model)
            torch.save(model.state_dict(), "model.pt")

    Where ranks have weights of their own (gossip, local_sgd, diloco) that is their average, and each rank has its own
    again afterwards; where servers or shared memory hold the newest weights, it is those. With other strategies ranks
    agree after each step, and this changes nothing. All ranks must enter and leave it, between two steps.

    Raises ModelError for a model that `distribute` was not called with.
    """
    found = _AT_WORK.get(model)
    distribution = found() if found is not None else None
    if distribution is None:
        raise ModelError(f"no consensus on a {type(model).__qualname__} that is not distributed: call distribute first")
    return distribution.consensus()
