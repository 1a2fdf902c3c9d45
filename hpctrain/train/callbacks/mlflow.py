"""Metrics and settings for MLflow: one run of a tracking server for each run directory.

A thread of its own sends them, and it alone waits for the server: where that is away, what is to be sent waits in
memory, the newest of it, and training goes on.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from hpctrain.job.describe import written
from hpctrain.launch.environment import prepare_mlflow
from hpctrain.launch.run_dir import write_json
from hpctrain.train.callbacks.callback import RunInfo, StepRecord
from hpctrain.train.callbacks.metric_lines import MetricLines, Told, scalars

_STATUSES = {"completed": "FINISHED", "preempted": "KILLED"}  # MLflow's words; any other end is FAILED
_SECONDS = 2.0  # between two messages to the server
_SECONDS_OF_PATIENCE = 30.0  # after one that has failed
_SECONDS_AT_THE_END = 5.0  # that all ranks wait for the last message
_MOST_LINES = 10_000  # that wait
_LINES_AT_ONCE, _PARAMETERS_AT_ONCE = 50, 100  # a server takes 1000 metrics and 100 parameters in one request
_LONGEST_PARAMETER = 500

_SECRET = re.compile(r"(?i)token(?![a-z])|secret|passw|credential|(api|access|private)_?key|auth(?![a-z])")
_USER = re.compile(r"(?<=://)[^/@\s]*@")


class Mlflow(MetricLines):
    """Sends the lines of metrics.jsonl to MLflow, with the settings as parameters.

    Where to, MLflow's own variables say (MLFLOW_TRACKING_URI, MLFLOW_EXPERIMENT_NAME, credentials); without them it is
    a store in `home`, which also keeps which run this is: a run that continues is the same run of MLflow.
    """

    def __init__(self, home: Path, settings: Mapping[str, Any], log_every: int, tell: Told) -> None:
        super().__init__(log_every)
        self._sender = Sender(home, dict(parameters(settings)))
        self._tell = tell

    def on_start(self, info: RunInfo) -> None:
        """Begin to send."""
        super().on_start(info)
        self._sender.begin(info.name, info.run_dir.name)

    def on_step(self, record: StepRecord) -> None:
        """Have the step sent if it is its turn; pass on what the sender has to tell."""
        super().on_step(record)
        self._tell_problem()

    def write(self, line: Mapping[str, Any]) -> None:
        """Have a line sent."""
        self._sender.put(line)

    def on_end(self, summary: Mapping[str, Any]) -> None:
        """Have the rest sent, with how the run ended."""
        super().on_end(summary)
        self._sender.end(_STATUSES.get(str(summary.get("status")), "FAILED"))
        self._tell_problem()

    def _tell_problem(self) -> None:
        if self._sender.problem:
            self._tell(f"MLflow cannot be reached, training goes on: {self._sender.problem}")


class Sender:
    """The thread that talks to the server.

    Attributes:
        problem: why the last message did not arrive; empty where it did.
    """

    def __init__(self, home: Path, settings: Mapping[str, str]) -> None:
        self.problem = ""
        self._home = home
        self._settings = list(settings.items())  # that are still to be sent
        self._name, self._run_name = "", ""
        self._lines: deque[tuple[int, Mapping[str, Any]]] = deque(maxlen=_MOST_LINES)
        self._mlflow: Any = None
        self._client: Any = None
        self._run_id = ""
        self._status = ""
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hpctrain mlflow", daemon=True)

    def begin(self, experiment: str, run_name: str) -> None:
        """Open the run, under this experiment where no variable names another, and send what is put."""
        self._name, self._run_name = experiment, run_name
        prepare_mlflow()
        try:
            self._mlflow = import_module("mlflow")  # two seconds, which in the thread would slow the first steps down
        except ImportError as error:
            self.problem = _in_a_line(error)
        else:
            self._thread.start()

    def put(self, line: Mapping[str, Any]) -> None:
        """Send a line soon."""
        self._lines.append((round(time.time() * 1000), line))

    def end(self, status: str) -> None:
        """Send all that is left and MLflow's word for the end; who is in trouble already is not waited for."""
        if not self._thread.ident:
            return
        self._status = status
        self._wake.set()
        self._thread.join(0.0 if self.problem else _SECONDS_AT_THE_END)
        if self._thread.is_alive() and not self.problem:
            self.problem = "it does not answer, and the end of the run may be missing there"

    def _run(self) -> None:
        pause = 0.0
        while True:
            self._wake.wait(pause)
            self._wake.clear()
            status = self._status
            try:
                self._send()
                if status:
                    self._client.set_terminated(self._run_id, status)
                self.problem, pause = "", _SECONDS
            except Exception as error:  # whatever a server or its client makes of it, training does not end by it
                self.problem, pause = _in_a_line(error), _SECONDS_OF_PATIENCE
            if status:
                return

    def _send(self) -> None:
        if not self._run_id:
            self._open()
        entities = self._mlflow.entities
        while self._settings:
            some = [entities.Param(key, value) for key, value in self._settings[:_PARAMETERS_AT_ONCE]]
            self._client.log_batch(self._run_id, params=some)
            del self._settings[: len(some)]
        while self._lines:
            lines = [self._lines[place] for place in range(min(len(self._lines), _LINES_AT_ONCE))]
            metrics = [
                entities.Metric(name, value, moment, line["step"])
                for moment, line in lines
                for name, value in scalars(line).items()
            ]
            self._client.log_batch(self._run_id, metrics=metrics)
            sent = set(map(id, lines))  # some may have been dropped meanwhile
            while self._lines and id(self._lines[0]) in sent:
                self._lines.popleft()

    def _open(self) -> None:
        """Find the run that this directory had before, or make one."""
        store = None if self._mlflow.is_tracking_uri_set() else (self._home / "store").resolve().as_uri()
        self._client = self._mlflow.MlflowClient(store)
        if kept := self._kept():
            try:
                self._client.update_run(kept, status="RUNNING")
                self._run_id = kept
                self._settings.clear()  # which are there, and may not be changed
                return
            except self._mlflow.exceptions.MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise  # else: another server than before
        self._make()

    def _make(self) -> None:
        name = self._mlflow.environment_variables.MLFLOW_EXPERIMENT_NAME.get() or self._name
        found = self._client.get_experiment_by_name(name)
        experiment = found.experiment_id if found else self._client.create_experiment(name)
        self._run_id = self._client.create_run(experiment, run_name=self._run_name).info.run_id
        self._home.mkdir(exist_ok=True)
        write_json(self._home / "run.json", {"run_id": self._run_id})

    def _kept(self) -> str:
        try:
            return str(json.loads((self._home / "run.json").read_text(encoding="utf-8"))["run_id"])
        except (OSError, ValueError, KeyError, TypeError):
            return ""


def parameters(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The settings of a job as MLflow keeps them, "section.key" and text.

    Without what is called after a secret in model.options, and without the user and the password of an address.
    """
    for section, table in settings.items():
        for key, value in table.items():
            text = _USER.sub("", value if isinstance(value, str) else written(_without_secrets(value)))
            yield f"{section}.{key}", text[:_LONGEST_PARAMETER]


def _without_secrets(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_secrets(part) for key, part in value.items() if not _SECRET.search(str(key))}
    return [_without_secrets(part) for part in value] if isinstance(value, list) else value


def _in_a_line(error: Exception) -> str:
    """The error as a note has it: its first line, not too long, without the password of an address."""
    text = _USER.sub("", f"{type(error).__name__}: {error}".splitlines()[0])
    return text if len(text) <= 200 else f"{text[:200]}..."
