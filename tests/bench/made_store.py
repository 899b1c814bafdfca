"""Stores of many runs for benchmarks: every small file as the engine writes it, the weights left out."""

from __future__ import annotations

import json
import os
import random
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engine.store import host
from engine.store.paths import create_store
from engine.store.records import LaunchRecord, RunRecord

STEPS = 2000
_LOGGED_EVERY = 50
_EVALUATED_EVERY = 200
_CONFIG = """\
seed: {seed}
train:
  batch_size: {batch}
  accumulation: 1
  max_steps: 2000
  log_every: 50
  save_every: 500
  device: auto
  deterministic: true
  gradient_checkpointing: false
  compile: false
  num_threads: 0
optim:
  name: adamw
  lr: {lr}
  weight_decay: 0.01
  beta1: 0.9
  beta2: 0.999
  eps: 1.0e-08
  momentum: 0.9
  min_lr_ratio: 0.1
  fused: true
schedule:
  kind: cosine
  warmup_steps: 100
clip:
  kind: dynamic
  max_norm: 1.0
  window: 100
  quantile: 0.9
  lower: 0.05
  upper: 5.0
  lr_power: 0.5
precision:
  dtype: auto
  tf32: false
evaluation:
  every: 200
  every_epochs: 0
  best_metric: val/exact_match
  best_mode: max
  patience: 0
  min_gain: 0.0
checkpoint:
  keep_last: 3
  keep_best: 1
  keep_every: 0
guard:
  max_skipped: 20
  share_every: 0
data:
  num_workers: 0
  pin_memory: false
  persistent_workers: true
  prefetch_factor: 2
  min_digits: 1
  max_digits: 2
  reverse: true
  pad_operands: false
  max_pairs: 1000000
  max_eval_pairs: 2500
model:
  kind: {kind}
  d_model: {width}
  num_layers: 4
  num_heads: 4
  num_latent: 8
  latent_rounds: 1
  positions: learned
  dropout: 0.0
"""
_SETTINGS = {
    "torch": "2.15.0", "device": "cpu", "cpu": "AVX2", "threads": 2, "optimizer": "AdamW fused", "compile": False,
    "dtype": "fp32", "tf32": False, "deterministic": True, "world_size": 1, "batch_size": 32, "accumulation": 1,
}  # fmt: skip
_ENDINGS = ("finished",) * 17 + ("stopped", "failed", "lost")


def fill(root: Path, count: int, *, first: int = 0, live: int = 0) -> None:
    """Write runs `first` to `first + count` of a store.

    Args:
        root: the store's folder, made if it isn't there.
        count: how many runs.
        first: the number of the first; two fills of one store need different ones.
        live: how many of them are trained just now, by this very process.
    """
    create_store(root)
    begin = time.time() - 90 * 86400
    for number in range(first, first + count):
        _write_run(str(root), number, begin + 60 * number, live=number - first >= count - live)


