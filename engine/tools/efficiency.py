"""`python -m engine.tools.efficiency RUN_DIR[:STEPS] ...`: count the work of runs' training steps, as a JSON array."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from engine.errors import HeatsError
from engine.store.paths import RunPaths
from engine.store.records import read_run
from engine.store.stored_config import training_config

SAMPLES = 8
"""Steps that are counted, evenly spread: what a step costs may change with a schedule."""


def main(words: list[str] | None = None) -> int:
    """Print `[{"run", "flops_per_step", "parameters", "error"}]`, in the order given; exit code 2 for misuse."""
    parser = argparse.ArgumentParser(prog="python -m engine.tools.efficiency", description=__doc__)
    parser.add_argument("runs", nargs="+", metavar="RUN_DIR[:STEPS]", help="a run, and up to which step to count")
    reports = []
    for word in parser.parse_args(words).runs:
        folder, _, steps = word.rpartition(":") if word.rpartition(":")[2].isdecimal() else (word, "", "")
        run = RunPaths(Path(folder).absolute())
        try:
            reports.append(count_work(run, int(steps) if steps else None))
        except HeatsError as error:
            reports.append({"run": run.id, "error": str(error)})
        except Exception as error:  # noqa: BLE001  whatever a task raises, the other runs have their answer
            reports.append({"run": run.id, "error": f"its steps can't be counted ({type(error).__name__}: {error})"})
    print(json.dumps(reports))
    return 0


def count_work(run: RunPaths, steps: int | None = None) -> dict[str, Any]:
    """Floating-point operations of a run's optimizer steps, forward and backward, by torch's FLOP counter.

    A multiplication and an addition count as two. Matrix products, convolutions and attention are counted, what is
    done element by element is not. Steps are taken on fresh weights, and nothing is written.

    Args:
        run: which run.
        steps: count over the first so many steps; over the whole run by default.

    Returns:
        `run`, `flops_per_step` (mean over the counted steps), `parameters` (of what is trained and saved) and
        `counted`, the operations of each step that was counted, by step.

    Raises:
        HeatsError: the run has no task here to train it.
    """
    record = read_run(run.record)
    if record is None:
        raise HeatsError("its run.json is missing or damaged", place=run.id)
    config = training_config(run)

    # Torch only now: every mistake above is answered at once.
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel

    from engine.tools.flops import FlopCounter
    from engine.train import determinism
    from engine.train.attempt import load_task
    from engine.train.loader import IndexLoader, to_device
    from engine.train.task import StepContext

    determinism.apply_settings(config)
    device = determinism.choose_device(config.train.device)
    task = load_task(record.task)(config)
    task.store, task.folder = run.folder.parent, run.folder
    determinism.seed_everything(config.seed)
    data = task.build_data()
    config = task.config = task.settle(len(data))
    model = task.build_model().to(device).train()
    options = config.data.model_copy(update={"num_workers": 0})
    loader = IndexLoader(data, config.train.batch_size, config.seed, options)
    generator = torch.Generator().manual_seed(config.seed)
    last = max(1, min(steps or config.train.max_steps, config.train.max_steps))
    counted = {}
    for step in sorted({last * index // SAMPLES for index in range(SAMPLES)}):
        context = StepContext(step, config.train.max_steps, device, generator)
        batches = loader.batches(step * config.train.accumulation)
        model.zero_grad(set_to_none=True)
        # Fused attention kernels hide their products from the counter on some devices; the plain one is counted alike.
        with FlopCounter() as counter, sdpa_kernel(SDPBackend.MATH):
            for _ in range(config.train.accumulation):
                terms = task.loss(model, to_device(next(batches), device), context)
                torch.stack([weight * value.float() for weight, value in terms.values()]).sum().backward()  # type: ignore[no-untyped-call]
        counted[step] = counter.total
    parameters = sum(parameter.numel() for parameter in task.trainable_module(model).parameters())
    return {
        "run": run.id,
        "flops_per_step": sum(counted.values()) / len(counted),
        "parameters": parameters,
        "counted": counted,
    }


if __name__ == "__main__":
    sys.exit(main())
