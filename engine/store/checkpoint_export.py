"""`heats checkpoints export`: a model's weights and config as plain files, for use without heats."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import HeatsError, MachineError
from engine.store import checkpoints as stored
from engine.store.checkpoints import MODEL, STATE, Checkpoint
from engine.store.files import encode_number, fsync_folder, read_json
from engine.store.paths import RunPaths
from engine.store.records import read_run
from engine.store.shards import spread_tensors, tensor_files, whole_header

FILES = (MODEL, "config.yaml", "config.json", "metadata.json")


@dataclass(frozen=True)
class ExportPlan:
    """Which checkpoint goes where. `contents` are the small files beside the weights, by name."""

    run: RunPaths
    checkpoint: Checkpoint
    target: Path
    contents: dict[str, str]
    passed_over: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The stable public form."""
        return {
            "run": self.run.id, "step": self.checkpoint.step, "target": str(self.target), "files": list(FILES),
            "bytes": model_bytes(self.checkpoint), "passed_over": list(self.passed_over),
        }  # fmt: skip


def plan_export(run: RunPaths, target: Path, wanted: str = "best") -> ExportPlan:
    """Choose a checkpoint, check every byte of it, and make what goes beside its weights.

    Args:
        run: which run.
        target: the folder to make. Its parent must be there, itself not, and it must not lie in the store.
        wanted: `latest`, `best` or a step.

    Raises:
        HeatsError: the folder is there already, or the checkpoint can't be used.
    """
    # pydantic takes a while to load, which `--help` needn't
    from engine.config.resolve import dump_yaml
    from engine.store.stored_config import training_config

    target = _checked(run, target)
    record = read_run(run.record)
    if record is None:
        raise HeatsError("its run.json is missing or damaged", place=run.id)
    now = training_config(run)
    choice = stored.choose(run, wanted, now.evaluation.best_mode)
    chosen = choice.checkpoint
    if chosen is None:
        raise HeatsError("it has no checkpoint that can be used yet", place=run.id)
    config = training_config(run, up_to_attempt=chosen.attempt)
    metric = None if chosen.metric is None else {config.evaluation.best_metric: encode_number(chosen.metric)}
    facts = {
        "schema": 1, "run": run.id, "name": record.name, "task": record.task, "step": chosen.step, "metric": metric,
        "attempt": chosen.attempt, "saved": chosen.created, "study": record.study, "arm": record.arm,
        "seed": record.seed, "git_commit": record.git_commit, "config_hash": record.config_hash,
        "settings": chosen.settings, "sha256": {} if chosen.sharded else {MODEL: chosen.files[MODEL][1]},
    }  # fmt: skip
    contents = {
        "config.yaml": dump_yaml(config),
        "config.json": json.dumps(config.model_dump(mode="json"), indent=1) + "\n",
        "metadata.json": json.dumps(facts, indent=1) + "\n",
    }
    return ExportPlan(run, chosen, target, contents | _described(run), choice.passed_over)


def _described(run: RunPaths) -> dict[str, str]:
    """What the run says of its model in the formats of other libraries, whose config.json takes the place of ours.

    Raises:
        MachineError: it can't be read.
    """
    try:
        return {path.name: path.read_text(encoding="utf-8") for path in sorted(run.model.glob("*.json"))}
    except (OSError, UnicodeDecodeError) as error:
        raise MachineError(f"can't be read ({error})", place=str(run.model)) from None


def apply_export(plan: ExportPlan, advance: Callable[[int], None] | None = None) -> None:
    """Write the folder: whole, or not at all.

    Args:
        plan: what to write.
        advance: told the number of bytes copied from time to time, for a progress bar.

    Raises:
        HeatsError: the folder has come to be since, or the weights changed while they were copied.
        MachineError: the disk is full, or the folder can't be written.
    """
    target = _checked(plan.run, plan.target)
    temporary = target.with_name(f".{target.name}.{os.uname().nodename}.{os.getpid()}")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        if plan.checkpoint.sharded:
            _join(plan.checkpoint.folder, temporary / MODEL, advance)
        elif _copy(plan.checkpoint.folder / MODEL, temporary / MODEL, advance) != plan.checkpoint.files[MODEL][1]:
            raise HeatsError(f"{MODEL} changed while it was copied", place=str(plan.checkpoint.folder))
        for name, text in plan.contents.items():
            (temporary / name).write_text(text, encoding="utf-8")
            _sync(temporary / name)
        fsync_folder(temporary)
        if os.path.lexists(target):  # a rename would silently take the place of an empty folder
            raise HeatsError("is there already", place=str(target), remedy="name a folder that isn't")
        os.rename(temporary, target)
        fsync_folder(target.parent)
    except OSError as error:
        raise MachineError(f"can't be written ({error.strerror})", place=str(target)) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _checked(run: RunPaths, target: Path) -> Path:
    """The target with its links and `..` followed, so that what is checked is what will be made."""
    if not target.name or target.name == "..":
        raise HeatsError("names no new folder", place=str(target), remedy="end it with the name of a new folder")
    parent = Path(os.path.realpath(target.parent))
    resolved = parent / target.name
    if os.path.lexists(resolved):
        raise HeatsError("is there already", place=str(resolved), remedy="name a folder that isn't")
    if not parent.is_dir():
        raise HeatsError("there is no such folder", place=str(parent), remedy="make it first")
    if resolved.is_relative_to(os.path.realpath(run.folder.parent)):
        raise HeatsError("lies in the store of runs", place=str(resolved), remedy="name a folder outside of it")
    return resolved


def _copy(source: Path, target: Path, advance: Callable[[int], None] | None) -> str:
    """Copy a file and give the hash of what was copied."""
    import hashlib

    digest = hashlib.sha256()
    with open(os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file, open(target, "xb") as copy:
        while block := file.read(1 << 22):
            digest.update(block)
            copy.write(block)
            if advance is not None:
                advance(len(block))
        copy.flush()
        os.fsync(copy.fileno())
    return digest.hexdigest()


def model_bytes(checkpoint: Checkpoint) -> int:
    """How large a checkpoint's weights are, in one file or in several."""
    return sum(size for name, (size, _) in checkpoint.files.items() if name.startswith("model"))


def _join(folder: Path, target: Path, advance: Callable[[int], None] | None) -> None:
    """Write one file of the parts of a model that several processes have saved."""
    tensors = spread_tensors(tensor_files(folder, MODEL))
    aliases = (read_json(folder / STATE) or {}).get("aliases", {})
    header, order = whole_header(tensors, {"aliases": json.dumps(aliases)})
    with open(target, "xb") as joined:
        joined.write(header)
        for name in order:
            content = tensors[name].read()
            joined.write(content)
            if advance is not None:
                advance(len(content))
        joined.flush()
        os.fsync(joined.fileno())


def _sync(path: Path) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())