def config_values(number: int) -> dict[str, Any]:
    """What differs between the configs of the runs."""
    return {
        "seed": number % 5,
        "batch": (32, 64, 128)[number % 3],
        "lr": (0.0003, 0.001, 0.003)[number // 3 % 3],
        "kind": ("latent", "simple")[number % 2],
        "width": (64, 128, 256)[number // 7 % 3],
    }


def final_metrics(number: int) -> dict[str, float]:
    """The figures that a run ended with."""
    generator = random.Random(number)
    names: tuple[str, ...] = (
        "train/loss",
        "train/lr",
        "train/grad_norm",
        "train/clip_bound",
        "train/skipped",
        "train/cross_entropy",
    )
    names += ("val/loss", "val/cross_entropy", "val/exact_match", "val/digit_accuracy", "val/digit_accuracy_p0")
    return {name: generator.random() for name in names}


def _write_run(root: str, number: int, created: float, *, live: bool) -> None:
    values = config_values(number)
    slug = f"{values['kind']}-d{values['width']}-l4"
    stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(created))
    run_id = f"{stamp}_multiplication-{slug}_{_letters(number)}"
    folder = os.path.join(root, run_id)
    for name in ("", "requests", "attempts", "attempts/001", "tb", "checkpoints", f"checkpoints/step-{STEPS:08d}"):
        os.mkdir(os.path.join(folder, name))
    study = f"study-{number // 50}" if number % 4 == 0 else None
    record = RunRecord(
        id=run_id, name=slug, task="multiplication", created=created, seed=values["seed"], study=study,
        arm=values["kind"] if study else None, command=("heats", "launch", "multiplication"),
        config_hash=f"{number % 270:016x}", git_commit="0" * 40, host=host.host_name(),
    )  # fmt: skip
    ending = "live" if live else _ENDINGS[number % len(_ENDINGS)]
    launch = LaunchRecord(
        attempt=1, created=created, host=host.host_name(), boot_id=host.boot_id() if live else "an earlier boot",
        pid_namespace=host.pid_namespace(), command=("python", "-m", "engine.train", folder, "--attempt", "1"),
        folder=root, lock=f"/tmp/heats-0/{run_id}.lock", total_steps=STEPS, launcher_pid=700,
        supervisor_pid=os.getpid(),
        supervisor_ticks=host.start_ticks(os.getpid()), trainer_pid=os.getpid(),
        trainer_ticks=host.start_ticks(os.getpid()), started=created,
    )  # fmt: skip
    checkpoint = {
        "schema": 1,
        "step": STEPS,
        "attempt": 1,
        "reason": "final",
        "created": created,
        "settings": _SETTINGS,
    }
    _write(folder, "config.yaml", _CONFIG.format(**values))
    _write(folder, "environment.json", json.dumps({"schema": 1, "python": "3.11.7", "packages": {}}, indent=1))
    if number % 10 == 0:
        notes = {"schema": 1, "tags": ["paper"], "note": "for the table", "star": number % 20 == 0, "archived": False}
        _write(folder, "notes.json", json.dumps(notes, indent=1))
    _write(folder, f"checkpoints/step-{STEPS:08d}/MANIFEST.json", json.dumps(checkpoint, indent=1))
    _write(folder, "attempts/001/launch.json", json.dumps(asdict(launch), indent=1))
    _write(folder, "attempts/001/metrics.jsonl", "".join(_metric_lines(number, created)))
    _write(folder, "attempts/001/events.jsonl", "".join(_event_lines(number, created, ending)))
    if not live and ending != "lost":
        _write(folder, "attempts/001/exit.json", json.dumps({"ended": created + 300, "code": 0, "schema": 1}, indent=1))
    _write(folder, "run.json", json.dumps(asdict(record), indent=1))


def _metric_lines(number: int, created: float) -> list[str]:
    figures = json.dumps({name: value for name, value in final_metrics(number).items() if name.startswith("train")})
    return [
        f'{{"step":{step},"time":{created + step / 10:.3f},{figures[1:]}\n'
        for step in range(_LOGGED_EVERY, STEPS + 1, _LOGGED_EVERY)
    ]


def _event_lines(number: int, created: float, ending: str) -> list[str]:
    metrics = final_metrics(number)
    measured = {name: value for name, value in metrics.items() if name.startswith("val")}
    best = {"step": float(STEPS), "val/exact_match": metrics["val/exact_match"]}
    lines: list[dict[str, Any]] = [
        {"event": "started", "time": created, "step": 0, "pid": 7186, "ticks": 242347},
        {"event": "training", "time": created, "step": 0, "total_steps": STEPS, "parameters": 186830,
         "settings": _SETTINGS},
    ]  # fmt: skip
    for step in range(_EVALUATED_EVERY, STEPS + 1, _EVALUATED_EVERY):
        now = created + step / 10
        facts = {"metrics": measured, "improved": True, "best": best}
        lines.append({"event": "evaluated", "time": now, "step": step, **facts})
        lines.append({"event": "checkpoint", "time": now, "step": step, "reason": "best", "seconds": 0.12})
    if ending == "failed":
        lines.append({"event": "alert", "time": created + 1, "step": 10, "cause": "nan", "message": "loss is NaN"})
    if ending not in ("lost", "live"):
        facts = {"error": "ValueError: no"} if ending == "failed" else {"metrics": metrics, "best": best}
        lines.append({"event": ending, "time": created + STEPS / 10, "step": STEPS, **facts})
    return [json.dumps(line) + "\n" for line in lines]


def _letters(number: int) -> str:
    alphabet = "0123456789abcdefghijklmnopqrstuvwxyz"
    return "".join(alphabet[number // 36**place % 36] for place in (3, 2, 1, 0))


def _write(folder: str, name: str, text: str) -> None:
    with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
        file.write(text)
