"""What checkpoints a run has, which of them can be trusted, and which one to resume from. No torch needed."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.errors import HeatsError
from engine.store.files import decode_number, read_json
from engine.store.paths import RunPaths
from engine.store.records import read_launch

MANIFEST = "MANIFEST.json"
MODEL = "model.safetensors"
OPTIMIZER = "optimizer.safetensors"
STATE = "state.json"
FILES = (MODEL, OPTIMIZER, STATE)
PREFIX = "step-"
EMERGENCY_PREFIX = "emergency-"


def folder_name(step: int, *, emergency: bool = False) -> str:
    """`step-00012000`; emergency checkpoints stand apart so that nothing resumes from them by accident."""
    return f"{EMERGENCY_PREFIX if emergency else PREFIX}{step:08d}"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint folder as found by a scan. `problems` is empty exactly when it may be used."""

    folder: Path
    step: int
    attempt: int = 0
    reason: str = ""
    created: float = 0.0
    bytes: int = 0
    metric: float | None = None
    emergency: bool = False
    shadowed: bool = False
    settings: dict[str, Any] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    files: dict[str, tuple[int, str]] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    @property
    def valid(self) -> bool:
        return not self.problems

    @property
    def usable(self) -> bool:
        """Whether a resume may pick it without being told to."""
        return self.valid and not self.emergency and not self.shadowed


def scan(run: RunPaths) -> list[Checkpoint]:
    """All checkpoint folders of a run by ascending step, each judged by its manifest and its files' sizes."""
    try:
        names = os.listdir(run.checkpoints)
    except OSError:
        return []
    resumes = _resume_points(run)
    found = []
    for name in names:
        for prefix in (PREFIX, EMERGENCY_PREFIX):
            digits = name.removeprefix(prefix)
            if name.startswith(prefix) and _is_step(digits):
                found.append(_judge(run.checkpoints / name, int(digits), prefix == EMERGENCY_PREFIX, resumes))
    return sorted(found, key=lambda checkpoint: (checkpoint.step, checkpoint.emergency))


