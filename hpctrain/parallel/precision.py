"""Mixed precision: forward and backward in 16 bits, updates in 32.

    float32 master weights  ── rounded ──>  16-bit weights  ── forward, backward ──>  16-bit gradients
           ^                                                                                 │
           └──────────── optimizer <── float32, divided by the loss scale <── mean <─────────┘

float16 has no numbers below 6e-8, so small gradients would be lost: the loss is multiplied by a scale, and gradients
are divided by it. The scale is halved when a gradient overflows, and that step is not made; it is doubled after many
steps without. bfloat16 has the range of float32 and needs none.

Micikevicius et al., "Mixed precision training", ICLR 2018, sections 3.1 and 3.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hpctrain.errors import CheckpointError

_FIRST_SCALE = 2.0**16
_LEAST_SCALE = 1.0
_MOST_SCALE = 2.0**24
_GOOD_STEPS = 2000  # until the scale is doubled

_SIXTEEN_BITS = {"full": "", "bf16_mixed": "bfloat16", "fp16_mixed": "float16"}


class Precision:
    """What is computed in 16 bits. Alike on all ranks.

    Attributes:
        sixteen_bits: the dtype of the model's weights and gradients, "bfloat16" or "float16"; "" where there are none.
        scales: whether the loss is scaled, and steps whose gradients overflow are not made.
        loss_scale: what the loss is to be multiplied by.
    """

    def __init__(self, name: str = "full") -> None:
        """By the name of the setting `training.precision`."""
        self.sixteen_bits = _SIXTEEN_BITS[name]
        self.scales = self.sixteen_bits == "float16"
        self.loss_scale = _FIRST_SCALE if self.scales else 1.0
        self._num_good = 0
        self._num_skipped = 0

    def judge(self, is_finite: bool) -> None:
        """Say after each step whether its gradients were finite."""
        if not is_finite:
            self.loss_scale = max(self.loss_scale / 2, _LEAST_SCALE)
            self._num_good = 0
            self._num_skipped += 1
            return
        self._num_good += 1
        if self._num_good == _GOOD_STEPS:
            self.loss_scale = min(self.loss_scale * 2, _MOST_SCALE)
            self._num_good = 0

    def state(self) -> dict[str, np.ndarray]:
        """For a checkpoint; nothing where nothing is scaled."""
        if not self.scales:
            return {}
        return {"loss_scale": np.array([self.loss_scale, self._num_good, self._num_skipped])}

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from what `state` gave; raises CheckpointError where it is of something else."""
        if not self.scales or not state:
            return
        if set(state) != {"loss_scale"} or state["loss_scale"].shape != (3,):
            raise CheckpointError(f"the checkpoint's loss scale is {sorted(state)}, and must be 3 numbers")
        self.loss_scale, num_good, num_skipped = state["loss_scale"].tolist()
        self._num_good, self._num_skipped = int(num_good), int(num_skipped)

    def report(self) -> dict[str, Any]:
        """For the summary of a run."""
        return {"loss_scale": self.loss_scale, "steps_skipped_by_overflow": self._num_skipped} if self.scales else {}
