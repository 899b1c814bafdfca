"""What there is to import under a path: a list of sources, each of which is one run."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from engine.errors import HeatsError
from engine.store.foreign.curves import ForeignRun, Format
from engine.store.foreign.event_files import is_event_file, read_folder

_ENDINGS: dict[str, Format] = {
    ".wandb": "wandb", ".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl",
}  # fmt: skip


@dataclass(frozen=True)
class Source:
    """One run of another tool: its files, not yet read. `place` is the file, or TensorBoard's folder."""

    place: Path
    name: str
    format: Format
    files: tuple[Path, ...]


@dataclass(frozen=True)
class Found:
    """All sources under a path, and how many tables were passed over for not being asked for."""

    sources: tuple[Source, ...]
    tables: int = 0


def find_sources(path: Path, wanted: Format | None = None) -> Found:
    """What can be imported from a file or from a folder and all below it. Links to folders aren't followed.

    Tables in folders are taken only if their format is asked for: most CSV files are no logs.

    Raises:
        HeatsError: there is nothing.
    """
    path = path.absolute()
    if not path.exists():
        raise HeatsError("there is no such file or folder", place=str(path))
    found, tables = (_below(path, wanted), 0) if path.is_dir() else ([_single(path, wanted)], 0)
    if wanted is None and path.is_dir():
        tables = sum(source.format in ("csv", "jsonl") for source in found)
        found = [source for source in found if source.format not in ("csv", "jsonl")]
    if not found:
        what = wanted or "TensorBoard or W&B"
        more = f"; {tables:,} tables are there: --format csv or jsonl takes them" if tables else ""
        raise HeatsError(f"holds no run of {what}", place=str(path), remedy=f"name another folder or file{more}")
    return Found(tuple(found), tables)


def read_source(source: Source, step_column: str | None = None) -> ForeignRun:
    """Read one run.

    Raises:
        HeatsError: it isn't what it was taken for.
        OSError: it can't be read.
    """
    from engine.store.foreign import tables
    from engine.store.foreign.wandb_files import read_wandb

    run = ForeignRun(source.name, source.format, source.place, digest(source))
    if source.format == "tensorboard":
        read_folder(run, list(source.files))
    elif source.format == "wandb":
        read_wandb(run, source.files[0])
    elif source.format == "csv":
        tables.read_csv(run, source.files[0], step_column)
    else:
        tables.read_jsonl(run, source.files[0], step_column)
    if run.created is None:
        run.created = min(file.stat().st_mtime for file in source.files)
    return run


def digest(source: Source) -> str:
    """What a source is known by again: a hash over its files' names and contents.

    Raises:
        OSError: a file can't be read.
    """
    total = hashlib.sha256()
    for path in source.files:
        with open(path, "rb") as file:
            inner = hashlib.file_digest(file, "sha256").hexdigest()
        total.update(f"{inner}  {path.name}\n".encode("utf-8", "surrogateescape"))
    return total.hexdigest()


def _single(path: Path, wanted: Format | None) -> Source:
    kind = wanted or ("tensorboard" if is_event_file(path.name) else _ENDINGS.get(path.suffix.lower()))
    if kind is None:
        raise HeatsError(
            "its name doesn't say what it is",
            place=str(path),
            remedy="say so: --format tensorboard, wandb, csv, jsonl",
        )
    name = path.parent.name if kind == "tensorboard" else path.stem
    return Source(path, name or path.name, kind, (path,))


def _below(root: Path, wanted: Format | None) -> list[Source]:
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name != ".trash")
        place = Path(folder)
        files = sorted(place / name for name in names if (place / name).is_file())
        events = [path for path in files if is_event_file(path.name)]
        if events and wanted in (None, "tensorboard"):
            found.append(Source(place, _name(root, place), "tensorboard", tuple(events)))
        for path in files:
            kind = _ENDINGS.get(path.suffix.lower())
            if kind is not None and path not in events and wanted in (None, kind):
                found.append(Source(path, _name(root, path.with_suffix("")), kind, (path,)))
    return found


def _name(root: Path, place: Path) -> str:
    return root.name if place == root else str(place.relative_to(root))
