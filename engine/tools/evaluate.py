"""`python -m engine.tools.evaluate RUN_DIR`: evaluate one of a run's checkpoints and print one JSON object."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.config.resolve import parse_overrides
from engine.config.sections import TaskConfig
from engine.errors import HeatsError
from engine.store.checkpoints import choose
from engine.store.files import encode_number
from engine.store.paths import RunPaths
from engine.store.records import read_run
from engine.store.stored_config import apply_overrides, training_config


def main(words: list[str] | None = None) -> int:
    """Print `{"run": ..., "checkpoint": step, "split": ..., "metrics": {...}}`; exit code 2 for misuse."""
    parser = argparse.ArgumentParser(prog="python -m engine.tools.evaluate", description=__doc__)
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="evaluate with this option")
    parser.add_argument("--checkpoint", default="best", help="best, latest or a step")
    parser.add_argument("--split", choices=["val", "test"], default="val")
    parser.add_argument("--modes", type=int, nargs="*", default=[], help="for tasks with several: in which ways")
    arguments = parser.parse_args(words)
    run, modes = RunPaths(arguments.run_dir.absolute()), tuple(arguments.modes)
    try:
        report = evaluate_checkpoint(
            run, arguments.checkpoint, arguments.split, overrides=parse_overrides(arguments.set), modes=modes
        )
    except HeatsError as error:
        print(f"heats: {error}", file=sys.stderr)
        return error.exit_code
    print(json.dumps(report))
    return 0


def evaluate_checkpoint(
    run: RunPaths,
    wanted: str,
    split: str,
    *,
    overrides: Mapping[str, str] | None = None,
    modes: tuple[int, ...] = (),
) -> dict[str, Any]:
    """A checkpoint's figures on a split.

    Args:
        run: which run.
        wanted: `best`, `latest` or a step.
        split: `val` or `test`.
        overrides: options to evaluate with instead of the run's own, by dotted key.
        modes: the ways of evaluating that are wanted; those of the config without it.

    Raises:
        HeatsError: there is no such checkpoint, it can't be used, or the task has no such mode.
    """
    record = read_run(run.record)
    if record is None:
        raise HeatsError("its run.json is missing or damaged", place=run.id)
    config = training_config(run)
    if overrides:
        changed = apply_overrides(config, overrides)
        assert isinstance(changed, TaskConfig), "options change no class"
        config = changed
    chosen = choose(run, wanted, config.evaluation.best_mode).checkpoint
    if chosen is None:
        raise HeatsError("it has no checkpoint that can be used yet", place=run.id)

    # Torch only now: every mistake above is answered at once.
    from engine.train import determinism
    from engine.train.attempt import load_task
    from engine.train.checkpoint import Loaded, load_own_state, restore_model
    from engine.train.evaluation import evaluate
    from engine.train.precision import Precision, choose_dtype

    determinism.apply_settings(config)
    device = determinism.choose_device(config.train.device)
    task = load_task(record.task)(config)
    task.store, task.folder, task.step = run.folder.parent, run.folder, chosen.step
    if modes:
        task.choose_modes(modes)
    task.build_data()
    model = task.build_model().to(device)
    loaded = Loaded(chosen)
    restore_model(task.trainable_module(model), loaded.model, loaded.aliases)
    load_own_state(task, loaded)
    precision = Precision(choose_dtype(config.precision.dtype, device), device)
    measured = evaluate(task, model, split, device, precision)
    return {
        "run": run.id,
        "checkpoint": chosen.step,
        "split": split,
        "metrics": {name: encode_number(value) for name, value in measured.items()},
    }


if __name__ == "__main__":
    sys.exit(main())
