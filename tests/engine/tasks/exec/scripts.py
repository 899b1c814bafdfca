"""Scripts as people write them, none of which knows of heats, and launching them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from engine.launch.actions import LaunchRequest, Started, launch

COUNTING = """
import argparse, os, signal, sys, time
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--steps", type=int, default=20)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--pause", type=float, default=0.0)
options = parser.parse_args()
for step in range(1, options.steps + 1):
    print(f"step {step}/{options.steps} loss: {options.lr * (1 + options.seed / 100) / step:.6f}", flush=True)
    time.sleep(options.pause)
print(f"val_loss: {options.lr / options.steps:.6f}")
"""
"""Prints a step and a loss a line; dies of the first signal."""


def write(folder: Path, text: str = COUNTING, name: str = "train.py") -> Path:
    """A script in a working folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return folder


def start(root: Path, folder: Path, command: str, values: dict[str, Any] | None = None, **request: Any) -> Started:
    """Launch a command in a folder; `python` is this interpreter."""
    text = command.replace("python ", f"{sys.executable} ", 1) if command.startswith("python ") else command
    options = {"exec.command": text} | (values or {})
    return launch(root, LaunchRequest("exec", options, folder=folder, **request))


def log_of(root: Path) -> str:
    """All that the runs of a store printed, for messages."""
    return "\n".join(path.read_text(errors="replace") for path in sorted(root.glob("*/attempts/*/output.log")))