def _is_step(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _resume_points(run: RunPaths) -> dict[int, int]:
    """By attempt, the step it resumed from."""
    points = {}
    for attempt in run.attempts():
        launch = read_launch(attempt.launch)
        if launch is not None and launch.resumed_from_step is not None:
            points[attempt.number] = launch.resumed_from_step
    return points


def _judge(folder: Path, step: int, emergency: bool, resumes: dict[int, int]) -> Checkpoint:
    manifest = read_json(folder / MANIFEST)
    if manifest is None:
        what = "its manifest is damaged" if os.path.exists(folder / MANIFEST) else "it has no manifest (incomplete)"
        return Checkpoint(folder, step, emergency=emergency, problems=(what,))
    problems = []
    if manifest.get("step") != step:
        problems.append(f"its name says step {step} but its manifest {manifest.get('step')!r}")
    files, file_problems = _files(manifest)
    problems += file_problems
    for name, (size, _) in files.items():
        try:
            # lstat: a link could point out of the store
            status = (folder / name).lstat()
        except OSError:
            problems.append(f"{name} is missing")
            continue
        if not stat.S_ISREG(status.st_mode):
            problems.append(f"{name} is no plain file")
        elif status.st_size != size:
            problems.append(f"{name} has {status.st_size} bytes where {size} were written")
    attempt = manifest.get("attempt")
    attempt = attempt if isinstance(attempt, int) else 0
    created = decode_number(manifest.get("created"))
    return Checkpoint(
        folder=folder,
        step=step,
        attempt=attempt,
        reason=str(manifest.get("reason", "")),
        created=created or 0.0,
        bytes=sum(size for size, _ in files.values()),
        metric=decode_number(manifest.get("metric")),
        emergency=emergency,
        shadowed=any(later > attempt and point < step for later, point in resumes.items()),
        settings=manifest["settings"] if isinstance(manifest.get("settings"), dict) else {},
        digests=manifest["digests"] if isinstance(manifest.get("digests"), dict) else {},
        files=files,
        problems=tuple(problems),
    )


def _files(manifest: dict[str, Any]) -> tuple[dict[str, tuple[int, str]], list[str]]:
    """The manifest's table of files. Only our own plain names count: a name may not lead out of the folder."""
    table = manifest.get("files")
    if not isinstance(table, dict):
        return {}, ["its manifest lists no files"]
    files, problems = {}, []
    for name, entry in table.items():
        size = entry.get("bytes") if isinstance(entry, dict) else None
        digest = entry.get("sha256") if isinstance(entry, dict) else None
        if name not in FILES:
            problems.append(f"its manifest names a file that no checkpoint has ({name!r})")
        elif not isinstance(size, int) or not isinstance(digest, str):
            problems.append(f"its manifest says nothing usable of {name}")
        else:
            files[name] = (size, digest)
    problems += [f"its manifest leaves out {name}" for name in FILES if name not in table]
    return files, problems


def hash_file(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal.

    Raises:
        OSError: it can't be read.
    """
    import hashlib  # OpenSSL takes 10 ms to load, which lists needn't pay

    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(checkpoint: Checkpoint) -> tuple[str, ...]:
    """All problems of a checkpoint, its files' hashes included. Reads every byte."""
    problems = list(checkpoint.problems)
    for name, (_, digest) in checkpoint.files.items():
        path = checkpoint.folder / name
        try:
            if not stat.S_ISREG(path.lstat().st_mode):  # reading a pipe would wait forever
                problems.append(f"{name} is no plain file")
            elif hash_file(path) != digest:
                problems.append(f"{name} was changed after it was written (its hash differs)")
        except OSError as error:
            problems.append(f"{name} can't be read ({error.strerror})")
    return tuple(dict.fromkeys(problems))


def best(checkpoints: Iterable[Checkpoint], mode: str) -> Checkpoint | None:
    """The usable checkpoint with the best metric (`mode` min or max); None when none was evaluated."""
    measured = [item for item in checkpoints if item.usable and item.metric is not None and item.metric == item.metric]
    sign = 1 if mode == "max" else -1
    return max(measured, key=lambda item: (sign * (item.metric or 0.0), -item.step), default=None)


@dataclass(frozen=True)
class Choice:
    """A verified checkpoint to start from (None: from the beginning), and what was passed over, and why."""

    checkpoint: Checkpoint | None
    passed_over: tuple[str, ...] = ()


def choose(run: RunPaths, wanted: str = "latest", best_mode: str = "min") -> Choice:
    """Pick a checkpoint and check every byte of it.

    Args:
        run: whose checkpoints.
        wanted: `latest`, `best`, a step, `emergency` (the newest of these), or `emergency-STEP`. `latest` passes over
            damaged ones to the next older; the others don't.
        best_mode: whether less (`min`) or more (`max`) of the run's metric is better.

    Raises:
        HeatsError: the one asked for isn't there or is damaged.
    """
    checkpoints = scan(run)
    if wanted == "latest":
        return _latest(run, checkpoints)
    if wanted == "best":
        chosen = best(checkpoints, best_mode)
        if chosen is None:
            raise HeatsError("no evaluated checkpoint is there", place=run.id, remedy="choose latest or a step")
    elif wanted.startswith("emergency"):
        chosen = _emergency(run, checkpoints, wanted.removeprefix("emergency").removeprefix("-"))
    else:
        chosen = _at_step(run, checkpoints, wanted)
    problems = verify(chosen)
    if problems:
        raise HeatsError(f"the checkpoint of step {chosen.step} can't be used: {problems[0]}", place=run.id)
    return Choice(chosen)


def _latest(run: RunPaths, checkpoints: list[Checkpoint]) -> Choice:
    pointer = read_json(run.resume) or {}
    limit = pointer.get("resume_from")
    passed_over: list[str] = []
    for checkpoint in reversed(checkpoints):
        if checkpoint.emergency or checkpoint.shadowed:
            continue
        if isinstance(limit, int) and checkpoint.step > limit:
            continue
        problems = verify(checkpoint)
        if not problems:
            return Choice(checkpoint, tuple(passed_over))
        passed_over.append(f"step {checkpoint.step}: {problems[0]}")
    return Choice(None, tuple(passed_over))


def _emergency(run: RunPaths, checkpoints: list[Checkpoint], step: str) -> Checkpoint:
    there = [item for item in checkpoints if item.emergency]
    found = [item for item in there if not step or step == str(item.step)]
    if not found:
        which = f" of step {step}" if step else ""
        steps = f"there are steps {', '.join(str(item.step) for item in there)}" if there else None
        raise HeatsError(f"no emergency checkpoint{which} is there", place=run.id, remedy=steps)
    return found[-1]


def _at_step(run: RunPaths, checkpoints: list[Checkpoint], wanted: str) -> Checkpoint:
    steps = [checkpoint.step for checkpoint in checkpoints if checkpoint.valid and not checkpoint.emergency]
    if not _is_step(wanted):
        raise HeatsError(f"`{wanted}` is no checkpoint", remedy="give latest, best or a step")
    for checkpoint in checkpoints:
        if checkpoint.step == int(wanted) and not checkpoint.emergency:
            return checkpoint
    there = f"there are steps {', '.join(map(str, steps))}" if steps else "there are no checkpoints"
    raise HeatsError(f"no checkpoint of step {wanted} is there", place=run.id, remedy=there)


def plan_retention(
    checkpoints: list[Checkpoint],
    *,
    keep_last: int,
    keep_best: int,
    keep_every: int,
    best_mode: str,
    protected_steps: frozenset[int] = frozenset(),
) -> list[Checkpoint]:
    """Which checkpoints may go. Never the newest valid one, a protected one, or one outside the effective history."""
    usable = [checkpoint for checkpoint in checkpoints if checkpoint.usable]
    keep = {checkpoint.step for checkpoint in usable[-keep_last:]} | protected_steps
    sign = 1 if best_mode == "max" else -1
    measured = [item for item in usable if item.metric is not None and item.metric == item.metric]
    ranked = sorted(measured, key=lambda item: (-sign * (item.metric or 0.0), item.step))
    keep |= {checkpoint.step for checkpoint in ranked[:keep_best]}
    if keep_every:
        keep |= {checkpoint.step for checkpoint in usable if checkpoint.step % keep_every == 0}
    return [checkpoint for checkpoint in usable if checkpoint.step not in keep]


def tensor_names(path: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    """The tensors of a safetensors file, by name with type and shape, from its header alone.

    Raises:
        HeatsError: it is no safetensors file.
    """
    try:
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            text = file.read(min(length, 100 << 20))
        if len(text) != length:
            raise ValueError("its header is cut off")
        header = json.loads(text)
        return {
            name: (entry["dtype"], tuple(entry["shape"])) for name, entry in header.items() if name != "__metadata__"
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise HeatsError(f"is no readable safetensors file ({error})", place=str(path)) from None
