"""What a synchroniser keeps from step to step, on its way back from a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hpctrain.errors import CheckpointError


def load_arrays(own: Mapping[str, np.ndarray], found: Mapping[str, np.ndarray], what: str, settings: str) -> None:
    """Write what was found in a checkpoint into arrays of the same names, shapes and dtypes.

    `what` they belong to and the `settings` that decide what is kept are for the message. Raises CheckpointError, with
    nothing written, where they do not fit.
    """
    shapes, wanted = ({name: (its.dtype, its.shape) for name, its in arrays.items()} for arrays in (found, own))
    if shapes != wanted:
        name = min(name for name in {*shapes, *wanted} if shapes.get(name) != wanted.get(name))
        there, here = (f"{its[name][0]} {its[name][1]}" if name in its else "nothing" for its in (shapes, wanted))
        raise CheckpointError(
            f"what this rank kept of {what} does not fit: {name} is {there} in the checkpoint, and {here} in this job; "
            f"go on with its {settings}"
        )
    for name, array in own.items():
        array[...] = found[name]
