"""What checkpoints a run has, which of them can be trusted, and which one to resume from. No torch needed."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.errors import HeatsError
from engine.store.contents import FILES, MANIFEST, MODEL, OPTIMIZER, STATE, look_inside
from engine.store.files import decode_number, read_json
from engine.store.paths import RunPaths
from engine.store.records import read_launch
from engine.store.shards import is_shard, missing_shards
from engine.store.tensors import tensor_names

__all__ = [
    "FILES", "MANIFEST", "MODEL", "OPTIMIZER", "STATE", "Checkpoint", "Choice", "best", "choose", "folder_name",
    "hash_file", "read_pointers", "resume_limit", "resume_points", "scan", "tensor_names", "verify",
]  # fmt: skip

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
    def sharded(self) -> bool:
        """Whether its tensors are spread over several files, one a process of the run."""
        return any(is_shard(name) for name in self.files)

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
    resumes = resume_points(run)
    found = []
    for name in names:
        for prefix in (PREFIX, EMERGENCY_PREFIX):
            digits = name.removeprefix(prefix)
            if name.startswith(prefix) and _is_step(digits):
                found.append(_judge(run.checkpoints / name, int(digits), prefix == EMERGENCY_PREFIX, resumes))
    return sorted(found, key=lambda checkpoint: (checkpoint.step, checkpoint.emergency))


def has_checkpoint(run: RunPaths) -> bool:
    """Whether a run has any folder of a checkpoint, whole or not: what lists filter by, at one look."""
    try:
        return any(name.startswith((PREFIX, EMERGENCY_PREFIX)) for name in os.listdir(run.checkpoints))
    except OSError:
        return False


def _is_step(text: str) -> bool:
    return text.isascii() and text.isdigit()


def resume_points(run: RunPaths) -> dict[int, int]:
    """By number of the attempt, the step it resumed from; attempts that began at the start of a new run have none."""
    points = {}
    for attempt in run.attempts():
        launch = read_launch(attempt.launch)
        if launch is not None and launch.resumed_from_step is not None:
            points[attempt.number] = launch.resumed_from_step
    return points


def _link_problem(folder: Path) -> str | None:
    """What is wrong with a folder that isn't where it seems to be: a link may lead out of the store."""
    for path, what in ((folder.parent, "the folder `checkpoints`"), (folder, "its folder")):
        try:
            mode = path.lstat().st_mode
        except OSError as error:
            return f"{what} can't be read ({error.strerror})"
        if stat.S_ISLNK(mode):
            return f"{what} is a link, which may lead out of the store"
        if not stat.S_ISDIR(mode):
            return f"{what} is no folder"
    return None


def _judge(folder: Path, step: int, emergency: bool, resumes: dict[int, int]) -> Checkpoint:
    led_astray = _link_problem(folder)
    if led_astray is not None:
        return Checkpoint(folder, step, emergency=emergency, problems=(led_astray,))
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
        if name not in FILES and not is_shard(name):
            problems.append(f"its manifest names a file that no checkpoint has ({name!r})")
        elif not isinstance(size, int) or not isinstance(digest, str):
            problems.append(f"its manifest says nothing usable of {name}")
        else:
            files[name] = (size, digest)
    sharded = any(is_shard(name) for name in files)
    wanted = [STATE, *missing_shards(files)] if sharded else FILES
    problems += [f"its manifest leaves out {name}" for name in wanted if name not in table]
    return files, problems


def hash_file(path: Path, advance: Callable[[int], None] | None = None) -> str:
    """SHA-256 of a file, in hexadecimal.

    Args:
        path: which file.
        advance: told the number of bytes after every few megabytes, for a progress bar.

    Raises:
        OSError: it can't be read.
    """
    import hashlib  # OpenSSL takes 10 ms to load, which lists needn't pay

    digest, buffer = hashlib.sha256(), memoryview(bytearray(1 << 22))
    # Not through links, and never waiting for a pipe's other end.
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb", buffering=0) as file:
        while size := file.readinto(buffer):
            digest.update(buffer[:size])
            if advance is not None:
                advance(size)
    return digest.hexdigest()


def verify(checkpoint: Checkpoint, advance: Callable[[int], None] | None = None) -> tuple[str, ...]:
    """All problems of a checkpoint, its files' hashes included. Reads every byte.

    Args:
        checkpoint: as a scan found it.
        advance: told the number of bytes read from time to time, for a progress bar.
    """
    problems = list(checkpoint.problems)
    led_astray = _link_problem(checkpoint.folder)
    if led_astray is not None:
        return tuple(dict.fromkeys([*problems, led_astray]))
    for name, (_, digest) in checkpoint.files.items():
        path = checkpoint.folder / name
        try:
            if not stat.S_ISREG(path.lstat().st_mode):  # reading a pipe would wait forever
                problems.append(f"{name} is no plain file")
            elif hash_file(path, advance) != digest:
                problems.append(f"{name} was changed after it was written (its hash differs)")
        except OSError as error:
            problems.append(f"{name} can't be read ({error.strerror})")
    if not problems:  # whole as it was written; but by whom? A pickle by the name of a model has its hash, too
        problems += look_inside(checkpoint.folder, checkpoint.step).problems
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


def read_pointers(run: RunPaths) -> dict[str, Any]:
    """What resume.json says, or nothing where it is missing or damaged: it holds hints, the truth is a scan.

    `latest` and `best` are names of checkpoint folders, which the trainer writes after each save. `resume_from` is a
    step that a person chose (`heats checkpoints rewind` and `sync` write it, while nothing of the run lives), and
    `after_attempt` the newest attempt at that moment. The trainer's next save writes the file without them.
    """
    return read_json(run.resume) or {}


def resume_limit(pointers: dict[str, Any], resumes: dict[int, int]) -> int | None:
    """The step that a person has set a run back to and from which it hasn't gone on yet; None without one.

    Once an attempt has begun after that, its own resume point has taken over: what it saves lies past the chosen
    step and must not be hidden by it, and what it left behind is shadowed.

    Args:
        pointers: as read_pointers gives them.
        resumes: as resume_points gives them.
    """
    step, after = pointers.get("resume_from"), pointers.get("after_attempt")
    if type(step) is not int or step < 0:
        return None
    if type(after) is int and any(attempt > after for attempt in resumes):
        return None
    return step


def _latest(run: RunPaths, checkpoints: list[Checkpoint]) -> Choice:
    limit = resume_limit(read_pointers(run), resume_points(run))
    passed_over: list[str] = []
    for checkpoint in reversed(checkpoints):
        if checkpoint.emergency or checkpoint.shadowed:
            continue
        if limit is not None and checkpoint.step > limit:
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
