"""Making a run's folder and claiming its attempts."""

from __future__ import annotations

import re
import secrets
import shutil
import string
import time
from pathlib import Path

from engine.errors import MachineError
from engine.store import host
from engine.store.code import code_state
from engine.store.files import fsync_folder, write_atomic, write_json
from engine.store.paths import AttemptPaths, RunPaths, Store
from engine.store.provenance import environment
from engine.store.records import RunRecord, write_launch, write_run

__all__ = ["claim_attempt", "create_run", "environment", "new_run_id", "write_launch"]

_ALPHABET = string.digits + string.ascii_lowercase


def new_run_id(task: str, slug: str, now: float) -> str:
    """`YYYYMMDD-HHMMSS_<task>-<slug>_<xxxx>`: sorts by time and says what matters of the config."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(now))
    words = re.sub(r"[^\w.-]+", "-", f"{task}-{slug}").strip("-").encode()[:80].decode(errors="ignore") or "run"
    return f"{stamp}_{words}_{''.join(secrets.choice(_ALPHABET) for _ in range(4))}"


def create_run(
    store: Store,
    *,
    task: str,
    slug: str,
    config_yaml: str,
    config_hash: str,
    name: str | None = None,
    seed: int | None = None,
    tags: tuple[str, ...] = (),
    note: str = "",
    study: str | None = None,
    arm: str | None = None,
    parent: str | None = None,
    command: tuple[str, ...] = (),
    code: Path | None = None,
    folder: Path | None = None,
) -> RunPaths:
    """Make a run's folder with everything but its first attempt; run.json comes last.

    Raises:
        MachineError: the store can't be written; nothing is left behind then.
    """
    now = time.time()
    run = _claim(store, task, slug, now)
    try:
        state = code_state(code, store=store.root)
        write_atomic(run.config, config_yaml.encode())
        write_json(run.environment, environment() | {"code": state.to_json()})
        if state.patch:
            write_atomic(run.code_patch, state.patch)
        if tags or note:
            write_json(run.notes, {"schema": 1, "tags": list(tags), "note": note, "star": False, "archived": False})
        for inner in (run.requests, run.attempts_folder, run.tensorboard, run.checkpoints):
            inner.mkdir()
        record = RunRecord(
            id=run.id, name=name or slug, task=task, created=now, seed=seed, study=study, arm=arm, parent=parent,
            command=command, config_hash=config_hash, git_commit=state.commit, host=host.host_name(),
            folder=None if folder is None else str(folder),
        )  # fmt: skip
        write_run(run.record, record)
    except (OSError, MachineError) as error:
        shutil.rmtree(run.folder, ignore_errors=True)
        if isinstance(error, MachineError):
            raise
        raise MachineError(f"the run can't be made ({error.strerror})", place=str(store.root)) from error
    return run


def _claim(store: Store, task: str, slug: str, now: float) -> RunPaths:
    for _ in range(100):
        run = store.run(new_run_id(task, slug, now))
        try:
            run.folder.mkdir()
        except FileExistsError:
            continue
        except OSError as error:
            raise MachineError(
                f"no run can be made there ({error.strerror})", place=str(store.root),
                remedy="free space or choose another store with --runs-dir",
            ) from error  # fmt: skip
        return run
    raise MachineError("no free run id was found", place=str(store.root))


def claim_attempt(run: RunPaths) -> AttemptPaths:
    """Make the folder of the next attempt; mkdir is the claim.

    Raises:
        MachineError: the run's folder can't be written.
    """
    attempts = run.attempts()
    number = attempts[-1].number + 1 if attempts else 1
    while True:
        attempt = run.attempt(number)
        try:
            attempt.folder.mkdir()
            fsync_folder(run.attempts_folder)
        except FileExistsError:
            number += 1
            continue
        except OSError as error:
            raise MachineError(f"no attempt can be made ({error.strerror})", place=str(run.folder)) from error
        return attempt
