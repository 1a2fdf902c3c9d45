"""What the files of a run say at one moment. They may be missing, old or half written: the run goes on meanwhile."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from hpctrain.errors import HpctrainError, Preempted
from hpctrain.launch.run_dir import RunDir
from hpctrain.train.callbacks.callback import RunInfo
from hpctrain.train.callbacks.journal import NOTE
from hpctrain.train.callbacks.metrics import line_of
from hpctrain.watch.growing import GrowingFile
from hpctrain.watch.ranks import RankReader, RankState

SILENT_SECONDS = 60.0
"""Without a sign of life: a person should know."""

_LINES_FOR_SPEED = 5
_CODES = {"completed": 0, "preempted": Preempted.exit_code}
_SECONDS_TO_DIE = 5.0  # between the end of all ranks and a summary


@dataclass(frozen=True)
class Sight:
    """A run at one moment.

    Attributes:
        info: what was known when training began; None: it has not begun.
        lines: those of metrics.jsonl so far.
        summary: how it ended; None while it goes on.
        notes: what a person was told, oldest first.
        stall: the newest report of ranks that wait in vain, its first line; empty without one.
        ranks: where they are, of those that leave records here.
        now, heard: when this was seen, and when something was written last; seconds since 1970.
    """

    run_dir: RunDir
    info: RunInfo | None
    lines: Sequence[Mapping[str, Any]]
    summary: Mapping[str, Any] | None
    notes: Sequence[str]
    stall: str
    ranks: Sequence[RankState]
    now: float
    heard: float

    @property
    def status(self) -> str:
        """That of the summary, or "not begun", "running", "silent", "killed"."""
        if self.summary is not None:
            return str(self.summary.get("status", "failed"))
        if self._is_gone:
            return "killed"
        if self.heard and self.now - self.heard > SILENT_SECONDS:
            return "silent"
        return "running" if self.info else "not begun"

    @property
    def exit_code(self) -> int | None:
        """That of the run, None while it goes on: 0 completed, 75 preempted, 1 anything else."""
        if self.summary is None and not self._is_gone:
            return None
        return _CODES.get(self.status, HpctrainError.exit_code)

    @cached_property
    def steps(self) -> list[Mapping[str, Any]]:
        """The lines of steps."""
        return [line for line in self.lines if "loss" in line]

    @cached_property
    def tests(self) -> list[Mapping[str, Any]]:
        """The lines of evaluations."""
        return [line for line in self.lines if "test_loss" in line]

    @property
    def step(self) -> int:
        """Steps done, as far as is written."""
        first = self.info.first_step if self.info else 0
        return max(first, int(self.lines[-1]["step"])) if self.lines else first

    @cached_property
    def seconds(self) -> dict[str, float]:
        """Seconds of a step of rank 0 by section, mean over the newest lines."""
        newest = self.steps[-_LINES_FOR_SPEED:]
        names = dict.fromkeys(name for line in newest for name in line["seconds"])
        return {name: sum(line["seconds"].get(name, 0.0) for line in newest) / len(newest) for name in names}

    @property
    def seconds_left(self) -> float | None:
        """Of training, evaluations and checkpoints apart; None where it is not known."""
        seconds = sum(self.seconds.values())
        return (self.info.total_steps - self.step) * seconds if self.info and seconds else None

    @property
    def _is_gone(self) -> bool:
        """Whether all ranks have ended, on this machine, and none has said how."""
        states = self.ranks if self.info and len(self.ranks) == self.info.world_size else ()
        return bool(states) and all(state.ended for state in states) and self.now - self.heard > _SECONDS_TO_DIE


class Watcher:
    """Looks at the files of a run again and again; what has not changed is not read again."""

    def __init__(self, run_dir: RunDir) -> None:
        self._run_dir = run_dir
        self._metrics = GrowingFile(run_dir.metrics)
        self._log = GrowingFile(run_dir.rank_log(0))
        self._stalls = GrowingFile(run_dir.stalls)
        self._ranks = RankReader(run_dir)
        self._lines: list[dict[str, Any]] = []

    def look(self) -> Sight:
        """The run now."""
        begun = _written(self._run_dir.begin)
        info = _info(_content(self._run_dir.begin))
        ended = _written(self._run_dir.summary) >= begun  # else it is that of an earlier part of the run
        summary = _content(self._run_dir.summary) if ended else None
        lines = self._read_lines()
        self._log.read()
        self._stalls.read()
        ranks = self._ranks.look(info.world_size if info else 0)
        heard = [begun, self._metrics.written, self._log.written, *(state.since for state in ranks)]
        return Sight(
            run_dir=self._run_dir,
            info=info,
            lines=lines,
            summary=summary,
            notes=[*(info.notes if info else ()), *_notes(self._log.lines)],
            stall=_stall(self._stalls.lines, self._stalls.written) if self._stalls.written >= begun else "",
            ranks=ranks,
            now=time.time(),
            heard=max(heard),
        )

    def _read_lines(self) -> Sequence[Mapping[str, Any]]:
        new = self._metrics.read()
        if len(new) == len(self._metrics.lines):  # the file is another one: the run goes on from an earlier step
            self._lines = []
        self._lines += [line for line in map(line_of, new) if line is not None]
        return self._lines


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _content(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _info(content: dict[str, Any] | None) -> RunInfo | None:
    """From the content of run.json; None where that lacks what a run has always had."""
    names = [field.name for field in fields(RunInfo)]
    known = {name: content[name] for name in names if name in content} if content else {}
    try:
        return RunInfo(**{**known, "run_dir": Path(known["run_dir"]), "notes": tuple(known["notes"])})
    except (KeyError, TypeError):
        return None


def _notes(lines: Sequence[str]) -> list[str]:
    """The notes in a log of rank 0, since the run began or went on."""
    begins = [place for place, line in enumerate(lines) if " INFO rank 0 of " in line]
    since = lines[begins[-1] :] if begins else lines
    return [text for line in since if (text := line.partition(f" WARNING {NOTE}")[2])]


def _stall(lines: Sequence[str], written: float) -> str:
    reports = [line for line in lines if " has waited for " in line]
    moment = time.strftime("%H:%M:%S", time.localtime(written))
    return f"{moment} {reports[-1].removeprefix('hpctrain: ')}" if reports else ""
