"""The note that a study was begun: where it trains, whence, and whether it has halted. It goes when the study is over.

Whoever advances the queue knows of studies by these notes alone.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import HeatsError
from engine.store.files import read_json, write_atomic, write_json
from engine.store.paths import Store
from engine.study.cells import study_folder
from engine.study.spec import Study, read_study

_NOTE = "pending.json"
_SNAPSHOT = "study.yaml"


@dataclass(frozen=True)
class Where:
    """On which backend a study trains, and what each job asks for there."""

    backend: str = "local"
    profile: str | None = None


HERE = Where()


def remember(store: Store, study: Study, where: Where = HERE) -> None:
    """Keep the study file as run, and a note for whoever advances the queue.

    Raises:
        MachineError: the store can't be written.
    """
    folder = study_folder(store, study)
    folder.mkdir(parents=True, exist_ok=True)
    if study.file.exists():
        write_atomic(folder / _SNAPSHOT, study.file.read_bytes())
    # Whoever goes on with it later works elsewhere; commands of the user's own work where the study was begun.
    note: dict[str, Any] = {
        "schema": 1, "file": str(study.file.absolute()), "preset": study.preset, "folder": os.getcwd(),
    }  # fmt: skip
    if where != HERE:
        note |= {"backend": where.backend, "profile": where.profile, "begun": time.time()}
    write_json(folder / _NOTE, note)


def forget(store: Store, study: Study) -> None:
    """The study is over, or was stopped."""
    (study_folder(store, study) / _NOTE).unlink(missing_ok=True)


def is_pending(store: Store, study: Study) -> bool:
    """Whether a study was begun and isn't over."""
    return (study_folder(store, study) / _NOTE).exists()


def pending(store: Store) -> list[Study]:
    """The studies that somebody began and that aren't over; one whose file has gone or is wrong is left out."""
    found = []
    for path in sorted((store.root / ".studies").glob(f"*/{_NOTE}")):
        note = read_json(path) or {}
        file, preset = note.get("file"), note.get("preset")
        if isinstance(file, str) and (preset is None or isinstance(preset, str)):
            with contextlib.suppress(HeatsError):
                found.append(read_study(Path(file), preset))
    return found


def where_of(store: Store, study: Study) -> Where:
    """On which backend a study that was begun trains."""
    note = _read(store, study.label)
    profile = note.get("profile")
    if note.get("backend") != "slurm" or not (profile is None or isinstance(profile, str)):
        return HERE
    return Where("slurm", profile)


def begun_in(store: Store, study: Study) -> Path | None:
    """The folder that this machine's person was in who began the study; None where nobody knows."""
    folder = _read(store, study.label).get("folder")
    return Path(folder) if isinstance(folder, str) else None


def begun_at(store: Store, study: Study) -> float:
    """Since when failures count on a cluster, in seconds since the epoch; 0 where nobody knows."""
    since = _read(store, study.label).get("begun")
    return since if isinstance(since, float) else 0.0


def why_halted(store: Store, label: str) -> str | None:
    """Why a study's waiting jobs were cancelled; None where they weren't, or somebody has begun it again."""
    why = _read(store, label).get("halted")
    return why if isinstance(why, str) else None


def remember_halted(store: Store, study: Study, why: str) -> None:
    """Note why nothing more of a study is to be submitted.

    Raises:
        MachineError: the store can't be written.
    """
    write_json(study_folder(store, study) / _NOTE, _read(store, study.label) | {"halted": why})


def _read(store: Store, label: str) -> dict[str, Any]:
    return read_json(store.root / ".studies" / label / _NOTE) or {}
