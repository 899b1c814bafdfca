"""Runs with long curves for benchmarks: one of ours and the same one as W&B writes it offline."""

from __future__ import annotations

import json
import math
import os
import random
import subprocess
import sys
import time
from pathlib import Path

from tests.bench.made_store import fill

NAMES = [f"train/metric_{number:02d}" for number in range(20)]
_WANDB = """
import math, os, random, sys, time
os.environ |= {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "WANDB_DIR": sys.argv[1]}
import wandb
steps, metrics, rate = int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
run = wandb.init(project="bench", settings=wandb.Settings(x_disable_stats=True, x_disable_machine_info=True))
chance = random.Random(0)
for step in range(steps):
    run.log({f"train/metric_{n:02d}": 2 * math.exp(-5 * step / steps) + 0.1 * chance.random() + n / 100
             for n in range(metrics)}, step=step)
    if rate:
        time.sleep(1 / rate)
run.finish()
"""


def peer_python() -> str:
    """The interpreter that has W&B: `HEATS_BENCH_WANDB`, else the one of .venv-bench, else this one."""
    given = os.environ.get("HEATS_BENCH_WANDB")
    beside = Path(__file__).parents[2] / ".venv-bench" / "bin" / "python"
    return given or (str(beside) if beside.exists() else sys.executable)


def missing_wandb() -> str | None:
    """Why W&B can't be measured, or None if it is installed."""
    done = subprocess.run([peer_python(), "-c", "import wandb"], capture_output=True, check=False)
    return None if done.returncode == 0 else "wandb is not installed (see tests/bench/README.md)"


def values(step: int, steps: int, metrics: int, chance: random.Random) -> dict[str, float]:
    """What is logged at a step: falling curves with noise."""
    return {
        name: 2 * math.exp(-5 * step / steps) + 0.1 * chance.random() + number / 100
        for number, name in enumerate(NAMES[:metrics])
    }


def lines(steps: int, metrics: int, first: int = 1, total: int | None = None) -> list[str]:
    """The metric log of so many steps."""
    chance, began = random.Random(first), time.time() - steps
    return [
        json.dumps({"step": step, "time": began + step} | values(step, total or steps, metrics, chance)) + "\n"
        for step in range(first, first + steps)
    ]


def our_run(root: Path, steps: int, metrics: int, *, live: bool = False) -> Path:
    """A store with one run with such curves; the path of its metric log."""
    fill(root, 1, live=1 if live else 0)
    path = next(root.glob("*/attempts/001/metrics.jsonl"))
    path.write_text("".join(lines(steps, metrics)))
    return path


def wandb_run(folder: Path, steps: int, metrics: int, rate: float = 0.0) -> subprocess.Popen[bytes]:
    """Begin to write the same as an offline run of W&B, at so many steps a second (0: as fast as it can)."""
    folder.mkdir(parents=True, exist_ok=True)
    words = [peer_python(), "-c", _WANDB, str(folder), str(steps), str(metrics), str(rate)]
    return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def wandb_folder(folder: Path, seconds: float = 60.0) -> Path:
    """The folder of the run that is written there."""
    end = time.time() + seconds
    while time.time() < end:
        found = [path for path in folder.glob("wandb/offline-run-*") if list(path.glob("*.wandb"))]
        if found:
            return found[0]
        time.sleep(0.2)
    raise TimeoutError(f"W&B wrote no run in {folder}")
