"""Studies whose runs were written by hand, as the engine writes them: nothing is trained."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import orjson
import yaml

from engine.config.resolve import config_hash, dump_yaml
from engine.config.sections import RunConfig
from engine.store import host
from engine.store.create import claim_attempt, create_run
from engine.store.files import encode_number
from engine.store.paths import AttemptPaths, RunPaths, Store, create_store
from engine.store.records import LaunchRecord, write_launch
from engine.study.expand import Cell, expand
from engine.study.spec import Study, read_study

STEPS = 40
BASE: dict[str, Any] = {"train.max_steps": STEPS, "train.batch_size": 16, "model.d_model": 16, "model.num_heads": 2}
TWO_ARMS: dict[str, Any] = {"simple": {"model.kind": "simple"}, "latent": {"model.kind": "latent"}}
CLAIM = {"better": "latent", "than": "simple", "metric": "val/exact_match", "mode": "max", "by": 0.01}


def make_study(folder: Path, name: str = "made", **facts: Any) -> Study:
    """A study file with these entries, read back; the two arms of the multiplication unless others are given."""
    content = {"question": "Does it help?", "task": "multiplication", "base": BASE, "seeds": [0, 1, 2]} | facts
    if not any(key in content for key in ("arms", "factors", "zip", "search")):
        content["arms"] = TWO_ARMS
    path = folder / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    return read_study(path)


def make_runs(
    store: Store,
    study: Study,
    value: Callable[[Cell], float | None],
    *,
    cells: Sequence[Cell] | None = None,
    end: str = "finished",
    steps: int = STEPS,
) -> list[RunPaths]:
    """A run for each cell; `value` is what its metric comes to at last, and None leaves the cell without a run."""
    runs = []
    for cell in expand(study) if cells is None else cells:
        last = value(cell)
        if last is not None:
            runs.append(make_cell(store, study.label, cell.arm, cell.config, last, end=end, steps=steps))
    return runs


def make_cell(
    store: Store,
    label: str,
    arm: str,
    config: RunConfig,
    last: float,
    *,
    end: str = "finished",
    steps: int = STEPS,
) -> RunPaths:
    """One run whose exact match rises towards `last` and whose loss falls; `end` is its last event."""
    run = create_run(
        store, task="multiplication", slug=f"made-{len(store.run_ids()):03d}", config_yaml=dump_yaml(config),
        config_hash=config_hash(config), seed=config.seed, study=label, arm=arm,
    )  # fmt: skip
    attempt = claim_attempt(run)
    launch = LaunchRecord(
        attempt=1, created=time.time() - 100, host=host.host_name(), boot_id=host.boot_id(),
        pid_namespace=host.pid_namespace(), supervisor_pid=999_999_999, trainer_pid=999_999_998, total_steps=steps,
    )  # fmt: skip
    write_launch(attempt, launch)
    start = time.time() - 90
    lines = []
    for step in range(1, steps + 1):
        line: dict[str, Any] = {"step": step, "time": start + 0.5 * step, "train/loss": 3 * math.exp(-step / 15)}
        if step % 5 == 0:
            line["val/exact_match"] = encode_number(last * step / steps)
        lines.append(orjson.dumps(line))
    attempt.metrics.write_bytes(b"\n".join(lines) + b"\n")
    metrics = {"train/loss": 0.1, "val/exact_match": encode_number(last)}
    reason = {} if end == "finished" else {"reason": "the loss was NaN"}
    log_events(attempt, [
        {"event": "started", "time": start, "step": None},
        {"event": "training", "time": start, "step": 0, "parameters": 5232, "total_steps": steps,
         "batches_per_epoch": 10},
        {"event": "evaluated", "time": start + 0.5 * steps, "step": steps, "metrics": metrics, "best": metrics},
        {"event": end, "time": start + 0.5 * steps, "step": steps, "metrics": metrics, **reason},
    ])  # fmt: skip
    return run


def log_events(attempt: AttemptPaths, events: Sequence[dict[str, Any]]) -> None:
    """Lines of events.jsonl."""
    with attempt.events.open("ab") as file:
        file.write(b"".join(orjson.dumps(event) + b"\n" for event in events))


def made_store(folder: Path) -> Store:
    """A new store, below a test's folder."""
    return create_store(folder / "runs")
