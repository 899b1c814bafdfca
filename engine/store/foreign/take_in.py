"""Writing another tool's run into the store as one of ours: one attempt, its curves, its options, its end."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from engine.errors import HeatsError, MachineError
from engine.store import host
from engine.store.create import new_run_id
from engine.store.files import encode_number, fsync_folder, read_json, write_atomic, write_json
from engine.store.foreign.curves import Curves, ForeignRun
from engine.store.notes import nearest_tag
from engine.store.paths import RunPaths, Store
from engine.store.records import LaunchRecord, RunRecord, write_launch, write_run

IMPORTED_TASK = "imported"
_MAKING = ".importing-"


@dataclass(frozen=True)
class Known:
    """What was imported before: run ids by the digest and by the path of their source."""

    digests: dict[str, str]
    places: dict[str, str]


def known_sources(store: Store) -> Known:
    """Where the imported runs of a store came from."""
    digests, places = {}, {}
    for run_id in store.run_ids():
        origin = read_json(store.run(run_id).imported)
        if origin is not None:
            digests[str(origin.get("digest"))] = run_id
            places[str(origin.get("source"))] = run_id
    return Known(digests, places)


def check_task(name: str) -> None:
    """Refuse the name of a task that trains here: an imported run of it would look as if it could be resumed.

    Raises:
        HeatsError: it is one.
    """
    from engine.config.tasks import task_packages

    if name in task_packages():
        raise HeatsError(
            f"`{name}` is a task that trains here", place="--task", remedy="give imported runs another word"
        )


def take_in(
    store: Store, foreign: ForeignRun, *, name: str | None = None, task: str = IMPORTED_TASK, tags: Sequence[str] = ()
) -> RunPaths:
    """Make a run of another tool's. It is written aside and renamed into its place whole.

    Raises:
        MachineError: the store can't be written; nothing is left behind then.
    """
    created = foreign.created or time.time()
    name = name or foreign.name
    making = store.root / f"{_MAKING}{host.host_name()}-{os.getpid()}"
    try:
        _clear_leftovers(store)
        making.mkdir()
        run_id = new_run_id(task, name, created)
        _write(RunPaths(making), run_id, foreign, name, task, tags, created)
        for _ in range(100):
            if not os.path.lexists(store.root / run_id):
                break
            run_id = new_run_id(task, name, created)
            _write_record(RunPaths(making), run_id, foreign, name, task, created)
        os.rename(making, store.root / run_id)
        fsync_folder(store.root)
    except OSError as error:
        raise MachineError(f"the run can't be made ({error.strerror})", place=str(store.root)) from error
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return store.run(run_id)


def _write(
    run: RunPaths, run_id: str, foreign: ForeignRun, name: str, task: str, tags: Sequence[str], created: float
) -> None:
    attempt = run.attempt(1)
    for folder in (run.requests, attempt.folder, run.tensorboard, run.checkpoints):
        folder.mkdir(parents=True)
    write_atomic(run.config, _yaml(foreign.config))
    origin = {
        "schema": 1, "format": foreign.format, "source": str(foreign.source), "digest": foreign.digest,
        "time": time.time(), "remarks": foreign.remarks,
    }  # fmt: skip
    write_json(run.imported, origin)
    all_tags = list(dict.fromkeys([*filter(None, map(nearest_tag, foreign.tags)), *tags]))
    if all_tags or foreign.note:
        notes = {"schema": 1, "tags": all_tags, "note": foreign.note, "star": False, "archived": False}
        write_json(run.notes, notes)
    write_launch(attempt, LaunchRecord(1, created, foreign.host or "", backend=foreign.format, started=created))
    last_step, last_time, count = 0, created, 0
    with open(attempt.metrics, "wb") as file:
        for step, moment, figures in _rows(foreign.curves):
            record: dict[str, Any] = {"step": step} | ({"time": moment} if moment else {})
            figures = {figure: encode_number(value) for figure, value in figures.items()}  # type: ignore[misc]
            file.write(orjson.dumps(record | figures) + b"\n")
            last_step, last_time, count = step, max(last_time, moment), count + 1
        file.flush()
        os.fsync(file.fileno())
    last = {key: encode_number(series.values[-1]) for key, series in foreign.curves.series.items() if len(series)}
    events = [
        {"event": "started", "time": created, "step": None, "imported_from": foreign.format},
        {"event": foreign.ended, "time": last_time, "step": last_step, "metrics": last, "reason": foreign.reason},
    ]
    write_atomic(attempt.events, b"".join(orjson.dumps(event) + b"\n" for event in events))
    _write_record(run, run_id, foreign, name, task, created)


def _write_record(run: RunPaths, run_id: str, foreign: ForeignRun, name: str, task: str, created: float) -> None:
    seed = next((foreign.config[key] for key in ("seed", "random_seed") if key in foreign.config), None)
    record = RunRecord(
        id=run_id, name=name, task=task, created=created, host=foreign.host,
        seed=seed if type(seed) is int and abs(seed) < 2**63 else None,
    )  # fmt: skip
    write_run(run.record, record)


def _rows(curves: Curves) -> Iterator[tuple[int, float, dict[str, float]]]:
    """One row a step with all that was logged at it, and the latest of its times."""
    rows: dict[int, tuple[float, dict[str, float]]] = {}
    for name, series in curves.series.items():
        for step, moment, value in zip(series.steps, series.times, series.values, strict=True):
            known = rows.get(step)
            if known is None:
                rows[step] = (moment, {name: value})
            else:
                known[1][name] = value
                if moment > known[0]:
                    rows[step] = (moment, known[1])
    for step in sorted(rows):
        yield step, *rows[step]


def _yaml(config: dict[str, Any]) -> bytes:
    import yaml

    plain = {str(key): _plain(value) for key, value in config.items()}
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return yaml.dump(plain, Dumper=dumper, allow_unicode=True, sort_keys=False).encode("utf-8", "replace")


def _plain(value: Any) -> Any:
    """A value that YAML holds without help."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, (str, int, float, bool)) else str(value)


def _clear_leftovers(store: Store) -> None:
    """Remove what an import of this machine left when it was killed."""
    prefix = f"{_MAKING}{host.host_name()}-"
    for entry in os.listdir(store.root):
        pid = entry.removeprefix(prefix)
        if entry.startswith(prefix) and pid.isdecimal() and host.process_state(int(pid), None) == "gone":
            with contextlib.suppress(OSError):
                shutil.rmtree(Path(store.root / entry))
