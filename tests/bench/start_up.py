"""`python -m tests.bench.start_up`: how long people wait for a command, and for the first step of a run."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.report import emit, median, quartiles, skip

_LAUNCH = [
    "launch", "multiplication", "train.max_steps=5", "train.num_threads=1", "data.max_eval_pairs=20",
    "model.d_model=32", "model.num_heads=2", "model.num_layers=1",
]  # fmt: skip
_COMMANDS: dict[str, list[str]] = {
    "list": ["list"],
    "show last": ["show", "last"],
    "--help": ["--help"],
    "stop (ended)": ["stop", "last"],
}
_FOREVER = 180.0


def environment(store: Path) -> dict[str, str]:
    """As at a user's: compiled modules are kept."""
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"HEATS_RUNS_DIR": str(store), "OMP_WAIT_POLICY": "PASSIVE"}


def run_command(words: list[str], store: Path) -> float:
    """Milliseconds of a command from start to end; some of them end with an error, which is fine."""
    began = time.perf_counter()
    subprocess.run(words, env=environment(store), stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return 1e3 * (time.perf_counter() - began)


def heats(*words: str) -> list[str]:
    """The command line of heats in this interpreter's environment."""
    return [str(Path(sys.executable).with_name("heats")), *words]


def launch(store: Path) -> tuple[float, float]:
    """Seconds from `heats launch` to the event `training`, and until the run ended."""
    known = set(store.glob("*/attempts/001"))
    began, began_wall = time.perf_counter(), time.time()
    done = subprocess.run(
        heats(*_LAUNCH), env=environment(store), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    first_step = 0.0
    while time.perf_counter() - began < _FOREVER:
        for attempt in set(store.glob("*/attempts/001")) - known:
            events = _events(attempt / "events.jsonl")
            first_step = first_step or events.get("training", 0.0)
            if set(events) & {"finished", "failed", "stopped"}:
                return first_step - began_wall, time.perf_counter() - began
        time.sleep(0.02)
    raise TimeoutError(f"the run did not end; heats said: {done.stdout}{done.stderr}")


def _events(path: Path) -> dict[str, float]:
    if not path.exists():
        return {}
    records = [json.loads(line) for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
    return {record["event"]: record["time"] for record in records}


def main() -> None:
    """Launch a few runs, then time the commands on them in turns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--launches", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="heats-bench-", ignore_cleanup_errors=True) as name:
        store = Path(name) / "runs"
        store.mkdir()
        try:
            waits = [launch(store)[0] for _ in range(arguments.launches + 1)][1:]  # the first compiles modules
        except TimeoutError as error:
            skip("start_up/launch to first step", str(error))
        else:
            imports = [1e-3 * run_command([sys.executable, "-c", "import torch"], store) for _ in waits]
            emit(
                "start_up/launch to first step", median(waits), "s", "python -c 'import torch'", median(imports),
                quartiles=quartiles(waits),
            )  # fmt: skip
        commands = {label: heats(*words) for label, words in _COMMANDS.items()}
        commands["bare"] = [sys.executable, "-c", "pass"]
        taken: dict[str, list[float]] = {label: [] for label in commands}
        for number in range(arguments.rounds + 1):
            for label, words in commands.items():
                milliseconds = run_command(words, store)
                if number:
                    taken[label].append(milliseconds)
        bare = median(taken.pop("bare"))
        for label, values in taken.items():
            emit(
                f"start_up/heats {label}", median(values), "ms", "python -c pass", bare,
                quartiles=quartiles(values), lowest=min(values),
            )  # fmt: skip


if __name__ == "__main__":
    main()
