"""Stores with runs in them, written as the engine writes them, for tests of the command line."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.store import host
from engine.store.checkpoints import FILES, MANIFEST, folder_name
from engine.store.create import claim_attempt, create_run
from engine.store.files import encode_number, write_json
from engine.store.paths import AttemptPaths, RunPaths, Store, create_store, program
from engine.store.records import LaunchRecord, write_launch

TOTAL = 1000
CONFIG = "seed: 0\ntrain:\n  max_steps: 1000\n  batch_size: 256\nmodel:\n  kind: simple\n"


def make_store(folder: Path) -> Store:
    """A new store."""
    return create_store(folder / "runs")


def make_run(store: Store, *, created: float | None = None, config: str = CONFIG, **facts: Any) -> RunPaths:
    """A run without attempts; `created` moves its date, in the id too."""
    run = create_run(
        store, task="multiplication", slug=facts.pop("slug", "simple-d8-l1"), config_yaml=config, config_hash="0" * 16,
        seed=0, **facts,
    )  # fmt: skip
    if created is None:
        return run
    stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(created))
    moved = store.run(stamp + run.id[15:])
    run.folder.rename(moved.folder)
    record = json.loads(moved.record.read_text())
    write_json(moved.record, record | {"id": moved.id, "created": created})
    return moved


def add_attempt(run: RunPaths, **facts: Any) -> AttemptPaths:
    """An attempt that was launched on this machine by processes that are gone."""
    attempt = claim_attempt(run)
    record = LaunchRecord(
        attempt=attempt.number,
        created=facts.pop("created", time.time() - 60),
        host=host.host_name(),
        boot_id=host.boot_id(),
        pid_namespace=host.pid_namespace(),
        total_steps=TOTAL,
        **({"supervisor_pid": 999_999_999, "trainer_pid": 999_999_998} | facts),
    )
    write_launch(attempt, record)
    return attempt


def log_steps(attempt: AttemptPaths, first: int, last: int, loss: float = 1.0) -> None:
    """Metric records of a training that falls towards `loss`."""
    start = time.time() - 30
    with attempt.metrics.open("a") as file:
        for step in range(first, last + 1):
            value = loss * (1 + 1 / step)
            file.write(
                json.dumps({"step": step, "time": start + 0.01 * step, "train/loss": encode_number(value)}) + "\n"
            )


def log_event(attempt: AttemptPaths, name: str, step: int | None = None, **facts: Any) -> None:
    """One line of events.jsonl."""
    record = {"event": name, "time": time.time(), "step": step, **facts}
    with attempt.events.open("a") as file:
        file.write(json.dumps(record) + "\n")


def finished_run(store: Store, *, steps: int = 20, loss: float = 1.0, **facts: Any) -> RunPaths:
    """A run that trained and ended well."""
    run = make_run(store, **facts)
    attempt = add_attempt(run)
    log_event(attempt, "started")
    log_steps(attempt, 1, steps, loss)
    metrics = {"val/loss": encode_number(loss), "val/exact_match": 0.5}
    log_event(attempt, "evaluated", steps, metrics=metrics, best={"val/exact_match": 0.75})
    log_event(attempt, "finished", steps, metrics=metrics)
    return run


def ended_run(store: Store, event: str, **facts: Any) -> RunPaths:
    """A run whose engine said how it ended."""
    run = make_run(store)
    attempt = add_attempt(run)
    log_event(attempt, "started")
    log_steps(attempt, 1, 5)
    log_event(attempt, event, 5, **facts)
    return run


def running_run(store: Store, process: subprocess.Popen[bytes], **facts: Any) -> RunPaths:
    """A run whose trainer and supervisor are both the given process."""
    run = make_run(store, **facts)
    ticks = host.start_ticks(process.pid)
    attempt = add_attempt(
        run, supervisor_pid=process.pid, supervisor_ticks=ticks, trainer_pid=process.pid, trainer_ticks=ticks,
        started=time.time(),
    )  # fmt: skip
    log_event(attempt, "started")
    log_event(attempt, "training", 0, total_steps=TOTAL)
    log_steps(attempt, 1, 50)
    return run


def add_checkpoint(run: RunPaths, step: int, *, metric: float | None = None, truncated: bool = False) -> Path:
    """A checkpoint folder whose manifest is right, unless its model file is to be too short."""
    folder = run.checkpoints / folder_name(step)
    folder.mkdir(parents=True)
    files = {}
    for name in FILES:
        (folder / name).write_bytes(b"x" * 100)
        files[name] = {"bytes": 100, "sha256": "0" * 64}
    if truncated:
        (folder / FILES[0]).write_bytes(b"x" * 7)
    manifest = {"schema": 1, "step": step, "attempt": 1, "reason": "periodic", "created": time.time(), "files": files}
    write_json(folder / MANIFEST, manifest | ({} if metric is None else {"metric": metric}))
    return folder


def heats(
    *words: str, store: Store | Path | None = None, environment: dict[str, str] | None = None, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run the real command in a real process, with its output in pipes."""
    return subprocess.run(
        command_line(*words, store=store), capture_output=True, text=True, timeout=250, check=False,
        env=process_environment(environment), stdin=subprocess.DEVNULL, **options,
    )  # fmt: skip


def command_line(*words: str, store: Store | Path | None = None) -> Sequence[str]:
    """The words that run `heats`, on a store if one is given."""
    root = store.root if isinstance(store, Store) else store
    return [*program("tui.cli"), *(["--runs-dir", str(root)] if root is not None else []), *words]


def process_environment(changes: dict[str, str] | None = None) -> dict[str, str]:
    """This process's environment with UTF-8 and without what would steer the command."""
    kept = {name: value for name, value in os.environ.items() if name not in ("HEATS_RUNS_DIR", "COLUMNS", "NO_COLOR")}
    return kept | {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TERM": "xterm-256color"} | (changes or {})
