from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from compress_world import NAMES

from hpctrain.compress.build import build_compressor
from hpctrain.compress.power_sgd import PowerSgd
from hpctrain.errors import SettingsError

FLOAT32 = np.dtype("float32")


@pytest.mark.parametrize("name", NAMES)
def test_every_name_builds_one_of_its_own(name: str) -> None:
    kinds = {type(build_compressor(other, dtype=FLOAT32)) for other in NAMES}
    assert len(kinds) == len(NAMES)
    assert build_compressor(name, dtype=FLOAT32).payload_bytes(100, 4) > 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "zip"}, 'no compression "zip": use one of none, fp16, bf16, int8, sign, top_k, random_k, powersgd'),
        ({"name": "top_k", "ratio": 0.0}, "parallel.compression_ratio is 0.0, and must be above 0 and at most 1"),
        ({"name": "random_k", "ratio": 1.5}, "parallel.compression_ratio is 1.5, and must be above 0 and at most 1"),
        ({"name": "powersgd", "rank": 0}, "parallel.compression_rank is 0, and must be at least 1"),
    ],
)
def test_what_cannot_be_built_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        build_compressor(**settings, dtype=FLOAT32)
    assert str(refusal.value) == message


def test_settings_arrive() -> None:
    assert build_compressor("top_k", dtype=FLOAT32, ratio=0.25).payload_bytes(100, 4) == 25 * 8
    made = build_compressor("powersgd", dtype=FLOAT32, rank=3, parameters=[(0, (20, 30))])
    assert isinstance(made, PowerSgd)
    assert made.state()["right"].shape == (30, 3)
    places = {
        tuple(build_compressor("random_k", dtype=FLOAT32, ratio=0.1, seed=seed, bucket=bucket).places(100, 0))  # type: ignore[attr-defined]
        for seed in (0, 1)
        for bucket in (0, 1)
    }
    assert len(places) == 4
