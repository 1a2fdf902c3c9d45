"""Elastic averaging: at each average a rank and a common centre move towards each other, and ranks stay apart.

    x_i    <- x_i    - rho (x_i - centre)
    centre <- centre + rho mean_i (x_i - centre)

This is synchronous EASGD with beta = alpha = rho: the paper, section 2, adds up the differences of all p ranks (beta =
p alpha), which is stable only while p rho is at most 1; their mean is stable for any rho up to 1, at any world size.

Zhang, Choromanska and LeCun 2015, "Deep learning with elastic averaging SGD".
"""

from __future__ import annotations

from hpctrain.parallel.local_steps.steps import LocalSteps, Piece


class ElasticSteps(LocalSteps):
    """Implements `WeightSync`; the anchor is the centre, and its rate is rho."""

    def _average(self, piece: Piece) -> None:
        gradient, weights = piece.anchor.gradient(piece.weights), piece.weights
        weights += piece.anchor.rate * gradient
        self._mean.mean(piece.number, gradient, piece.places)
        piece.anchor.descend(gradient)
