"""Gathers the figures of a running script from everywhere it writes them, into the attempt's own files.

It is the only writer of the attempt's metrics.jsonl. Nothing in here may harm the script: what can't be read is said
in sources.json and left.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import HeatsError
from engine.store.files import encode_number, read_json, write_json
from engine.store.metrics import ROLLED_BACK, JsonLinesTail, RunHistory
from engine.store.paths import AttemptPaths, RunPaths
from engine.tasks.exec.config import Config
from engine.tasks.exec.files import FollowedFile
from engine.tasks.exec.finding import Finder
from engine.tasks.exec.ledger import Ledger, Record
from engine.tasks.exec.lines import LineReader
from engine.tasks.exec.naming import group_of_folder, metric_name
from engine.tasks.exec.output import GrowingText
from engine.train.appender import LineAppender
from engine.train.events import EventLog
from engine.train.metrics import encode_row

_FIND_SECONDS = (1.0, 10.0)
"""Between looks for files: the first is doubled up to the second while nothing new is found."""
_EVALUATED_SECONDS = 5.0
_WORDS = ("finished", "stopped", "checkpoint", "total", "started")


class _TrackTail(JsonLinesTail):
    """Lines of `engine.track` have a step or a word."""

    def accepts(self, record: Any) -> bool:
        return isinstance(record, dict) and (type(record.get("step")) is int or record.get("word") in _WORDS)


@dataclass
class Best:
    """The best value so far of the metric that counts."""

    metric: str
    mode: str
    value: float | None = None
    step: int = 0

    def take(self, step: int, values: dict[str, float]) -> bool:
        """Whether these figures are better."""
        value = values.get(self.metric)
        if value is None or value != value:
            return False
        if self.value is not None and (value >= self.value if self.mode == "min" else value <= self.value):
            return False
        self.value, self.step = value, step
        return True

    def facts(self) -> dict[str, Any]:
        """As events have it; nothing while there is none."""
        return {} if self.value is None else {"best": {"step": float(self.step), self.metric: self.value}}


class Collector:
    """Looks at all that a script writes, now and then.

    Args:
        run, attempt: whose.
        config: how figures are found.
        folder: the script's working folder.
        events: the attempt's event log.
        first_step: the step from which the attempt is told to go on, for the log.
    """

    def __init__(self, run: RunPaths, attempt: AttemptPaths, config: Config, folder: Path, events: EventLog) -> None:
        self.attempt = attempt
        self.events = events
        self.options = config.exec
        earlier = None
        if attempt.number > 1:
            history = RunHistory(run)
            history.refresh()
            earlier = history.last_step if history.series else None
        self.ledger = Ledger(config.exec.ignore, earlier, _had_own_steps(run, attempt.number - 1))
        self.best = Best(config.evaluation.best_metric, config.evaluation.best_mode)
        self.total: int | None = config.total_steps
        self._total_is_told = self.total is not None
        self.word = ""
        """What the script said of its own end."""
        wanted = config.exec.metrics
        self._reader = LineReader(config.exec.pattern, config.exec.step_key) if wanted in ("auto", "lines") else None
        self._output = GrowingText(attempt.output)
        self._line_points = 0
        self._finder = (
            Finder(folder, run.script, run.folder.parent, config.exec.files) if wanted in ("auto", "files") else None
        )
        self._files: list[tuple[FollowedFile, str]] = []
        self._track = _TrackTail(attempt.track)
        self._tracked = 0
        self._appender = LineAppender(attempt.metrics)
        self._look_after = 0.0
        self._pause = _FIND_SECONDS[0]
        self._evaluated = 0.0
        self._pending: tuple[int, dict[str, float]] | None = None
        self._shown: dict[str, Any] = {}

    def look(self, pids: Callable[[], list[int]], *, last: bool = False) -> None:
        """Take in everything that is new.

        Args:
            pids: gives the script's processes, for the files that they hold open; it looks at every process there is.
            last: the script has ended: what it left unfinished counts.
        """
        self._find(pids, now=last)
        records = self._from_track()
        for followed, _ in self._files:
            rows = followed.read(last=last)
            records += self.ledger.take(str(followed.path), [(row.step, row.time, row.values) for row in rows])
        records += self._from_lines(last)
        records += self.ledger.settle(last=last)
        self._write(records)
        self._tell(last)

    def close(self) -> None:
        """Close everything."""
        self._appender.close()
        if self._finder is not None:
            self._finder.close()

    def facts(self) -> dict[str, Any]:
        """What the last event says: the newest figures and the best."""
        return {"metrics": dict(self.ledger.last_values), **self.best.facts()}

    # Sources

    def _find(self, pids: Callable[[], list[int]], *, now: bool) -> None:
        if self._finder is None or (time.monotonic() < self._look_after and not now):
            return
        found = self._finder.look(pids())
        self._pause = _FIND_SECONDS[0] if found else min(2 * self._pause, _FIND_SECONDS[1])
        self._look_after = time.monotonic() + self._pause
        for item in found:
            followed = FollowedFile(
                item.path, item.kind, item.offset, group_of_folder(item.path.parent.name), self.options.step_key,
                must_name_step=not item.named,
            )  # fmt: skip
            self._files.append((followed, item.why))

    def _from_track(self) -> list[Record]:
        rows: list[Record] = []
        for record in self._track.read():
            word = record.pop("word", None)
            moment = float(record.pop("time", 0.0) or 0.0)
            if word in ("finished", "stopped"):
                self.word = word
            elif word == "started":
                self.ledger.expects_own_steps = True
            elif word == "total" and type(record.get("step")) is int:
                self.total, self._total_is_told = record["step"], True
            elif word == "checkpoint":
                self.events.write("script_checkpoint", record.get("step"), path=str(record.get("path", "")))
            if word is not None:
                continue
            step = record.pop("step")
            values = {metric_name(name): float(value) for name, value in record.items() if _is_number(value)}
            rows.append((step, moment, values))
        self._tracked += len(rows)
        return self.ledger.take("track", rows)

    def _from_lines(self, last: bool) -> list[Record]:
        if self._reader is None:
            return []
        now, records = time.time(), []
        for text in self._output.lines(last=last):
            found = self._reader.read(text)
            if found is not None:
                self._line_points += 1
                records += self.ledger.take_line(found.step, now, found.values)
                if found.total is not None and not self._total_is_told:
                    self.total = found.total
        return records

    # What is written

    def _write(self, records: list[Record]) -> None:
        rows: list[Record] = []
        for step, moment, values in records:
            moment = moment or time.time()
            if rows and rows[-1][0] == step and not rows[-1][2].keys() & values.keys():
                rows[-1] = (step, rows[-1][1], rows[-1][2] | values)
            else:
                rows.append((step, moment, dict(values)))
        for step, _, values in rows:
            if ROLLED_BACK in values:  # what was said of later steps is shadowed with their figures
                message = f"it goes on past step {step:,}: what it logged beyond before is shadowed"
                self.events.write("rolled_back", step, from_step=int(values[ROLLED_BACK]), message=message)
                self._pending = None
            elif any(name.startswith(("val/", "test/")) or name == self.best.metric for name in values):
                self.best.take(step, values)
                known = self._pending[1] if self._pending is not None else {}
                self._pending = (step, known | values)
        if rows or self._appender.error is not None:
            self._appender.append(b"".join(encode_row(step, moment, values) for step, moment, values in rows))

    def _tell(self, last: bool) -> None:
        """Say what was evaluated, and where the figures come from, not oftener than anybody reads it."""
        now = time.monotonic()
        if self._pending is not None and (last or now - self._evaluated > _EVALUATED_SECONDS):
            step, values = self._pending
            self.events.write("evaluated", step, metrics=values, **self.best.facts())
            self._evaluated, self._pending = now, None
        shown = self.sources()
        if shown != self._shown:
            with contextlib.suppress(HeatsError, OSError):
                write_json(self.attempt.sources, shown)
                self._shown = shown

    def sources(self) -> dict[str, Any]:
        """Where the figures come from, as sources.json says it."""
        found: list[dict[str, Any]] = []
        if self._tracked:
            found.append({"kind": "track", "path": None, "why": "the script calls engine.track", "remark": ""})
        for followed, why in self._files:
            found.append({"kind": followed.kind, "path": str(followed.path), "why": why, "remark": followed.remark})
        if self._line_points:
            rule = "exec.pattern" if self.options.pattern else "name: number and name=number"
            found.append({"kind": "lines", "path": str(self.attempt.output), "why": rule, "remark": ""})
        note = self._finder.note if self._finder is not None else ""
        return {"schema": 1, "sources": found, "note": note}


def _had_own_steps(run: RunPaths, number: int) -> bool:
    """Whether files or `engine.track` told the steps of an earlier attempt."""
    if number < 1:
        return False
    found = (read_json(run.attempt(number).sources) or {}).get("sources")
    return isinstance(found, list) and any(isinstance(item, dict) and item.get("kind") != "lines" for item in found)


def _is_number(value: Any) -> bool:
    return not isinstance(value, bool) and (
        isinstance(value, (int, float)) or value in (encode_number(float("nan")), "Infinity", "-Infinity")
    )
