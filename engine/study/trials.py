"""The trials of a search on a store: which are begun next, what came of them, and which are ended early."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence

from engine.config.resolve import flatten
from engine.errors import HeatsError
from engine.launch import actions
from engine.store.metrics import RunHistory
from engine.store.notes import edit_notes, with_tags
from engine.store.paths import RunPaths, Store
from engine.store.status import State
from engine.study import search
from engine.study.cells import CellState, find_cells
from engine.study.expand import Arm, Cell, arms_of, expand
from engine.study.needs import find_needed
from engine.study.spec import Study


def new_trials(store: Store, study: Study, states: Sequence[CellState]) -> list[Cell]:
    """The cells of a search's next trials: as many as may run at once, less those that are under way."""
    options = study.spec.search
    if options is None:
        return []
    seeds = len(study.spec.seeds)
    room = max(1, math.ceil(study.spec.budget.max_parallel / seeds))
    cells: list[Cell] = []
    needed = find_needed(store, study)
    for arm in arms_of(study) or [Arm("", {})]:
        trials = trials_of(study, arm.name, states)
        count = room - sum(trial.state == "open" for trial in trials)
        cells += expand(study, needed, search.propose(study, arm, trials, count))
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


def prune(store: Store, study: Study) -> list[RunPaths]:
    """End the live trials of a search that do worse than the median of the earlier ones; those that were ended."""
    options = study.spec.search
    if options is None or options.prune == "none" or study.metric is None:
        return []
    states = [state for state in find_cells(store, study) if state.run is not None]
    going = [state for state in states if state.standing == "live" and not _is_ending(state)]
    over = [state for state in states if state.standing in ("finished", "pruned")]
    if not going or len(over) < search.LEAST_RIVALS:
        return []
    tracks = {
        state.run.id: _track(state.run, study.metric) for state in (*going, *over) if state.run is not None
    }  # fmt: skip
    ended = []
    for state in going:
        if state.run is None:
            continue
        arm = search.parse_name(state.cell.arm)
        others = [
            tracks[other.run.id]
            for other in over
            if other.run is not None and other.cell.seed == state.cell.seed
            and _same_search(arm, search.parse_name(other.cell.arm))
        ]  # fmt: skip
        step = search.worse_than_median(tracks[state.run.id], others, study.mode, options.warmup_steps)
        if step is not None:
            with contextlib.suppress(
                HeatsError
            ):  # the mark first: killed in between, we would leave it stopped by a person
                edit_notes(state.run, lambda notes: with_tags(notes, add=("pruned",)))
                actions.stop(state.run)
                ended.append(state.run)
    return ended


def _is_ending(state: CellState) -> bool:
    return state.summary is not None and state.summary.status is State.STOPPING


def _same_search(first: tuple[str, int] | None, second: tuple[str, int] | None) -> bool:
    return first is not None and second is not None and first[0] == second[0]


def _track(run: RunPaths, metric: str) -> dict[int, float]:
    history = RunHistory(run)
    history.refresh()
    series = history.series.get(metric)
    return dict(zip(series.steps, series.values, strict=True)) if series is not None else {}
