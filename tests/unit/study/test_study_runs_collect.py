from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from made_runs import MadeRuns, plan_of

from hpctrain.errors import DataError, SettingsError
from hpctrain.study.forecast import Scaling
from hpctrain.study.results import Study
from hpctrain.study.runs.asked import ForecastAsked
from hpctrain.study.runs.collect import collect
from hpctrain.study.runs.plan import Plan
from hpctrain.study.runs.texts import forecast_text, grade_text
from hpctrain.study.runs.turns import run_missing

VARIANTS = (("parallel.strategy=all_reduce",), ("parallel.compression=powersgd",))


def studied(out: Path, **changes: Any) -> Plan:
    plan = plan_of(out, **changes)
    run_missing(plan, out, MadeRuns(), lambda text: None)
    return plan


def collected(out: Path, asked: ForecastAsked | None = None, **changes: Any) -> Study:
    return collect(studied(out, **changes), out, asked)


def test_rows_fits_and_what_they_are_of(tmp_path: Path) -> None:
    study = collected(tmp_path, target="test_accuracy=0.2")
    assert [run.ranks for run in study.runs] == 2 * [1, 1, 2, 2, 4, 4]
    first = study.runs[0]
    assert first.node_hours_to_target == pytest.approx(first.seconds_to_target / 3600)
    assert (first.startup_seconds, study.runs[4].peak_rss_bytes, study.runs[4].bytes_sent) == (1.5, 103, 3000)
    assert first.step_seconds == pytest.approx(0.0643, rel=0.01)
    assert study.runs[4].ranks_per_core == 2
    assert [row.case.placement.world_size for row in study.fits[""].left_out.rows]
    assert study.description[0] == "model: cnn, 1,000 weights, float32, numpy"
    assert (study.name, study.target, study.forecasts) == ("digits_cnn", "test_accuracy=0.2", {})
    assert study.began <= study.ended
    assert study.environment["nodes"][0]["cpu"] == "fast"


def test_what_no_cost_model_knows_is_noted_and_the_rest_is_fitted(tmp_path: Path) -> None:
    study = collected(tmp_path, variants=VARIANTS, ranks=(1, 2))
    assert list(study.fits) == ["parallel.strategy=all_reduce"]
    assert any(note.startswith("parallel.compression=powersgd is not fitted: no cost model") for note in study.notes)


def test_nothing_has_run_yet(tmp_path: Path) -> None:
    study = collect(plan_of(tmp_path), tmp_path)
    assert {run.status for run in study.runs} == {"missing"}
    assert (study.fits, study.began, study.environment) == ({}, "", {})


def test_forecasts_keep_the_batch_of_their_mode(tmp_path: Path) -> None:
    asked = ForecastAsked((Scaling.STRONG, Scaling.WEAK), "hdr200", 4, 1024)
    study = collected(tmp_path, asked, overrides=("training.batch_size=48",))
    strong, weak = study.forecasts[""]
    assert [point.case.placement.world_size for point in weak.points][:4] == [1, 2, 4, 8]
    assert weak.points[-1].case.placement.world_size == 1024
    assert {point.case.batch_per_rank for point in weak.points} == {48}
    assert strong.points[-1].case.placement.world_size == 32  # a batch of 48 has nothing for 64 ranks
    assert strong.strategy.overlaps
    assert study.link.startswith("hdr200 (InfiniBand HDR")
    assert "Forecasts are for nodes that have the cores for all their ranks." in study.notes


def test_a_link_that_nobody_measured_is_a_note(tmp_path: Path) -> None:
    study = collected(tmp_path, ForecastAsked((Scaling.WEAK,)))
    assert study.forecasts == {}
    assert any(note.startswith("No forecast of weak scaling: nothing was measured that tells") for note in study.notes)
    with pytest.raises(SettingsError, match='no link "string"'):
        collect(plan_of(tmp_path), tmp_path, ForecastAsked((Scaling.WEAK,), "string"))


def test_a_grade_says_what_was_predicted_and_measured(tmp_path: Path) -> None:
    plan = studied(tmp_path, ranks=(1, 2, 3, 4))
    text = grade_text(plan, tmp_path, [])
    assert "fitted on 1, 2, 3 ranks:" in text
    rows = [line for line in text.splitlines() if "samples a rank" in line]
    assert len(rows) == 2  # strong and weak
    errors = [float(line.split("%")[0].split()[-1]) for line in rows]
    assert f"worst {max(map(abs, errors)):.1f}%, of 2 cases" in text
    fewer = grade_text(plan, tmp_path, [1, 2])
    assert "fitted on 1, 2 ranks:" in fewer
    assert "of 4 cases" in fewer


def test_a_grade_says_what_cannot_be_predicted(tmp_path: Path) -> None:
    text = grade_text(studied(tmp_path, ranks=(1, 2)), tmp_path, [])
    assert "takes a link that the fitted runs did not use" in text
    assert "median error" not in text


@pytest.mark.parametrize("fitted", [[1, 2], [8]])
def test_a_grade_needs_something_to_fit_and_something_to_predict(fitted: list[int], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the study has completed runs with 1, 2 ranks: some must be"):
        grade_text(studied(tmp_path, ranks=(1, 2)), tmp_path, fitted)


def test_without_runs_there_is_nothing_to_tell(tmp_path: Path) -> None:
    for tell in (
        lambda: grade_text(plan_of(tmp_path), tmp_path, []),
        lambda: forecast_text(plan_of(tmp_path), tmp_path, ForecastAsked((Scaling.WEAK,))),
    ):
        with pytest.raises(DataError, match="no completed runs that can be fitted"):
            tell()


def test_a_forecast_is_a_table(tmp_path: Path) -> None:
    plan = studied(tmp_path)
    text = forecast_text(plan, tmp_path, ForecastAsked((Scaling.WEAK,), "hdr200", 4, 64))
    assert "weak scaling of all_reduce overlaps=True, with intervals that hold 90%:" in text
    assert [line.split()[:2] for line in text.splitlines() if line.startswith("     ")] == [
        [str(ranks), str(max(1, ranks // 4))] for ranks in (1, 2, 4, 8, 16, 32, 64)
    ]
    assert "Each run as predicted by the others: median error" in text
    assert "No run had several nodes" in text
    with pytest.raises(DataError, match="No forecast of weak scaling"):
        forecast_text(plan, tmp_path, ForecastAsked((Scaling.WEAK,)))
