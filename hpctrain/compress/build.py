"""From the settings of a job to the compressor of one bucket."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from hpctrain.compress.compressor import Compressor
from hpctrain.compress.half import Bf16, Fp16
from hpctrain.compress.int8 import Int8
from hpctrain.compress.power_sgd import PowerSgd, matrices_in
from hpctrain.compress.random_k import RandomK
from hpctrain.compress.sign import Sign
from hpctrain.compress.top_k import TopK
from hpctrain.compress.uncompressed import Uncompressed
from hpctrain.errors import SettingsError


def build_compressor(
    name: str,
    *,
    dtype: np.dtype[Any],
    ratio: float = 0.01,
    rank: int = 2,
    seed: int = 0,
    bucket: int = 0,
    parameters: Iterable[tuple[int, Sequence[int]]] = (),
) -> Compressor:
    """The compressor of one bucket. Alike on all ranks.

    Args:
        name: "none", "fp16", "bf16", "int8", "sign", "top_k", "random_k" or "powersgd".
        dtype: of the numbers in the bucket as they are handed in, float32 or float64.
        ratio: top_k, random_k: share of the numbers that is sent, above 0 and at most 1.
        rank: powersgd: rank of the matrices that are sent, at least 1.
        seed: random_k, powersgd: of the random places, and of the matrices to start from.
        bucket: its number, which random numbers are keyed by besides.
        parameters: powersgd: where each parameter starts in the bucket, and its shape.

    Raises SettingsError for an unknown name, ratio or rank.
    """
    if not 0 < ratio <= 1:
        raise SettingsError(f"parallel.compression_ratio is {ratio}, and must be above 0 and at most 1")
    if rank < 1:
        raise SettingsError(f"parallel.compression_rank is {rank}, and must be at least 1")
    builders: Mapping[str, Callable[[], Compressor]] = {
        "none": Uncompressed,
        "fp16": Fp16,
        "bf16": Bf16,
        "int8": Int8,
        "sign": Sign,
        "top_k": lambda: TopK(ratio),
        "random_k": lambda: RandomK(ratio, seed, bucket),
        "powersgd": lambda: PowerSgd(matrices_in(parameters, rank), rank, dtype, seed, bucket),
    }
    if name not in builders:
        raise SettingsError(f'no compression "{name}": use one of {", ".join(builders)}')
    return builders[name]()
