"""What a run directory tells the benchmarks that compare strategies."""

import json

from strategies_run import Curve, read_run

SUMMARY = {
    "step_seconds": {"median": 0.01, "p90": 0.02},
    "bytes_sent": [300, 200],
    "peak_rss_bytes": [5, 7],
    "final": {"test_loss": 0.2},
}
LINES = [
    {"step": 1, "seconds": {"compute": 1.0, "other": 0.5}, "bytes_sent": 100},
    {"step": 1, "test_loss": 0.9, "consensus_distance": 0.3},
    {"step": 2, "seconds": {"compute": 2.0, "other": 0.5}, "bytes_sent": 200},
    {"step": 2, "test_loss": 0.2, "consensus_distance": 0.1},
]


def test_evaluations_stand_beside_the_time_and_the_bytes_of_the_steps_before_them(tmp_path):
    (tmp_path / "summary.json").write_text(json.dumps({**SUMMARY, "staleness": {"mean": 1.5}}))
    (tmp_path / "metrics.jsonl").write_text("\n".join(map(json.dumps, LINES)))
    run = read_run("gossip", 3, tmp_path)
    assert run.curve == Curve(steps=[1, 2], seconds=[1.5, 4.0], sent=[100, 200], losses=[0.9, 0.2])
    assert (run.seed, run.bytes_sent, run.peak_bytes) == (3, 300, 7)
    assert (run.staleness, run.consensus_distance) == (1.5, 0.1)


def test_a_target_is_reached_at_the_first_evaluation_below_it():
    curve = Curve(steps=[1, 2, 3], seconds=[0, 0, 0], sent=[0, 0, 0], losses=[0.9, 0.2, 0.3])
    assert [curve.first_below(target) for target in (1.0, 0.25, 0.1)] == [0, 1, None]
