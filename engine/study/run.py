"""Running a study: queue what is missing, again and again until nothing is, and write its report at the end."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.config.resolve import flatten
from engine.errors import HeatsError
from engine.launch import actions
from engine.launch import queue as launch_queue
from engine.store import queue
from engine.store.files import read_json, write_atomic, write_json
from engine.store.metrics import RunHistory
from engine.store.notes import edit_notes, with_tags
from engine.store.paths import RunPaths, Store, create_store
from engine.store.status import State
from engine.study import search
from engine.study.cells import CellState, find_cells
from engine.study.conclude import look, record, study_folder
from engine.study.expand import Arm, Cell, arms_of, expand
from engine.study.needs import order_of
from engine.study.spec import Study, read_study

_PENDING = "pending.json"
_SNAPSHOT = "study.yaml"


@dataclass(frozen=True)
class Begun:
    """What `study run` did: the runs that were queued, and those of them that started at once."""

    queued: tuple[RunPaths, ...]
    started: tuple[RunPaths, ...]
    waiting: tuple[CellState, ...]
    """Cells that wait for something which hasn't finished."""


def plan_launch(states: Sequence[CellState], redo: Sequence[str] = ()) -> list[Cell]:
    """Which cells are to be trained: those missing, and those that are asked for anew. Pure.

    Args:
        states: all cells.
        redo: names of cells (`latent/3`) or arms, or `failed`, `suspect`, `stopped`.

    Raises:
        HeatsError: a word of `redo` means no cell.
    """
    names = {state.cell.name for state in states} | {state.cell.arm for state in states}
    kinds = {"failed", "suspect", "stopped"}
    for word in redo:
        if word not in names | kinds:
            raise HeatsError(
                f"`{word}` is no cell of the study",
                remedy="name a cell as ARM/SEED, an arm, failed, suspect or stopped",
            )
    chosen = []
    for state in states:
        asked = {state.cell.name, state.cell.arm, state.standing} & set(redo)
        free = state.standing not in ("queued", "live", "waiting")
        if state.standing == "missing" or (asked and free):
            chosen.append(state.cell)
    return chosen


def begin(root: Path, study: Study, *, redo: Sequence[str] = (), command: tuple[str, ...] = ()) -> Begun:
    """Launch what is missing of a study, and of all that it needs; the queue does the rest.

    Interrupted runs of cells are resumed rather than begun anew.

    Args:
        root: the store's folder; made if needed.
        study: which study.
        redo: cells to train anew, see `plan_launch`.
        command: the command line, for the record.

    Raises:
        HeatsError: a mistake in the study file, or a word of `redo` that means no cell.
        MachineError: the store can't be written.
    """
    store = create_store(root)
    order = order_of(study)
    plan_launch(find_cells(store, study), redo)  # every mistake is said before anything is made
    launch_queue.open_queue(store)
    queued: list[RunPaths] = []
    for item in order:
        _remember(store, item)
        queued += _top_up(store, item, redo if item.file == study.file else (), command)
    started = tuple(found.run for found in launch_queue.advance(store))
    waiting = tuple(state for item in order for state in find_cells(store, item) if state.standing == "waiting")
    return Begun(tuple(queued), started, waiting)


def _remember(store: Store, study: Study) -> None:
    """The study file as run, and a note for whoever advances the queue."""
    folder = study_folder(store, study)
    folder.mkdir(parents=True, exist_ok=True)
    if study.file.exists():
        write_atomic(folder / _SNAPSHOT, study.file.read_bytes())
    write_json(folder / _PENDING, {"schema": 1, "file": str(study.file.absolute()), "preset": study.preset})


def _top_up(store: Store, study: Study, redo: Sequence[str], command: tuple[str, ...]) -> list[RunPaths]:
    """Queue every cell that can be trained now and isn't, and every interrupted one."""
    with queue.alone(store) as held:
        if not held:
            return []
        states = find_cells(store, study)
        chosen = plan_launch(states, redo) + new_trials(study, states)
        made = [_make(store, study, cell, command) for cell in chosen]
        redone = {cell.name for cell in chosen}
        for state in states:
            interrupted = state.standing == "stopped" and not _stopped_by_a_person(state)
            if interrupted and state.run is not None and state.cell.name not in redone:
                _enqueue(study, state.run)
                made.append(state.run)
        return made


def new_trials(study: Study, states: Sequence[CellState]) -> list[Cell]:
    """The cells of a search's next trials: as many as may run at once, less those that are under way."""
    options = study.spec.search
    if options is None:
        return []
    seeds = len(study.spec.seeds)
    room = max(1, math.ceil(study.spec.budget.max_parallel / seeds))
    cells: list[Cell] = []
    for arm in arms_of(study) or [Arm("", {})]:
        trials = trials_of(study, arm.name, states)
        count = room - sum(trial.state == "open" for trial in trials)
        cells += expand(study, arms=search.propose(study, arm, trials, count))
    return cells


