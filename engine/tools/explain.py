"""`python -m engine.tools.explain RUN_DIR`: what one of a run's checkpoints looks at, as pictures and one JSON object.

A task that can be explained has a module `explain` with a function of that name; see engine/tasks/confounded.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import json
import shutil
import sys
from pathlib import Path
from typing import Any

from engine.config.tasks import task_package
from engine.errors import HeatsError
from engine.store.checkpoints import choose
from engine.store.files import encode_number, write_json
from engine.store.paths import RunPaths
from engine.store.records import read_run
from engine.store.stored_config import training_config

FOLDER, FILE = "explain", "explain.json"
"""Within the run's folder of pictures: where pictures and figures go."""
_SCALE = 4


def main(words: list[str] | None = None) -> int:
    """Print `{"run": ..., "checkpoint": step, "figures": {...}, "saliency": {...}, ...}`; exit code 2 for misuse."""
    parser = argparse.ArgumentParser(prog="python -m engine.tools.explain", description=__doc__)
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--checkpoint", default="best", help="best, latest or a step")
    parser.add_argument("--split", choices=["val", "test"], default="val")
    parser.add_argument("--limit", type=int, default=200, help="samples of each class that attributions are taken of")
    parser.add_argument(
        "--pictures", type=int, default=1, help="samples of each group that are drawn; 0 writes nothing"
    )
    arguments = parser.parse_args(words)
    try:
        report = explain_checkpoint(
            RunPaths(arguments.run_dir.absolute()), arguments.checkpoint, arguments.split, limit=arguments.limit,
            shown=arguments.pictures,
        )  # fmt: skip
    except HeatsError as error:
        print(f"heats: {error}", file=sys.stderr)
        return error.exit_code
    print(json.dumps(report))
    return 0


def explain_checkpoint(run: RunPaths, wanted: str, split: str, *, limit: int, shown: int) -> dict[str, Any]:
    """What a checkpoint looks at; pictures go into the run's folder, and into its TensorBoard.

    Args:
        run: which run.
        wanted: `best`, `latest` or a step.
        split: `val` or `test`.
        limit: how many samples of each class attributions are taken of.
        shown: how many samples of each group are drawn; at 0 nothing is written.

    Raises:
        HeatsError: the task has no explanations, or there is no such checkpoint.
    """
    record = read_run(run.record)
    if record is None:
        raise HeatsError("its run.json is missing or damaged", place=run.id)
    module = f"{task_package(record.task)}.explain"
    if importlib.util.find_spec(module) is None:
        raise HeatsError(f"runs of the task {record.task} have nothing to explain", place=run.id)
    config = training_config(run)
    chosen = choose(run, wanted, config.evaluation.best_mode).checkpoint
    if chosen is None:
        raise HeatsError("it has no checkpoint that can be used yet", place=run.id)

    # Torch only now: every mistake above is answered at once.
    from engine.train import determinism
    from engine.train.attempt import load_task
    from engine.train.checkpoint import Loaded, restore_model

    determinism.apply_settings(config)
    device = determinism.choose_device(config.train.device)
    task: Any = load_task(record.task)(config)
    task.store, task.folder = run.folder.parent, run.folder
    task.build_data()
    model = task.build_model().to(device)
    loaded = Loaded(chosen)
    restore_model(task.trainable_module(model), loaded.model, loaded.aliases)
    if loaded.state.get("task"):
        task.load_state_dict(loaded.state["task"])
    explaining = importlib.import_module(module)
    found = explaining.explain(task, model.eval(), split, device, limit=limit, shown=shown)
    report = {"run": run.id, "checkpoint": chosen.step, "split": split, **_encoded(explaining.to_json(found))}
    return report | {"pictures": _draw(run, chosen.step, found.pictures, report) if shown else []}


def _draw(run: RunPaths, step: int, pictures: dict[str, Any], report: dict[str, Any]) -> list[str]:
    """Write the pictures, instead of those of the time before; their paths within the run's folder."""
    from engine.train.pictures import Picture, enlarged
    from engine.train.tensorboard import EventWriter

    folder = run.pictures / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    paths = []
    try:
        for name, image in pictures.items():
            Picture.of(enlarged(image, _SCALE)).save(folder / f"{name}.png")
            paths.append(str((folder / f"{name}.png").relative_to(run.folder)))
    except OSError as error:
        from engine.errors import MachineError

        raise MachineError(f"pictures can't be written ({error.strerror})", place=str(folder)) from error
    write_json(folder / FILE, report)
    writer = EventWriter(run.tensorboard, None)
    for name, image in pictures.items():
        picture = Picture.of(enlarged(image, _SCALE))
        writer.write_picture(step, f"explain/{name}", picture.png, picture.height, picture.width)
    with contextlib.suppress(OSError):
        writer.close()
    return paths


def _encoded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _encoded(inner) for name, inner in value.items()}
    return encode_number(value) if isinstance(value, float) else value


if __name__ == "__main__":
    sys.exit(main())
