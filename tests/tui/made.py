"""Synthetic stores in the real format, written by the store's own writers, and summaries for the pure parts."""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

from engine.store import create, host
from engine.store.checkpoints import FILES, MANIFEST
from engine.store.files import encode_number, write_json
from engine.store.paths import RunPaths, create_store
from engine.store.records import LaunchRecord
from engine.store.status import State
from engine.store.summary import RunSummary

TOTAL = 1000


def decay(step: int) -> float:
    """A loss that falls."""
    return 2.0 * math.exp(-step / 100) + 0.3


def make_run(
    root: Path,
    name: str = "run",
    *,
    state: str = "finished",
    steps: int = 60,
    loss: Callable[[int], float] = decay,
    tags: tuple[str, ...] = (),
    log: str = "hello\n",
) -> RunPaths:
    """A run with one attempt. `running` ones are this very process; other states are the last event's name."""
    store = create_store(root)
    with mock.patch.object(create, "environment", return_value={}):
        run = create.create_run(
            store, task="multiplication", slug="s", config_yaml="seed: 0\ntrain:\n  max_steps: 1000\n",
            config_hash="0", name=name, seed=0, tags=tags,
        )  # fmt: skip
    attempt = create.claim_attempt(run)
    started = time.time() - steps
    live = state == "running"
    pid = os.getpid() if live else 1
    ticks = host.start_ticks(pid) if live else 0
    create.write_launch(
        attempt,
        LaunchRecord(
            attempt=1, created=started, host=host.host_name(), boot_id=host.boot_id(),
            pid_namespace=host.pid_namespace(), total_steps=TOTAL, trainer_pid=pid, trainer_ticks=ticks,
            supervisor_pid=pid, supervisor_ticks=ticks, started=started,
        ),
    )  # fmt: skip
    with attempt.events.open("w") as events:
        _line(events, event="started", time=started, step=0)
        _line(events, event="training", time=started, step=0, total_steps=TOTAL)
        if steps >= 50:
            _line(events, event="checkpoint", time=started + 50, step=50)
        if not live and state != "lost":
            _line(events, event=state, time=started + steps, step=steps)
    attempt.output.write_text(log)
    add_steps(run, 1, steps, loss=loss, start=started)
    return run


def add_steps(
    run: RunPaths, first: int, last: int, *, loss: Callable[[int], float] = decay, start: float | None = None
) -> None:
    """Log some steps, as the trainer does."""
    begin = time.time() - last if start is None else start
    with run.attempts()[-1].metrics.open("a") as file:
        for step in range(first, last + 1):
            values = {"train/loss": encode_number(loss(step)), "train/lr": 1e-3}
            _line(file, step=step, time=begin + step, **values)
            if step % 20 == 0:
                _line(file, step=step, time=begin + step, **{"val/loss": encode_number(loss(step) * 1.1)})


def _line(file: Any, **content: Any) -> None:
    file.write(json.dumps(content) + "\n")


def make_checkpoint(run: RunPaths, step: int) -> Path:
    """A checkpoint whose every byte has its hash."""
    folder = run.checkpoints / f"step-{step:08d}"
    folder.mkdir(parents=True)
    files = {}
    for name in FILES:
        content = _tensors(step) if name.endswith(".safetensors") else json.dumps({"step": step}).encode()
        (folder / name).write_bytes(content)
        files[name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    manifest = {"schema": 1, "step": step, "attempt": 1, "reason": "scheduled", "created": 1.0, "files": files}
    write_json(folder / MANIFEST, manifest)
    return folder


def _tensors(step: int) -> bytes:
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    return len(header).to_bytes(8, "little") + header + step.to_bytes(4, "little")


_PLAIN = RunSummary(
    id="20260101-000000_multiplication-s_0000", name="run", task="multiplication", status=State.FINISHED, reason="done",
    since=0.0, step=10, total_steps=100, metrics={}, best={}, study=None, arm=None, seed=0, tags=(), note="",
    star=False, archived=False, created=0.0, attempts=1, host="here", rate=None, left=None,
)  # fmt: skip


def summary(number: int = 0, **changes: Any) -> RunSummary:
    """A summary for what needs no store."""
    given: dict[str, Any] = {
        "id": f"20260101-{number:06d}_multiplication-s_{number % 10000:04d}",
        "created": float(number),
    } | changes
    return replace(_PLAIN, **given)