def trials_of(study: Study, arm: str, states: Sequence[CellState]) -> list[search.Trial]:
    """What was tried so far for an arm; a trial's result is the mean over its seeds."""
    assert study.spec.search is not None
    assert study.metric is not None
    grouped: dict[int, list[CellState]] = {}
    for state in states:
        parsed = search.parse_name(state.cell.arm)
        if parsed is not None and parsed[0] == arm:
            grouped.setdefault(parsed[1], []).append(state)
    found = []
    for number, group in sorted(grouped.items()):
        options = flatten(group[0].cell.config.model_dump())
        values = [state.value(study.metric, study.spec.value) for state in group]
        finite = [value for value in values if value is not None and math.isfinite(value)]
        whole = len(finite) == len(group)
        if not all(state.done or state.standing == "failed" for state in group):
            kind = "open"
        elif any(state.standing == "pruned" for state in group):
            kind = "pruned"
        else:
            kind = "complete" if whole else "failed"
        result = sum(finite) / len(finite) if whole else None
        found.append(
            search.Trial(number, {key: options[key] for key in study.spec.search.space}, result, kind)  # type: ignore[arg-type]
        )
    return found


def is_over(study: Study, states: Sequence[CellState]) -> bool:
    """Whether nothing of a study is left to train."""
    if not all(state.done or state.standing == "failed" for state in states):
        return False
    return not new_trials(study, states)


def _stopped_by_a_person(state: CellState) -> bool:
    return state.summary is not None and state.summary.status is State.STOPPED


def _make(store: Store, study: Study, cell: Cell, command: tuple[str, ...]) -> RunPaths:
    request = actions.LaunchRequest(
        study.spec.task, {}, name=f"{cell.arm} {cell.seed}", study=study.label, arm=cell.arm, command=command
    )
    run = actions.make_run(store, request, cell.config)
    _enqueue(study, run)
    return run


def _enqueue(study: Study, run: RunPaths) -> None:
    budget = study.spec.budget
    queue.enqueue(run, most=budget.max_parallel, stop_after=budget.stop_after_failures)


def pending(store: Store) -> list[Study]:
    """The studies that somebody began and that aren't over; one whose file has gone or is wrong is left out."""
    found = []
    for path in sorted((store.root / ".studies").glob(f"*/{_PENDING}")):
        note = read_json(path) or {}
        file, preset = note.get("file"), note.get("preset")
        if isinstance(file, str) and (preset is None or isinstance(preset, str)):
            with contextlib.suppress(HeatsError):
                found.append(read_study(Path(file), preset))
    return found


def advance(store: Store) -> None:
    """Bring every study that was begun, and the queue, as far as can be. Anybody may call this at any time."""
    for study in pending(store):
        with contextlib.suppress(HeatsError):
            prune(store, study)
            _top_up(store, study, (), ())
            if is_over(study, find_cells(store, study)):
                _close(store, study)
    launch_queue.advance(store)


def _close(store: Store, study: Study) -> None:
    """Everything is trained: nobody may be watching, so the verdict and the report are written now."""
    from engine.study.report import write

    found = look(store, study)
    if study.spec.hypothesis:
        record(store, found)
    write(store, found)
    (study_folder(store, study) / _PENDING).unlink(missing_ok=True)


def prune(store: Store, study: Study) -> list[RunPaths]:
    """End the live trials of a search that do worse than the median of the earlier ones; those that were ended."""
    options = study.spec.search
    if options is None or options.prune == "none" or study.metric is None:
        return []
    states = [state for state in find_cells(store, study) if state.run is not None]
    tracks = {state.run.id: _track(state.run, study.metric) for state in states if state.run is not None}
    ended = []
    for state in states:
        if state.standing != "live" or state.run is None:
            continue
        arm = search.parse_name(state.cell.arm)
        others = [
            tracks[other.run.id]
            for other in states
            if other.run is not None and other.standing in ("finished", "pruned") and other.cell.seed == state.cell.seed
            and _same_search(arm, search.parse_name(other.cell.arm))
        ]  # fmt: skip
        step = search.worse_than_median(tracks[state.run.id], others, study.mode, options.warmup_steps)
        if step is not None:
            with contextlib.suppress(HeatsError):
                edit_notes(state.run, lambda notes: with_tags(notes, add=("pruned",)))
                actions.stop(state.run)
                ended.append(state.run)
    return ended


def _same_search(first: tuple[str, int] | None, second: tuple[str, int] | None) -> bool:
    return first is not None and second is not None and first[0] == second[0]


def _track(run: RunPaths, metric: str) -> dict[int, float]:
    history = RunHistory(run)
    history.refresh()
    series = history.series.get(metric)
    return dict(zip(series.steps, series.values, strict=True)) if series is not None else {}


def stop_study(store: Store, study: Study, *, now: bool = False) -> tuple[list[RunPaths], list[RunPaths]]:
    """Take what waits out of the queue and stop what runs; the runs of each kind. Nothing more of it is launched.

    Raises:
        MachineError: the store can't be written.
    """
    (study_folder(store, study) / _PENDING).unlink(missing_ok=True)
    dequeued, stopped = [], []
    for state in find_cells(store, study):
        if state.run is None:
            continue
        if state.standing == "queued" and queue.dequeue(state.run):
            dequeued.append(state.run)
            if not state.run.attempts():
                discard(store, state.run)
        elif state.standing == "live":
            with contextlib.suppress(HeatsError):  # it has just ended
                actions.stop(state.run, now=now)
                stopped.append(state.run)
    return dequeued, stopped


def discard(store: Store, run: RunPaths) -> None:
    """Put a run that never trained into the trash."""
    store.trash.mkdir(exist_ok=True)
    with contextlib.suppress(OSError):
        run.folder.rename(store.trash / run.id)
