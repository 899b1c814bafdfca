"""Runs, attempts and checkpoints made by hand, as the engine writes them but without it."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engine.store import host
from engine.store.checkpoints import FILES, MANIFEST, MODEL, OPTIMIZER, STATE, folder_name
from engine.store.create import new_run_id
from engine.store.files import encode_number, write_json
from engine.store.paths import AttemptPaths, RunPaths, Store, create_store
from engine.store.records import LaunchRecord, RunRecord, write_launch, write_run

NO_PROCESS = 2**30
"""Above any pid that Linux gives."""


def make_store(root: Path) -> Store:
    """A new store."""
    return create_store(root)


def make_run(
    store: Store,
    *,
    created: float | None = None,
    name: str = "mine",
    slug: str = "simple-d8",
    config_hash: str = "0" * 16,
) -> RunPaths:
    """A run without attempts."""
    created = time.time() if created is None else created
    run = store.run(new_run_id("multiplication", slug, created))
    run.folder.mkdir()
    for folder in (run.requests, run.attempts_folder, run.tensorboard, run.checkpoints):
        folder.mkdir()
    run.config.write_text("seed: 0\nmodel:\n  kind: simple\n  d_model: 8\n")
    write_run(run.record, RunRecord(run.id, name, "multiplication", created, seed=0, config_hash=config_hash))
    return run


def launch_record(number: int = 1, **facts: Any) -> LaunchRecord:
    """An attempt of this host and boot whose processes are gone."""
    given: dict[str, Any] = {
        "created": time.time() - 60, "host": host.host_name(), "boot_id": host.boot_id(),
        "pid_namespace": host.pid_namespace(), "total_steps": 1000, "supervisor_pid": NO_PROCESS,
        "supervisor_ticks": 1, "trainer_pid": NO_PROCESS + 1, "trainer_ticks": 1,
    }  # fmt: skip
    return LaunchRecord(attempt=number, **(given | facts))


def add_attempt(run: RunPaths, number: int | None = None, **facts: Any) -> AttemptPaths:
    """The next attempt, with its launch.json."""
    attempt = run.attempt(len(run.attempts()) + 1 if number is None else number)
    attempt.folder.mkdir()
    write_launch(attempt, launch_record(attempt.number, **facts))
    return attempt


def log_steps(attempt: AttemptPaths, steps: range | list[int], loss: float | None = None, **more: float) -> None:
    """Metric records, one a step and a second; the loss is the attempt's number plus the step / 1000 by default."""
    with attempt.metrics.open("a") as file:
        for step in steps:
            value = attempt.number + step / 1000 if loss is None else loss
            figures = {"train/loss": value, **more}
            plain = {name: encode_number(figure) for name, figure in figures.items()}
            file.write(json.dumps({"step": step, "time": 1.7e9 + step, **plain}) + "\n")


def log_event(attempt: AttemptPaths, name: str, step: int | None = None, **facts: Any) -> None:
    """One line of events.jsonl."""
    with attempt.events.open("a") as file:
        file.write(json.dumps({"event": name, "time": facts.pop("time", time.time()), "step": step, **facts}) + "\n")


def finished_run(store: Store, *, steps: int = 20, **facts: Any) -> RunPaths:
    """A run that trained and ended well."""
    run = make_run(store, **facts)
    attempt = add_attempt(run)
    log_event(attempt, "started", 0)
    log_event(attempt, "training", 0, total_steps=1000)
    log_steps(attempt, range(1, steps + 1))
    log_event(attempt, "evaluated", steps, metrics={"val/loss": 0.25}, best={"val/loss": 0.25, "step": float(steps)})
    log_event(attempt, "finished", steps, metrics={"val/loss": 0.25})
    return run


def safetensors(tensors: dict[str, tuple[tuple[int, ...], bytes]]) -> bytes:
    """A safetensors file of 32-bit floats: eight bytes of length, a JSON header, the data."""
    header: dict[str, Any] = {"__metadata__": {"aliases": "{}"}}
    data = b""
    for name, (shape, content) in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def write_checkpoint(
    run: RunPaths,
    step: int,
    *,
    attempt: int = 1,
    metric: float | None = None,
    emergency: bool = False,
    state: dict[str, Any] | None = None,
    model: bytes | None = None,
    **manifest: Any,
) -> Path:
    """A whole checkpoint; what is given by name replaces that key of the manifest."""
    folder = run.checkpoints / folder_name(step, emergency=emergency)
    folder.mkdir()
    weights = safetensors({"weight": ((2, 2), step.to_bytes(4, "little") * 4), "bias": ((1,), b"\0\0\x80?")})
    (folder / MODEL).write_bytes(weights if model is None else model)
    (folder / OPTIMIZER).write_bytes(safetensors({"weight//exp_avg": ((2, 2), b"\1" * 16)}))
    (folder / STATE).write_text(json.dumps({"step": step, "random": [1, 2]} if state is None else state))
    content = {
        "schema": 1, "step": step, "attempt": attempt, "reason": "emergency" if emergency else "scheduled",
        "created": 1.7e9 + step, "metric": metric, "settings": {"dtype": "fp32"}, "digests": {},
        "files": {name: describe(folder / name) for name in FILES},
    }  # fmt: skip
    write_json(folder / MANIFEST, content | manifest)
    return folder


def describe(path: Path) -> dict[str, Any]:
    """A file as a manifest describes it."""
    content = path.read_bytes()
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def flip_bit(path: Path, position: int, bit: int = 0) -> None:
    """Damage one bit, as a failing disk does; size and name stay."""
    content = bytearray(path.read_bytes())
    content[position % len(content)] ^= 1 << bit
    path.write_bytes(content)


def fields(record: Any) -> dict[str, Any]:
    """A record as it stands in its file."""
    return json.loads(json.dumps(asdict(record)))  # type: ignore[no-any-return]


def write_measured(run: RunPaths, metrics: dict[int, float | None]) -> None:
    for step, metric in metrics.items():
        write_checkpoint(run, step, metric=metric)
