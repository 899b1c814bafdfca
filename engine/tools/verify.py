"""`python -m engine.tools.verify RUN_DIR`: train a stretch of a run again, elsewhere, and compare to the last bit.

Prints one JSON object a line: `{"step": ...}` while it trains, and `{"result": {...}}` at the end.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from engine.config.resolve import config_hash, dump_yaml
from engine.config.tasks import package_folder
from engine.errors import HeatsError, MachineError
from engine.launch.torchrun import of_config, trainer_command
from engine.store import host
from engine.store.checkpoints import MODEL, OPTIMIZER, STATE, Checkpoint, folder_name, scan
from engine.store.code import code_state
from engine.store.compare import checkpoint_differences
from engine.store.create import claim_attempt, create_run
from engine.store.diff import compare_code, setting_changes
from engine.store.metrics import JsonLinesTail
from engine.store.paths import RunPaths, create_store
from engine.store.provenance import Change, Provenance, environment, environment_changes, recorded
from engine.store.records import LaunchRecord, write_launch
from engine.store.series_diff import compare_histories
from engine.store.stored_config import apply_overrides
from engine.store.stretch import Stretch, plan_stretch

_POLL_SECONDS = 0.25
_SMALLER = {"checkpoint.keep_last": 1, "checkpoint.keep_every": 0, "checkpoint.wait_seconds": 0}
"""How the scratch run's options differ: it keeps less. What is kept changes no bit of what is trained."""


