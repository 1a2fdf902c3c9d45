"""Metrics go where run.metrics_to says; what is not installed is refused before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpctrain.errors import EnvironmentProblem
from hpctrain.job.settings import Job, Run
from hpctrain.launch.run_dir import RunDir
from hpctrain.train.callbacks import exports as module
from hpctrain.train.callbacks.exports import check_installed, exports


@pytest.mark.parametrize(
    ("kind", "library", "extra"),
    [
        ("tensorboard", "tensorboardX", "live"),
        ("mlflow", "mlflow", "mlflow"),
        ("prometheus", "prometheus_client", "live"),
    ],
)
def test_what_is_not_installed_is_refused_with_what_to_install(
    kind: str, library: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None if name == library else object())
    check_installed([other for other in ("tensorboard", "mlflow", "prometheus") if other != kind])
    with pytest.raises(EnvironmentProblem) as caught:
        check_installed([kind])
    assert str(caught.value) == (
        f'run.metrics_to has "{kind}", which needs {library}, and that is not installed: '
        f'pip install "hpctrain[{extra}]"'
    )


def test_each_goes_to_its_place_once(tmp_path: Path) -> None:
    job = Job(run=Run(metrics_to=["prometheus", "tensorboard", "prometheus", "mlflow"]))
    made = exports(job, RunDir(tmp_path), print)
    assert [type(callback).__name__ for callback in made] == ["Prometheus", "TensorBoard", "Mlflow"]
    assert exports(Job(), RunDir(tmp_path), print) == []
