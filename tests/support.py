"""What tests of live runs share: tiny configs, waiting, and looking at runs as a user would."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.launch.actions import LaunchRequest, Started, launch, stop
from engine.store.checkpoints import scan
from engine.store.paths import RunPaths
from engine.store.records import LaunchRecord, read_launch
from engine.store.status import State
from engine.store.summary import RunSummary, summarize

TINY: dict[str, Any] = {
    "model.d_model": 16,
    "model.num_layers": 1,
    "model.num_heads": 2,
    "model.num_latent": 2,
    "train.batch_size": 16,
    "train.max_steps": 40,
    "train.save_every": 10,
    "train.num_threads": 1,
    "evaluation.every": 20,
    "schedule.warmup_steps": 4,
}
"""A multiplication run of a second or two."""

ENDLESS = TINY | {"train.max_steps": 1_000_000, "train.save_every": 50, "evaluation.every": 0}
"""A run that goes on until a test ends it."""


def start(root: Path, values: dict[str, Any] | None = None, **request: Any) -> Started:
    """Launch a real run of the task multiplication."""
    return launch(root, LaunchRequest("multiplication", TINY if values is None else values, **request))


PATIENCE_SECONDS = 150.0
"""How long tests wait for what must come: seconds on a quiet machine, and ten times that on a crowded one."""


def wait_until(check: Callable[[], Any], seconds: float = PATIENCE_SECONDS, what: str = "") -> Any:
    """Wait for a check to give something true, and return that."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = check()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s: {what or check}")


def look(run: RunPaths) -> RunSummary:
    """What `heats list` would say of a run now."""
    summary = summarize(run)
    assert summary is not None
    return summary


def wait_for_state(run: RunPaths, *states: State, seconds: float = PATIENCE_SECONDS) -> RunSummary:
    """Wait until a run is in one of these states."""

    def check() -> RunSummary | None:
        found = look(run)
        return found if found.status in states else None

    try:
        found: RunSummary = wait_until(check, seconds)
    except AssertionError:
        now = look(run)
        output = run.attempts()[-1].output
        log = output.read_text()[-2000:] if output.exists() else "(no output)"
        raise AssertionError(f"still {now.status} ({now.reason}), not {states}\n{log}") from None
    return found


def wait_for_step(run: RunPaths, step: int, seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until a run has logged a step."""
    wait_until(lambda: look(run).step >= step, seconds, f"step {step} of {run.id}: {look(run).reason}")


def wait_for_checkpoint(run: RunPaths, seconds: float = PATIENCE_SECONDS) -> int:
    """Wait until a run can be resumed from a checkpoint, which may lie many steps behind the last one logged."""
    steps: list[int] = wait_until(
        lambda: [item.step for item in scan(run) if item.usable], seconds, f"a checkpoint of {run.id}"
    )
    return max(steps)


def end(run: RunPaths) -> None:
    """Stop a run at once, where its end isn't what is tested: a crowded machine may leave it no time for a word."""
    stop(run, now=True)
    wait_for_state(run, State.STOPPED, State.KILLED)


def launched(run: RunPaths) -> LaunchRecord:
    """The newest attempt's launch.json."""
    record = read_launch(run.attempts()[-1].launch)
    assert record is not None
    return record


def kill(pid: int | None, number: int = signal.SIGKILL) -> None:
    """Send a signal to a process that must exist."""
    assert pid is not None
    os.kill(pid, number)


def exists(pid: int | None) -> bool:
    """Whether a process exists and isn't a zombie."""
    from engine.store.host import process_state

    return pid is not None and process_state(pid, None) == "alive"
