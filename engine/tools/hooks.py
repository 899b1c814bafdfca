"""`python -m engine.tools.hooks RUN_DIR`: what is hooked in a run's model, and figures of what goes through it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from engine.errors import HeatsError
from engine.store.checkpoints import choose
from engine.store.files import encode_number
from engine.store.paths import RunPaths
from engine.store.records import read_run
from engine.store.stored_config import training_config


def main(words: list[str] | None = None) -> int:
    """Print one JSON object; exit code 2 for misuse."""
    parser = argparse.ArgumentParser(prog="python -m engine.tools.hooks", description=__doc__)
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--checkpoint", default="best", help="best, latest or a step")
    parser.add_argument("--module", action="append", default=[], metavar="PATTERN", help="record what comes out of it")
    parser.add_argument("--on", choices=["train", "val"], default="train", help="training batches, or an evaluation")
    parser.add_argument("--batches", type=int, default=4, help="how many training batches")
    parser.add_argument("--gradients", action="store_true", help="record gradients as well")
    parser.add_argument("--list", action="store_true", help="only name the model's modules")
    options = parser.parse_args(words)
    try:
        report = look(RunPaths(options.run_dir.absolute()), options)
    except HeatsError as error:
        print(f"heats: {error}", file=sys.stderr)
        return error.exit_code
    print(json.dumps(report))
    return 0


def look(run: RunPaths, options: argparse.Namespace) -> dict[str, Any]:
    """Send batches through a checkpoint's model and sum up what its modules give.

    Args:
        run: which run.
        options: as on the command line.

    Returns:
        `run`, `checkpoint` (a step), `hooks` (a row each) and `recorded` (a row for each module's activations, and
        gradients); or with `list` the `modules`.

    Raises:
        HeatsError: there is no such checkpoint or module, or it can't be used.
    """
    record = read_run(run.record)
    if record is None:
        raise HeatsError("its run.json is missing or damaged", place=run.id)
    config = training_config(run)
    chosen = choose(run, options.checkpoint, config.evaluation.best_mode).checkpoint
    if chosen is None:
        raise HeatsError("it has no checkpoint that can be used yet", place=run.id)

    # Torch only now: every mistake above is answered at once.
    import torch

    from engine.tasks.finetune.hooks import Hook, Hooks, Statistics, matching, table
    from engine.train import determinism
    from engine.train.attempt import load_task
    from engine.train.checkpoint import Loaded, load_own_state, restore_model
    from engine.train.evaluation import evaluate
    from engine.train.loader import IndexLoader, to_device
    from engine.train.precision import Precision, choose_dtype
    from engine.train.task import StepContext

    determinism.apply_settings(config)
    device = determinism.choose_device(config.train.device)
    determinism.seed_everything(config.seed)
    task: Any = load_task(record.task)(config)
    task.store, task.folder, task.step = run.folder.parent, run.folder, chosen.step
    data = task.build_data()
    model = task.build_model().to(device)
    loaded = Loaded(chosen)
    restore_model(task.trainable_module(model), loaded.model, loaded.aliases)
    load_own_state(task, loaded)
    facts: dict[str, Any] = {"run": run.id, "checkpoint": chosen.step}
    if options.list:
        named = [(name, type(module).__name__) for name, module in model.named_modules() if name]
        return facts | {"modules": [{"module": name, "type": kind} for name, kind in named]}

    own: list[Hook] = []
    hooked = getattr(task, "hooked", None)
    if hooked is not None:
        for training in (True, False):
            with hooked(model, training=training) as found:
                for hook in found.hooks:
                    hook.purpose = f"{hook.purpose} ({'training' if training else 'evaluation'})"
                own += found.hooks
    names = matching(model, options.module or getattr(task, "watched", ("*",)))
    precision = Precision(choose_dtype(config.precision.dtype, device), device)
    recorded: list[Statistics] = []
    with Hooks(model) as hooks:
        for name in names:
            recorded += hooks.record(name, gradients=options.gradients)
        if options.on == "val":
            if options.gradients:
                raise HeatsError("an evaluation has no gradients", place="--gradients", remedy="use --on train")
            evaluate(task, model, "val", device, precision)
        else:
            model.train()
            loader = IndexLoader(data, config.train.batch_size, config.seed, config.data)
            generator = torch.Generator().manual_seed(config.seed)
            for position in range(options.batches):
                context = StepContext(chosen.step, config.train.max_steps, device, generator)
                batch = to_device(loader.one_batch(position), device)
                with precision.autocast():
                    terms = task.loss(model, batch, context)
                if options.gradients:
                    sum(weight * value.float() for weight, value in terms.values()).backward()
                    model.zero_grad(set_to_none=True)
    rows = [
        {
            "module": item.place, "what": item.what, "calls": item.calls, "shape": list(item.shape),
            "mean": encode_number(item.mean), "deviation": encode_number(item.deviation),
            "rms": encode_number(item.rms), "lowest": encode_number(item.lowest),
            "highest": encode_number(item.highest), "zero_share": encode_number(item.zero_share),
            "non_finite": item.non_finite,
        }
        for item in recorded
    ]  # fmt: skip
    return facts | {"on": options.on, "hooks": table([*own, *hooks.hooks]), "recorded": rows}


if __name__ == "__main__":
    sys.exit(main())
