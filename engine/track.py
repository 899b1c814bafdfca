"""Six lines that let a training script talk to heats: log figures, hear a stop, tell of checkpoints.

    from engine import track

    run = track.start(total_steps=1000)
    first = run.checkpoint_step or 0           # load run.checkpoint here, if there is one
    for step in range(first + 1, 1001):
        track.log(step, loss=loss, **{"val/accuracy": accuracy})
        if track.should_stop():
            track.saved(step, save(step))      # the path of the script's own checkpoint
            break
    track.finish()

A script that heats didn't launch runs as it always did: every call here does nothing then. Of several processes
(torchrun) only rank 0 logs; all are told to stop, though not at the same step: let rank 0 decide for all. It loads
the standard library alone.
"""

from __future__ import annotations

import json
import math
import os
import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Run", "finish", "log", "saved", "should_save", "should_stop", "start"]

_LOOK_SECONDS = 0.5
"""Between looks for a request: a call in each step costs nothing."""


@dataclass(frozen=True)
class Run:
    """What the script is part of."""

    launched: bool
    """Whether heats launched it; everything else is empty where it didn't."""
    id: str = ""
    attempt: int = 0
    folder: Path | None = None
    """A folder of the run for the script's own files, checkpoints for instance."""
    seed: int | None = None
    """The seed that heats gave the run."""
    checkpoint: str = ""
    """The newest checkpoint that the script told of in an earlier attempt, where it is still there."""
    checkpoint_step: int | None = None


class _Tracker:
    """One process's side of it: the file it writes, and what it was asked."""

    def __init__(self) -> None:
        self.asked_to_stop = False
        self.signalled = False
        self.said_stopped = False
        self.began = False
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self._next_look = 0.0
        self._pid = os.getpid()
        folder = os.environ.get("HEATS_ATTEMPT_DIR", "")
        self.attempt = Path(folder) if folder and os.path.isdir(folder) else None
        self.first_rank = os.environ.get("RANK", "0") in ("", "0")
        if self.attempt is not None:
            _answer_signals(self)

    def write(self, record: dict[str, Any]) -> None:
        """A line, in one write. A disk that is full loses it: the script goes on."""
        if self.attempt is None or not self.first_rank or os.getpid() != self._pid:  # a loader's fork says nothing
            return
        line = (json.dumps(record) + "\n").encode()
        with self._lock:
            try:
                if self._descriptor is None:
                    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
                    self._descriptor = os.open(self.attempt / "track.jsonl", flags, 0o644)
                os.write(self._descriptor, line)
            except OSError:
                return

    def look(self) -> None:
        """Look for a request of this attempt, now and then."""
        if self.attempt is None or time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + _LOOK_SECONDS
        asked = _read(self.attempt.parent.parent / "requests" / "stop.json")
        if asked.get("attempt") == int(self.attempt.name):
            self.asked_to_stop = True

    def take_save_request(self) -> bool:
        """Whether a checkpoint was asked for; the request is taken away."""
        if self.attempt is None or not self.first_rank:
            return False
        try:
            (self.attempt.parent.parent / "requests" / "checkpoint-now.json").unlink()
        except OSError:
            return False
        return True


_tracker: _Tracker | None = None


def _here() -> _Tracker:
    global _tracker
    if _tracker is None:
        _tracker = _Tracker()
    return _tracker


def start(total_steps: int | None = None, *, take_signals: bool = False) -> Run:
    """Begin; everything else calls it where the script doesn't.

    From here on SIGTERM and SIGINT no longer end the script at once, but are what `should_stop` answers to, as are the
    SIGUSR1 and SIGUSR2 that announce a preemption; a second one ends it. A script with handlers of its own for them
    keeps those.

    Args:
        total_steps: how many steps it will take over the whole run, if it knows.
        take_signals: answer to SIGTERM and SIGINT even where somebody else has handlers for them.
    """
    tracker = _here()
    if tracker.attempt is None:
        return Run(launched=False)
    if take_signals:
        _answer_signals(tracker, also_taken=True)
    if not tracker.began:
        tracker.began = True
        tracker.write({"word": "started", "time": time.time()})
    if total_steps is not None:
        tracker.write({"word": "total", "step": int(total_steps), "time": time.time()})
    seed, step = os.environ.get("HEATS_SEED", ""), os.environ.get("HEATS_CHECKPOINT_STEP", "")
    return Run(
        launched=True,
        id=os.environ.get("HEATS_RUN_ID", ""),
        attempt=int(tracker.attempt.name),
        folder=Path(os.environ["HEATS_SCRIPT_DIR"]) if "HEATS_SCRIPT_DIR" in os.environ else None,
        seed=int(seed) if seed.isdigit() else None,
        checkpoint=os.environ.get("HEATS_CHECKPOINT", ""),
        checkpoint_step=int(step) if step.isdigit() else None,
    )


def log(step: int, values: dict[str, Any] | None = None, /, **more: Any) -> None:
    """Log figures of a step; names such as `loss` and `val/accuracy`. Whatever is no number is left out.

    Args:
        step: counted over the whole run; it goes back only after a restart.
        values, more: the figures, numbers or tensors of one element.
    """
    figures: dict[str, Any] = {}
    for name, value in {**(values or {}), **more}.items():
        try:
            number = float(value)
        except (TypeError, ValueError, RuntimeError):
            continue
        figures[name] = number if math.isfinite(number) else _spelled(number)
    if figures:
        _here().write(figures | {"step": int(step), "time": time.time()})


def should_stop() -> bool:
    """Whether the script was asked to stop: save, tell of it with `saved`, and leave with exit code 0."""
    tracker = _here()
    tracker.look()
    if tracker.asked_to_stop and not tracker.said_stopped:
        tracker.said_stopped = True
        tracker.write({"word": "stopped", "time": time.time()})
    return tracker.asked_to_stop


def should_save() -> bool:
    """Whether somebody asked for a checkpoint since the last call."""
    return _here().take_save_request()


def saved(step: int, path: str | os.PathLike[str]) -> None:
    """Tell of a checkpoint of the script's own: the next attempt is told its path.

    Args:
        step: after how many steps it was made.
        path: the file or folder.
    """
    _here().write({"word": "checkpoint", "step": int(step), "path": os.path.abspath(path), "time": time.time()})


def finish() -> None:
    """Say that the training has come to its end; without it exit code 0 says so. Nothing where it was stopped."""
    tracker = _here()
    if not tracker.said_stopped:
        tracker.write({"word": "finished", "time": time.time()})


def _answer_signals(tracker: _Tracker, *, also_taken: bool = False) -> None:
    if threading.current_thread() is not threading.main_thread():
        return

    def answer(number: int, _: Any) -> None:
        if tracker.signalled:  # not where the request was seen already that this signal announces
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        tracker.asked_to_stop = tracker.signalled = True

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
        if also_taken or signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, answer)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _spelled(number: float) -> str:
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"
