"""Where the gradients of a torch module go that autograd makes: into wires that stay, or through wires that pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch

from hpctrain.errors import ModelError
from hpctrain.parallel.gradient_sync.in_passing import GradientsInPassing
from hpctrain.parallel.torch_owned_step import Place


class Gradients(Protocol):
    """Those of the parameters that are trained, in the order of the module."""

    def move(self, place: Place) -> None:
        """The gradient of a parameter is there."""

    def close(self, bucket: int) -> None:
        """This pass makes no more in that bucket."""

    def collect(self) -> list[bool]:
        """Which parameters have one on this rank; the wires of the others hold 0."""

    def hand_back(self, marks: Sequence[bool]) -> None:
        """Which parameters have one on any rank."""

    def has(self, parameter: torch.Tensor) -> bool:
        """Whether the next step is to update it."""

    def forget(self) -> None:
        """No parameter has one any more."""


class GradientsInWires:
    """Implements `Gradients`: each `p.grad` becomes a view of a wire, which holds all of a pass, and those before."""

    def __init__(self, places: Sequence[Place], wires: Sequence[torch.Tensor]) -> None:
        self._views = {
            place.parameter: wires[place.bucket][place.start : place.stop].view(place.parameter.shape)
            for place in places
        }

    @torch.no_grad()
    def move(self, place: Place) -> None:
        """While it is in the caches."""
        parameter, view = place.parameter, self._views[place.parameter]
        gradient = parameter.grad
        if gradient is not None and gradient is not view:
            view.copy_(gradient.to_dense() if gradient.is_sparse else gradient)
            parameter.grad = view

    def close(self, bucket: int) -> None:
        """The next pass adds to them."""

    @torch.no_grad()
    def collect(self) -> list[bool]:
        """Somebody may have set one without a backward pass."""
        for parameter, view in self._views.items():
            gradient = parameter.grad
            if gradient is None:
                view.zero_()
            elif gradient is not view:
                view.copy_(gradient.to_dense() if gradient.is_sparse else gradient)
                parameter.grad = view
        return [parameter.grad is not None for parameter in self._views]

    def hand_back(self, marks: Sequence[bool]) -> None:
        """As `p.grad`."""
        for (parameter, view), mark in zip(self._views.items(), marks, strict=True):
            parameter.grad = view if mark else None

    def has(self, parameter: torch.Tensor) -> bool:
        """Whoever uses the module may have taken it away."""
        return parameter.grad is not None

    def forget(self) -> None:
        """As after zero_grad()."""
        for parameter in self._views:
            parameter.grad = None


class GradientsThroughWires:
    """Implements `Gradients`: each is copied into the wire of its bucket and let go of at once; `p.grad` stays None."""

    def __init__(self, places: Sequence[Place], sync: GradientsInPassing) -> None:
        self._sync = sync
        self._parameters = [place.parameter for place in places]
        self._here: set[torch.Tensor] = set()  # with a gradient on this rank, in any pass of this step
        self._anywhere: set[torch.Tensor] = set()
        self._open: dict[int, torch.Tensor] = {}

    @torch.no_grad()
    def move(self, place: Place) -> None:
        """Into a wire that is opened for the first one of its bucket, and forgotten when the last one is there."""
        parameter, gradient = place.parameter, place.parameter.grad
        if gradient is None:
            return
        if place.bucket not in self._open:
            self._open[place.bucket] = self._sync.open(place.bucket, gradient)
        wire = self._open[place.bucket][place.start : place.stop].view(parameter.shape)
        wire.copy_(gradient.to_dense() if gradient.is_sparse else gradient)
        parameter.grad = None
        self._here.add(parameter)

    def close(self, bucket: int) -> None:
        """The wire is the synchroniser's alone."""
        self._open.pop(bucket, None)

    def collect(self) -> list[bool]:
        """Raises ModelError for a gradient that no backward pass made: its wire has left."""
        for parameter in self._parameters:
            if parameter.grad is not None:
                raise ModelError(
                    "a gradient was set outside of a backward pass, and with parallel.shard=gradients or parameters "
                    "gradients leave during the pass: use parallel.shard=optimizer"
                )
        return [parameter in self._here for parameter in self._parameters]

    def hand_back(self, marks: Sequence[bool]) -> None:
        """Nobody is shown any."""
        self._here.clear()
        self._anywhere = {parameter for parameter, mark in zip(self._parameters, marks, strict=True) if mark}

    def has(self, parameter: torch.Tensor) -> bool:
        """On any rank."""
        return parameter in self._anywhere

    def forget(self) -> None:
        """The next step begins anew."""
        self._anywhere = set()
