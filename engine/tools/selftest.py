"""`python -m engine.tools.selftest resume`: does a resumed run equal an undisturbed one to the last bit, here?"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from engine.config.resolve import config_hash, dump_yaml, resolve
from engine.config.sections import TaskConfig
from engine.config.tasks import training_class
from engine.errors import HeatsError, MachineError
from engine.launch.torchrun import of_config, trainer_command
from engine.store.checkpoints import choose, folder_name
from engine.store.compare import checkpoint_differences, metric_differences
from engine.store.create import claim_attempt, create_run
from engine.store.paths import RunPaths, create_store
from engine.store.records import LaunchRecord, write_launch
from engine.store.stored_config import effective_config

SMALL: dict[str, Any] = {
    "model.d_model": 32,
    "model.num_layers": 1,
    "model.num_heads": 2,
    "model.num_latent": 4,
    "model.dropout": 0.1,
    "train.batch_size": 32,
    "train.max_steps": 40,
    "train.save_every": 5,
    "evaluation.every": 10,
    "schedule.warmup_steps": 4,
    "tf.start_step": 15,
    "checkpoint.keep_last": 10,
}
"""A model small enough for seconds, with dropout, evaluations, and teacher forcing that ends in between."""


def main(words: list[str] | None = None) -> int:
    """Run the self-test; 0 if all bits are equal, 1 if not."""
    parser = argparse.ArgumentParser(prog="heats selftest", description=__doc__)
    parser.add_argument("what", choices=["resume"])
    parser.add_argument("overrides", nargs="*", help="options of the task multiplication to change, as key=value")
    arguments = parser.parse_args(words)
    try:
        changes = dict(word.partition("=")[::2] for word in arguments.overrides)
        return resume_selftest(changes)
    except HeatsError as error:
        print(f"heats: {error}", file=sys.stderr)
        return error.exit_code


def resume_selftest(changes: dict[str, Any]) -> int:
    """Train to the half, resume to the end, and compare with a run that was left alone."""
    with tempfile.TemporaryDirectory(prefix="heats-selftest-") as folder:
        root = Path(folder) / "runs"
        config = resolve(training_class("multiplication"), SMALL | changes)
        total = config.train.max_steps
        half = total // 2
        print(f"training {total} steps straight ...", flush=True)
        straight = make_run(root, config, "straight")
        train(straight)
        print(f"training {half} steps, saving every {config.train.save_every} ...", flush=True)
        resumed = make_run(root, config, "resumed")
        train(resumed, "--stop-at", str(half))
        print(f"resuming at step {half} up to {total} ...", flush=True)
        train(resumed)
        found = checkpoint_differences(
            *(run.checkpoints / folder_name(total) for run in (straight, resumed))
        ) + metric_differences(straight, resumed)
    if found:
        print(f"NOT identical; they part at {found[0]} ({len(found)} differences in all)")
        for difference in found[:20]:
            print(f"  {difference}")
        return 1
    print(f"identical: every weight, moment, random state and logged figure of {total} steps is equal to the last bit")
    return 0


def make_run(root: Path, config: TaskConfig, name: str) -> RunPaths:
    """A run's folder for the task multiplication, without an attempt."""
    return create_run(
        create_store(root),
        task="multiplication",
        slug=config.slug(),
        config_yaml=dump_yaml(config),
        config_hash=config_hash(config),
        name=name,
        seed=config.seed,
    )


def train(run: RunPaths, *words: str) -> None:
    """Train one attempt, resumed where there is a checkpoint, in a process of its own without a supervisor.

    Raises:
        MachineError: the trainer failed.
    """
    with start_trainer(run, *words) as process:
        output, _ = process.communicate()
    if process.returncode:
        last = output.strip().splitlines()
        raise MachineError(f"the trainer failed: {last[-1] if last else 'without a word'}")


def start_trainer(run: RunPaths, *words: str) -> subprocess.Popen[str]:
    """The process of a new attempt, its output in a pipe."""
    attempt = claim_attempt(run)
    chosen = choose(run).checkpoint
    record = LaunchRecord(
        attempt=attempt.number,
        created=0.0,
        host="",
        resumed_from_step=chosen.step if chosen else None,
        resumed_from_checkpoint=chosen.folder.name if chosen else None,
    )
    write_launch(attempt, record)
    config = effective_config(run)
    command = trainer_command(run, attempt.number, of_config(config), grace_seconds=60, words=words)
    environment = {"PYTHONHASHSEED": "0", "OMP_WAIT_POLICY": "PASSIVE"} | os.environ
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)


if __name__ == "__main__":
    sys.exit(main())
