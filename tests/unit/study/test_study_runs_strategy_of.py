from __future__ import annotations

import numpy as np
import pytest

from hpctrain.compress.build import build_compressor
from hpctrain.errors import SettingsError
from hpctrain.job.load import load_job
from hpctrain.study.runs.strategy_of import strategy_of
from hpctrain.study.strategy import Strategy

SHARED, ALONE = "node_shared (4 ranks, one copy of the weights)", "all_reduce (ring)"


@pytest.mark.parametrize(
    ("settings", "said", "strategy"),
    [
        ([], SHARED, Strategy("all_reduce")),
        (["comm.algorithm=ring"], SHARED, Strategy("all_reduce")),
        (["comm.algorithm=ring"], ALONE, Strategy("all_reduce", "ring")),
        (["comm.algorithm=native"], ALONE, Strategy("all_reduce")),
        (["parallel.shard=gradients"], "reduce_scatter", Strategy("all_reduce", shard="gradients", overlaps=True)),
        (["parallel.shard=optimizer"], "reduce_scatter", Strategy("all_reduce", shard="optimizer")),
        (["parallel.strategy=central"], "central (rank 0 updates)", Strategy("central")),
        (
            ["parallel.strategy=parameter_server", "parallel.num_servers=2", "parallel.consistency=asynchronous"],
            "",
            Strategy("parameter_server", num_servers=2, consistency="asynchronous"),
        ),
        (["parallel.strategy=gossip", "parallel.topology=torus"], "", Strategy("gossip", topology="torus")),
        (
            ["parallel.strategy=gossip", "parallel.gossip=gradient_tracking"],
            "",
            Strategy("gossip", sent_share=2.0),
        ),
        (
            ["parallel.strategy=diloco", "parallel.sync_every=5", "parallel.overlap=true"],
            "",
            Strategy("diloco", sync_every=5, overlaps=True),
        ),
        (["parallel.compression=fp16"], "", Strategy("all_reduce", sent_share=0.5)),
    ],
)
def test_settings_become_a_strategy(settings: list[str], said: str, strategy: Strategy) -> None:
    assert strategy_of(load_job(None, settings), said, several_nodes=False) == strategy


def test_gradients_travel_while_backward_runs_where_nodes_share_them() -> None:
    job = load_job()
    assert strategy_of(job, SHARED, several_nodes=True).overlaps
    assert not strategy_of(job, ALONE, several_nodes=True).overlaps


@pytest.mark.parametrize(
    ("name", "algorithm"), [("int8", "gathered"), ("top_k", "gathered"), ("random_k", "hierarchical")]
)
def test_compressors_send_what_they_say(name: str, algorithm: str) -> None:
    job = load_job(None, [f"parallel.compression={name}", "parallel.compression_ratio=0.05"][: 1 + ("_k" in name)])
    found = strategy_of(job, "", several_nodes=False)
    ratio = 0.05 if "_k" in name else 0.01
    sent = build_compressor(name, dtype=np.dtype(np.float32), ratio=ratio).payload_bytes(10**6, 4) / 4e6
    assert found.sent_share == pytest.approx(sent, rel=1e-2)
    assert found.algorithm == algorithm


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (["training.reproducible=true"], "training.reproducible"),
        (["parallel.strategy=parameter_server", "parallel.dedicated_servers=true"], "ranks that only serve"),
        (["parallel.compression=powersgd"], "powersgd"),
    ],
)
def test_what_no_model_knows_is_told(settings: list[str], told: str) -> None:
    with pytest.raises(SettingsError, match=f"no cost model knows .*{told}"):
        strategy_of(load_job(None, settings), "", several_nodes=False)
