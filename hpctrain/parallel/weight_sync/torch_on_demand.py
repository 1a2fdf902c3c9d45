"""Weights of a torch module that are whole only while they are used (ZeRO stage 3).

    forward    gather bucket 3 | module of 3 | module of 2 ...        backward   gather bucket 0 | module of 0 ...
    thread                       gathers 2     gathers 1 ...          thread                       gathers 1 ...
                                               bucket 3 freed                                      bucket 0 freed, its
                                                                                                   gradients have left

Between uses a rank holds its own part alone. Parameters are views of their buckets all the time: what is freed is the
storage under them, so whatever autograd has kept of them is there again when it has been gathered again. In forward a
bucket is freed when another one is needed and no module is at work that uses it; in backward when all of its gradients
are there. While a module computes, a thread gathers what came next in the pass before.

All ranks must use their modules in the same order: each makes every pass, also one without samples of its own.

Bytes sent per rank and pass: 2 (p-1)/p of the weights, once for forward and once for backward.

Rajbhandari, Rasley, Ruwase and He, "ZeRO: memory optimizations toward training trillion parameter models", SC 2020,
section 5.3; freed storage as in Zhao et al., "PyTorch FSDP", VLDB 2023, section 4.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain
from typing import Any

import numpy as np
import torch

from hpctrain.arrays.library import bits_of, library_of
from hpctrain.collectives.all_gather import all_gather
from hpctrain.collectives.group import Group
from hpctrain.comm.patient import PatientCommunicator
from hpctrain.parallel.memory import PrivateWeights
from hpctrain.parallel.partition import SharedOut
from hpctrain.parallel.torch_owned_step import Place
from hpctrain.parallel.trainable import Bucket
from hpctrain.parallel.weight_sync.one_model import OneModel
from hpctrain.parallel.weight_sync.torch_absent import bring_back, take_away, tensors_in


class TorchWeightsOnDemand(PrivateWeights, OneModel):
    """Implements `WeightSync`, in memory that `watch` frees."""

    passes_are_collective = True

    def __init__(self, group: Group, shards: SharedOut) -> None:
        self._group = group
        self._shards = shards
        self._comm = PatientCommunicator(group.nodes.background, next(group.nodes.channels))
        self._thread = ThreadPoolExecutor(1, "weights")
        self._weights: Sequence[torch.Tensor] = []
        self._own: Sequence[torch.Tensor] = []
        self._there: set[int] = set()  # buckets that are whole
        self._at_work: Counter[int] = Counter()  # of each bucket, modules in their forward pass
        self._waits_for_gradients: set[int] = set()  # needed in backward, and not done with
        self._gathered: list[int] = []  # in this pass, in order
        self._expected: list[int] = []  # in the pass before
        self._coming: tuple[int, Future[np.ndarray]] | None = None
        self._holds_all = False
        self._views: Sequence[Sequence[tuple[Place, torch.Tensor, str]]] = []  # of each bucket, its named parameters

    def common(self, buckets: Sequence[Bucket]) -> Sequence[slice]:
        """Nothing: of each weight one rank holds the only copy."""
        return [slice(0, 0)] * len(buckets)

    def after_step(self, buckets: Sequence[Bucket]) -> None:
        """They are gathered when they are used."""

    def watch(
        self,
        model: torch.nn.Module,
        places: Sequence[Place],
        weights: Sequence[torch.Tensor],
        own: Sequence[torch.Tensor],
    ) -> None:
        """Free all weights but this rank's own, and have the modules gather them when they use them.

        Args:
            model: its modules use parameters of their own alone, or of modules that they are in.
            places: of all trained parameters, which are views of `weights`.
            weights: of each bucket, whole.
            own: the part of each that this rank updates, in memory of its own, perhaps of more bits.
        """
        self._weights, self._own = weights, own
        names = {parameter: name for name, parameter in model.named_parameters()}
        self._views = [
            [(place, place.parameter.data, names[place.parameter]) for place in places if place.bucket == number]
            for number in range(len(weights))
        ]
        self._there = set(range(len(weights)))
        self._free(self._there)
        buckets_of = {place.parameter: place.bucket for place in places}
        for module in model.modules():
            numbers = {buckets_of[p] for p in module.parameters(recurse=False) if p in buckets_of}
            if numbers:
                _hook(module, self, sorted(numbers, reverse=True))

    def enter(self, numbers: Sequence[int]) -> None:
        """A module begins its forward pass: it needs these buckets."""
        self._at_work.update(numbers)
        self._use(numbers)

    def leave(self, numbers: Sequence[int]) -> None:
        """It ends."""
        self._at_work.subtract(numbers)

    def enter_backward(self, numbers: Sequence[int]) -> None:
        """The backward pass of a module begins."""
        self._waits_for_gradients.update(numbers)
        self._use(numbers)

    def leave_backward(self, number: int) -> None:
        """All gradients of a bucket are there."""
        self._waits_for_gradients.discard(number)
        self._at_work.pop(number, None)  # whoever computes again to get them may not come to its end

    def end_pass(self) -> None:
        """No module is at work any more."""
        self._settle()  # what was gathered before a step is nothing to go on with after it
        self._waits_for_gradients.clear()
        self._at_work.clear()
        self._free(self._there)
        self._expected, self._gathered = self._gathered, []

    def _use(self, numbers: Sequence[int]) -> None:
        if self._holds_all:
            return
        needed = self._waits_for_gradients | set(+self._at_work)
        self._free(self._there - needed)
        for number in numbers:
            if number not in self._there:
                with self._group.traffic.timed():
                    self._fill(number, self._fetched(number))
                self._gathered.append(number)
        self._look_ahead()

    def _fetched(self, number: int) -> np.ndarray:
        """All of a bucket, as it has come or is coming."""
        if self._coming is not None and self._coming[0] == number:
            (_, future), self._coming = self._coming, None
            return future.result()
        self._settle()
        return self._thread.submit(self._fetch, number).result()

    def _look_ahead(self) -> None:
        """Start to gather what came next in the pass before, as long as that went alike."""
        place = len(self._gathered)
        if self._coming is not None or self._gathered != self._expected[:place] or place >= len(self._expected):
            return
        number = self._expected[place]
        self._coming = number, self._thread.submit(self._fetch, number)

    def _settle(self) -> None:
        """Let go of what comes and is not used: this pass goes another way than the one before."""
        if self._coming is not None:
            self._coming[1].result()
            self._coming = None

    def _fetch(self, number: int) -> np.ndarray:
        """Gather a bucket, as bits that are carried. In the thread."""
        weights, own = self._weights[number], self._own[number]
        mine = bits_of(own.to(weights.dtype))
        empty = library_of(mine).to_host(mine[:0])
        buffer = np.empty(len(weights), empty.dtype)
        cuts = self._shards.all_owned(len(weights), weights.itemsize)
        buffer[cuts[self._group.rank]] = library_of(mine).to_host(mine)
        all_gather(self._comm, [buffer[cut] for cut in cuts])
        return buffer

    @torch.no_grad()
    def _fill(self, number: int, buffer: np.ndarray) -> None:
        weights = self._weights[number]
        weights.untyped_storage().resize_(len(weights) * weights.itemsize)
        bits_of(weights).copy_(torch.from_numpy(buffer))
        for place, *_ in self._views[number]:
            bring_back(place.parameter)
        self._there.add(number)

    def _free(self, numbers: set[int]) -> None:
        for number in numbers:
            self._weights[number].untyped_storage().resize_(0)
            for place, _, name in self._views[number]:
                take_away(place.parameter, name)
        self._there = self._there - numbers

    @contextmanager
    def at_hand(self) -> Iterator[None]:
        """Inside, all weights are whole, and each rank may compute by itself. All ranks."""
        if self._holds_all:
            yield
            return
        self._settle()
        self._free(self._there)
        self._gathered.clear()
        # In memory of their own: somebody may look at them as NumPy arrays, after which torch frees no storage.
        whole = [self._whole(number) for number in range(len(self._weights))]
        for weights, views in zip(whole, self._views, strict=True):
            for place, *_ in views:
                place.parameter.data = weights[place.start : place.stop].view(place.parameter.shape)
                bring_back(place.parameter)
        self._holds_all = True
        try:
            yield
        finally:
            self._holds_all = False
            self._at_work.clear()
            for place, view, name in chain.from_iterable(self._views):
                place.parameter.data = view
                take_away(place.parameter, name)

    def _whole(self, number: int) -> torch.Tensor:
        like, buffer = self._weights[number], self._thread.submit(self._fetch, number).result()
        return torch.from_numpy(buffer).view(like.dtype).to(like.device)

    @contextmanager
    def consensus(self, buckets: Sequence[Bucket]) -> Iterator[None]:
        """All weights are whole."""
        with self.at_hand():
            yield


def _hook(module: torch.nn.Module, sync: TorchWeightsOnDemand, numbers: Sequence[int]) -> None:
    def before_forward(*_: Any) -> None:
        sync.enter(numbers)

    def before_backward(_: torch.Tensor) -> None:
        sync.enter_backward(numbers)

    def after_forward(_: torch.nn.Module, inputs: Any, outputs: Any) -> None:
        sync.leave(numbers)
        for tensor in tensors_in(outputs):
            if tensor.requires_grad:
                tensor.register_hook(before_backward)  # type: ignore[no-untyped-call]

    module.register_forward_pre_hook(before_forward)
    module.register_forward_hook(after_forward)
