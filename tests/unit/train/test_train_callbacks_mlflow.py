"""MLflow: what is sent, what is kept back, and that nothing waits for a server."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hpctrain.job.settings import Job, Model
from hpctrain.launch import environment
from hpctrain.train.callbacks import mlflow as module
from hpctrain.train.callbacks.callback import RunInfo, StepRecord
from hpctrain.train.callbacks.metric_lines import Told
from hpctrain.train.callbacks.mlflow import Mlflow, Sender, parameters

INFO = RunInfo("digits", Path("runs/a"), 2, 1, 1, "none", "MPI", "cpu", "s", "m", 10, "d", 64, 5, 40, 0, 1.0, ())
SETTINGS = {"run": {"seed": 3}, "optimizer": {"lr": 0.5}}

needs_mlflow = pytest.mark.skipif(
    importlib.util.find_spec("mlflow") is None, reason="mlflow-skinny is large: pip install '.[mlflow]' to test it"
)


def step(number: int) -> StepRecord:
    return StepRecord(number, 2, float(number), 0.25, 1e-3, 64, {"compute": 0.5}, 11)


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_settings_without_secrets() -> None:
    options = {
        "width": 8,
        "api_token": "T0P",
        "login": {"password": "T0P", "user": "me"},
        "max_tokens": 9,
        "source": "s3://key:T0P@bucket/x",
        "nested": [{"apiKey": "T0P"}],
    }
    job = Job(model=Model(factory="a:b", options=options))
    found = dict(parameters(job.model_dump()))
    assert not any("T0P" in text for text in found.values())
    assert found["model.options"] == (
        '{width = 8, login = {user = "me"}, max_tokens = 9, source = "s3://bucket/x", nested = [{}]}'
    )
    assert (found["optimizer.lr"], found["run.trace"], found["model.kind"]) == ("0.001", "false", "cnn")
    assert all(len(text) <= 500 for text in found.values())


class Server:
    """A client whose server can go away and come back."""

    def __init__(self) -> None:
        self.is_away = False
        self.asked = threading.Event()
        self.metrics: list[tuple[str, float, int]] = []
        self.params: list[tuple[str, str]] = []
        self.status = ""

    def log_batch(self, run_id: str, metrics: list[Any] = (), params: list[Any] = ()) -> None:
        self.asked.set()
        if self.is_away:
            raise ConnectionError("https://me:T0P@server refuses\nand much more")
        self.params += params
        self.metrics += [(metric.key, metric.value, metric.step) for metric in metrics]

    def set_terminated(self, run_id: str, status: str) -> None:
        self.status = status


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    """In the place of MLflow, which need not be there."""
    server = Server()

    def open_run(sender: Sender) -> None:
        sender._client, sender._run_id = server, "1"

    def metric(key: str, value: float, timestamp: int, step: int) -> SimpleNamespace:
        return SimpleNamespace(key=key, value=value, timestamp=timestamp, step=step)

    monkeypatch.setattr(Sender, "_open", open_run)
    entities = SimpleNamespace(Metric=metric, Param=lambda *entry: entry)
    monkeypatch.setitem(sys.modules, "mlflow", SimpleNamespace(entities=entities))
    monkeypatch.setattr(module, "prepare_mlflow", lambda: None)
    monkeypatch.setattr(module, "_SECONDS", 0.01)
    monkeypatch.setattr(module, "_SECONDS_OF_PATIENCE", 0.01)
    return server


def test_a_server_that_is_away_is_told_once_and_gets_all_when_it_is_back(server: Server, tmp_path: Path) -> None:
    told: list[str] = []
    server.is_away = True
    callback = Mlflow(tmp_path, SETTINGS, 1, Told(told.append))
    callback.on_start(INFO)
    for number in range(1, 121):
        callback.on_step(step(number))
    assert server.asked.wait(30)
    wait_until(lambda: callback._sender.problem)
    callback.on_step(step(121))
    callback.on_step(step(122))
    assert told == ["MLflow cannot be reached, training goes on: ConnectionError: https://server refuses"]
    server.is_away = False
    wait_until(lambda: not callback._sender.problem)
    callback.on_end({"status": "preempted"})
    losses = [(value, number) for key, value, number in server.metrics if key == "train/loss"]
    assert losses == [(float(number), number) for number in range(1, 123)]
    assert server.status == "KILLED"
    assert server.params == [("run.seed", "3"), ("optimizer.lr", "0.5")]


def test_a_server_that_does_not_answer_holds_nobody_up(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = threading.Event()
    monkeypatch.setattr(module, "_SECONDS_AT_THE_END", 0.05)
    monkeypatch.setattr(module, "_MOST_LINES", 10)
    monkeypatch.setattr(server, "log_batch", lambda run_id, **what: answer.wait(60))
    told: list[str] = []
    callback = Mlflow(tmp_path, SETTINGS, 1, Told(told.append))
    callback.on_start(INFO)
    for number in range(1, 51):
        callback.on_step(step(number))
    callback.on_end({"status": "completed"})
    answer.set()
    assert len(told) == 1
    assert told[0].endswith("it does not answer, and the end of the run may be missing there")


def test_an_end_before_the_start_is_no_failure(tmp_path: Path) -> None:
    Mlflow(tmp_path, SETTINGS, 1, Told(pytest.fail)).on_end({"status": "failed"})


@needs_mlflow
def test_mlflow_reads_the_lines_and_a_run_that_continues_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", *environment._MLFLOW):
        monkeypatch.setenv(name, "")  # so that what it is set to does not outlive the test
        monkeypatch.delenv(name)
    monkeypatch.setattr(module, "_SECONDS_AT_THE_END", 60.0)  # the first import takes some
    home = tmp_path / "mlflow"
    for first, last, status in ((0, 20, "preempted"), (20, 40, "completed")):
        callback = Mlflow(home, SETTINGS, 10, Told(pytest.fail))
        callback.on_start(dataclasses.replace(INFO, first_step=first))
        for number in range(first + 1, last + 1):
            callback.on_step(step(number))
        callback.on_end({"status": status})

    import mlflow

    client = mlflow.MlflowClient((home / "store").as_uri())
    (experiment,) = [found for found in client.search_experiments() if found.name == "digits"]
    (run,) = client.search_runs([experiment.experiment_id])
    assert json.loads((home / "run.json").read_text()) == {"run_id": run.info.run_id}
    assert (run.info.status, run.info.run_name) == ("FINISHED", "a")
    assert run.data.params == {"run.seed": "3", "optimizer.lr": "0.5"}
    history = client.get_metric_history(run.info.run_id, "train/loss")
    assert [(metric.step, metric.value) for metric in history] == [(10, 10.0), (20, 20.0), (30, 30.0), (40, 40.0)]