def main(words: list[str] | None = None) -> int:
    """Print the result as JSON lines; 0 if it could be found out, whatever it is, 1 or 2 if not."""
    parser = argparse.ArgumentParser(prog="python -m engine.tools.verify", description=__doc__)
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--from", dest="first", type=int)
    parser.add_argument("--to", dest="last", type=int)
    parser.add_argument("--keep", type=Path, help="train in this folder and keep it")
    arguments = parser.parse_args(words)
    signal.signal(signal.SIGTERM, _leave)  # so that the scratch folder goes
    try:
        stretch = plan_stretch(RunPaths(arguments.run_dir.absolute()), arguments.first, arguments.last)
        with _scratch(arguments.keep) as folder:
            result = verify_stretch(stretch, folder)
            _say({"result": result | {"kept": str(folder) if arguments.keep else None}})
    except HeatsError as error:
        print(f"heats: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


def verify_stretch(stretch: Stretch, folder: Path) -> dict[str, Any]:
    """Train a stretch again in a store at `folder`, compare, and say what came out.

    Raises:
        MachineError: the trainer failed, or there is no room.
    """
    scratch = _make_scratch_run(stretch, folder)
    seconds = _train(stretch, scratch)
    return compare_stretch(stretch, scratch) | {"seconds": seconds}


def compare_stretch(stretch: Stretch, scratch: RunPaths) -> dict[str, Any]:
    """What the retraining of a stretch has in common with the run, and what not.

    Raises:
        MachineError: the retraining left no checkpoint.
    """
    found = next((item for item in scan(scratch) if item.step == stretch.last_step), None)
    if found is None:
        raise MachineError(f"the retraining left no checkpoint of step {stretch.last_step:,}", place=stretch.run.id)
    metrics = compare_histories(stretch.run, scratch, after_step=stretch.first_step, up_to_step=stretch.last_step)
    tensors = _different_tensors(stretch.end, found)
    # Points that the run's own log lost (a machine that died before they reached the disk) speak for no difference.
    parted = [metric for metric in metrics if metric.step is not None or metric.only_first]
    return {
        "run": stretch.run.id,
        "from": stretch.first_step,
        "to": stretch.last_step,
        "identical": not tensors and not parted,
        "metrics": len(metrics),
        "points": sum(metric.shared for metric in metrics),
        "parted": parted[0].to_json() if parted else None,
        "tensors": tensors,
        "missing_points": {metric.name: metric.only_second for metric in metrics if metric.only_second},
        "changes": [change.to_json() for change in changes_since(stretch, found.settings)],
    }


def changes_since(stretch: Stretch, settings: dict[str, Any]) -> list[Change]:
    """What differs between what the stretch was trained on and what is here.

    Args:
        stretch: which stretch.
        settings: those on which bits depend, here.
    """
    before = recorded(stretch.run, stretch.launch.attempt if stretch.launch else None)
    code = code_state(_code_folder(stretch.launch) or package_folder(stretch.task), store=stretch.run.folder.parent)
    changes = setting_changes(stretch.end.settings, settings)
    if stretch.start is not None and stretch.start.settings != stretch.end.settings:
        within = setting_changes(stretch.start.settings, stretch.end.settings)
        changes += [dataclasses.replace(change, key=f"{change.key} (within the stretch)") for change in within]
    difference = compare_code(before, Provenance(code.commit, code.patch, {}))
    if difference.commits[0] != difference.commits[1]:
        changes.append(Change("commit", *difference.commits))
    if difference.patch:
        changes.append(Change("uncommitted changes", _lines(before.patch), _lines(code.patch)))
    return changes + environment_changes(before.environment, environment())


def _lines(patch: bytes) -> str:
    return f"{len(patch.splitlines())} lines of patch" if patch else "none"


def _make_scratch_run(stretch: Stretch, folder: Path) -> RunPaths:
    config = apply_overrides(stretch.config, _SMALLER)
    scratch = create_run(
        create_store(folder), task=stretch.task, slug="verify", config_yaml=dump_yaml(config),
        config_hash=config_hash(config), name=f"verifies {stretch.run.id}", seed=config.seed, parent=stretch.run.id,
    )  # fmt: skip
    if stretch.start is not None:
        try:
            if stretch.run.model.is_dir():
                shutil.copytree(stretch.run.model, scratch.model)
            shutil.copytree(stretch.start.folder, scratch.checkpoints / stretch.start.folder.name)
        except (OSError, shutil.Error) as error:
            raise MachineError(
                f"the checkpoint of step {stretch.start.step} can't be copied ({error})",
                place=stretch.run.id, remedy="choose a folder with more room with --keep DIR",
            ) from None  # fmt: skip
    return scratch


def _train(stretch: Stretch, scratch: RunPaths) -> float:
    """Train the stretch in a process of its own, saying at which step it is; the seconds that it took."""
    attempt = claim_attempt(scratch)
    start, launch = stretch.start, stretch.launch
    record = LaunchRecord(
        attempt=attempt.number, created=time.time(), host=host.host_name(),
        resumed_from_step=start.step if start else None, resumed_from_checkpoint=start.folder.name if start else None,
        accept_settings=True,
    )  # fmt: skip
    write_launch(attempt, record)
    processes = of_config(stretch.config)
    if processes.nodes > 1:
        raise HeatsError("it was trained on several machines, which can't be repeated on one", place=stretch.run.id)
    command = trainer_command(
        scratch, attempt.number, processes, grace_seconds=0, words=["--stop-at", str(stretch.last_step)]
    )
    began = time.monotonic()
    with open(attempt.output, "wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, cwd=_working_folder(launch),
            env=_trainer_environment(launch, stretch.run.folder.parent),
        )  # fmt: skip
        try:
            tail = JsonLinesTail(attempt.metrics)
            _say({"step": stretch.first_step, "from": stretch.first_step, "to": stretch.last_step})
            while process.poll() is None:
                time.sleep(_POLL_SECONDS)
                steps = [row["step"] for row in tail.read()]
                if steps:
                    _say({"step": max(steps)})
        finally:
            # Torchrun passes a SIGTERM on to its processes; killed, it would leave them behind.
            process.kill() if processes.world_size == 1 else process.terminate()
            process.wait()
    if process.returncode:
        last = attempt.output.read_text(errors="replace").strip().splitlines()
        raise MachineError(
            f"the retraining failed: {last[-1] if last else 'without a word'}", place=stretch.run.id
        )  # fmt: skip
    return time.monotonic() - began


def _trainer_environment(launch: LaunchRecord | None, store: Path) -> dict[str, str]:
    """As the supervisor's, and importing exactly what this process imports (or the code folder of a reproduction)."""
    places = [place or os.getcwd() for place in sys.path]
    code = _code_folder(launch)
    if code is not None:
        places.insert(0, str(code))
    given = launch.environment.get("OMP_NUM_THREADS") if launch is not None and launch.processes > 1 else None
    threads = {"OMP_NUM_THREADS": str(given)} if given is not None else {}  # torchrun would make it another number
    defaults = {"PYTHONHASHSEED": "0", "OMP_WAIT_POLICY": "PASSIVE", "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
    # The scratch run lies in a store of its own; what a task takes from other runs is in the original's.
    shared = {"PYTHONPATH": os.pathsep.join(places), "HEATS_RUNS_DIR": str(store)}
    return defaults | os.environ | threads | shared


def _code_folder(launch: LaunchRecord | None) -> Path | None:
    """The folder whose code the run trained with, where that isn't what is installed."""
    return Path(launch.code) if launch is not None and launch.code and os.path.isdir(launch.code) else None


def _working_folder(launch: LaunchRecord | None) -> str | None:
    """Options may name files relative to where the run was launched."""
    return launch.folder if launch is not None and launch.folder and os.path.isdir(launch.folder) else None


def _different_tensors(expected: Checkpoint, found: Checkpoint) -> list[str]:
    """Which tensors and state keys differ. The hashes say whether any does; the files say which."""
    if all(expected.files.get(name) == found.files.get(name) for name in (MODEL, OPTIMIZER, STATE)):
        return []
    try:
        return checkpoint_differences(expected.folder, found.folder)
    except HeatsError:
        if expected.folder.exists():
            raise
        return [f"some file of {folder_name(expected.step)}, which the run has let go meanwhile"]


@contextlib.contextmanager
def _scratch(kept: Path | None) -> Iterator[Path]:
    if kept is not None:
        yield kept.absolute()
        return
    try:
        folder = tempfile.mkdtemp(prefix="heats-verify-")
    except OSError as error:
        raise MachineError(f"no scratch folder can be made ({error.strerror})", remedy="set TMPDIR") from None
    try:
        yield Path(folder) / "runs"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _say(content: dict[str, Any]) -> None:
    print(json.dumps(content), flush=True)


def _leave(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
