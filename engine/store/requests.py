"""Requests that people drop into a run's folder and the engine reads at step ends."""

from __future__ import annotations

import contextlib
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from engine.store.files import read_json, write_json
from engine.store.paths import RunPaths
from engine.store.records import from_fields

STOP = "stop.json"
CHECKPOINT_NOW = "checkpoint-now.json"


@dataclass(frozen=True)
class StopRequest:
    """A wish that an attempt ends; `now` skips the last checkpoint. `time` in seconds since 1970."""

    attempt: int
    time: float
    now: bool = False


def request_stop(run: RunPaths, attempt: int, *, now: bool = False) -> StopRequest:
    """Ask an attempt to end; asking again never moves the time of the first request nor takes back its `now`.

    Raises:
        MachineError: the run's folder can't be written.
    """
    earlier = read_stop(run)
    if earlier is not None and earlier.attempt == attempt:
        request = StopRequest(attempt, earlier.time, now or earlier.now)
    else:
        request = StopRequest(attempt, time.time(), now)
    _drop(run.requests / STOP, asdict(request))
    return request


def read_stop(run: RunPaths) -> StopRequest | None:
    """The stop request, if there is one."""
    content = read_json(run.requests / STOP)
    found: StopRequest | None = None if content is None else from_fields(StopRequest, content)
    return found


def request_checkpoint(run: RunPaths) -> None:
    """Ask for a checkpoint at the end of the current step.

    Raises:
        MachineError: the run's folder can't be written.
    """
    _drop(run.requests / CHECKPOINT_NOW, {"time": time.time()})


def take_checkpoint_request(requests: Path) -> bool:
    """Whether a checkpoint was asked for; the request is removed."""
    try:
        (requests / CHECKPOINT_NOW).unlink()
    except OSError:
        return False
    return True


def clear(run: RunPaths) -> None:
    """Forget all requests: they were meant for an earlier attempt."""
    for name in (STOP, CHECKPOINT_NOW):
        (run.requests / name).unlink(missing_ok=True)


def _drop(path: Path, content: dict[str, object]) -> None:
    with contextlib.suppress(OSError):  # write_json says what is wrong
        path.parent.mkdir(exist_ok=True)
    write_json(path, content)
