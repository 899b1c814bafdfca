"""What people do to studies from the app: the plan that is shown before, and the act itself. All of it in threads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import HeatsError
from engine.store.paths import Store, open_store
from tui import format
from tui.study_view import Source, a_store, load

if TYPE_CHECKING:
    from engine.study.cells import CellState
    from engine.study.spec import Study

_SAMPLED = 3
"""So many finished runs of an arm are timed."""


@dataclass(frozen=True)
class RunPlan:
    """What `r` or `R` would do: how many runs, how many at once, and how long that takes, where that is known."""

    label: str
    missing: int
    interrupted: int
    """Runs that were broken off and go on from their checkpoints."""
    anew: int
    """Cells that have a run which won't count any more."""
    needed: tuple[tuple[str, int], ...]
    """Runs of other studies that have to be trained first, by study."""
    trials: int
    """Further trials that a search may begin later."""
    stopped: int
    """Runs that a person stopped, which stay so."""
    at_once: int
    seconds: float | None
    """For all of them, on this machine; None where no run of it has finished yet."""

    @property
    def runs(self) -> int:
        """How many runs are queued."""
        return self.missing + self.interrupted + self.anew

    def text(self) -> tuple[str, ...]:
        """The plan in sentences."""
        parts = [
            f"{self.missing} to begin" if self.missing else "",
            f"{self.interrupted} broken off, to go on" if self.interrupted else "",
            f"{self.anew} to train anew" if self.anew else "",
        ]
        lines = [f"{_runs(self.runs)}: {', '.join(part for part in parts if part)}; {self.at_once} at once."]
        lines += [f"First {_runs(count)} of {label}, which it needs." for label, count in self.needed]
        if self.trials:
            lines.append(f"Then up to {_runs(self.trials)} of further trials, as the search proposes them.")
        if self.seconds is not None:
            lines.append(f"By the runs that finished they take about {format.duration(self.seconds)}.")
        else:
            lines.append("How long they take isn't known: none has finished yet.")
        if self.anew:
            lines.append("The earlier runs stay in the store, but count no more.")
        return tuple(lines)


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"


def plan_run(root: Path, source: Source, redo: Sequence[str] = ()) -> RunPlan:
    """What running a study would train.

    Raises:
        HeatsError: a mistake in the study file, or a word of `redo` that means no cell.
    """
    from engine.launch import slots
    from engine.study.cells import find_cells, is_interrupted
    from engine.study.expand import expand
    from engine.study.needs import order_of
    from engine.study.run import plan_launch

    study = load(source)
    refuse_stored(source)
    store = a_store(root)
    free = max(1, len(slots.machine_slots()) - len(slots.claims()))
    at_once = min(study.spec.budget.max_parallel, free)
    if store is None:
        cells = [] if study.spec.search is not None else expand(study)
        return RunPlan(
            study.label, len(cells), 0, 0, (), _trials_left(study, ()) * len(study.spec.seeds), 0, at_once, None
        )
    states = find_cells(store, study)
    chosen = {cell.name for cell in plan_launch(states, redo)}
    missing = sum(state.standing == "missing" for state in states)
    anew = [state for state in states if state.cell.name in chosen and state.standing != "missing"]
    rest = [state for state in states if state.run is not None and state.summary is not None and state not in anew]
    stopped = [state for state in rest if state.standing == "stopped"]
    interrupted = [
        state for state in stopped if state.run and state.summary and is_interrupted(state.run, state.summary)
    ]
    needed = []
    for other in order_of(study):
        if other.label != study.label:
            count = sum(state.standing in ("missing", "waiting") for state in find_cells(store, other))
            needed += [(other.label, count)] if count else []
    trials = _trials_left(study, states) * len(study.spec.seeds)
    count = missing + len(anew) + len(interrupted)
    each = seconds_a_run(states)
    return RunPlan(
        study.label, missing, len(interrupted), len(anew), tuple(needed), trials, len(stopped) - len(interrupted),
        max(1, min(at_once, count + trials)), None if each is None else each * (count + trials) / max(1, at_once),
    )  # fmt: skip


def _trials_left(study: Study, states: Sequence[CellState]) -> int:
    """How many trials a search may still begin."""
    if study.spec.search is None:
        return 0
    from engine.study.expand import arms_of
    from engine.study.search import most_trials

    begun = len({state.cell.arm for state in states})
    return max(0, most_trials(study) * max(1, len(arms_of(study))) - begun)


def seconds_a_run(states: Sequence[CellState]) -> float | None:
    """What a run takes: the mean training time of some that finished, else by the pace of one that is live."""
    import numpy as np

    from engine.study.curves import history, training_seconds

    timed: dict[str, list[float]] = {}
    for state in states:
        if state.standing in ("finished", "suspect") and state.run is not None:
            found = timed.setdefault(state.cell.arm, [])
            if len(found) < _SAMPLED:
                told = history(state.run)
                found.append(float(training_seconds(told, np.asarray([told.last_step]))[0]))
    means = [sum(values) / len(values) for values in timed.values() if values]
    if means:
        return sum(means) / len(means)
    paces = [
        state.summary.total_steps / state.summary.rate
        for state in states
        if state.summary is not None and state.summary.rate and state.summary.total_steps
    ]
    return sum(paces) / len(paces) if paces else None


def refuse_stored(source: Source) -> None:
    """Refuse to run what only the store's copy of the file is left of.

    Raises:
        HeatsError: that is so.
    """
    if source.stored:
        raise HeatsError(
            f"the file of {source.name} is gone, so it can't be run",
            remedy=f"copy {source.file} to experiments/{source.name}.yaml",
        )


def run_study(root: Path, source: Source, redo: Sequence[str] = (), *, go_on: bool = False) -> str:
    """Queue what is missing of a study and start as much as may run; what to tell.

    Args:
        root: the store's folder.
        source: which study.
        redo: cells to train anew.
        go_on: also queue the runs that a person stopped: they go on from their checkpoints.

    Raises:
        HeatsError: a mistake in the study file.
        MachineError: the store can't be written.
    """
    from engine.study.run import begin
    from tui.cli.studies import held_up

    study = load(source)
    refuse_stored(source)
    words = ["heats", "study", "run", source.label, *(word for cell in redo for word in ("--redo", cell))]
    again = _queue_stopped(open_store(root), study) if go_on else 0
    begun = begin(root, study, redo=redo, command=tuple(words))
    queued = len(begun.queued) + again
    told = [f"{study.label}: {_runs(queued)} queued, {len(begun.started)} of them started"]
    if not queued and not begun.started:
        told = [f"{study.label}: nothing is missing"]
    return "\n".join([*told, *held_up(open_store(root), study.label)])


def _queue_stopped(store: Store, study: Study) -> int:
    """Queue the stopped runs of a study, to go on from their checkpoints; how many."""
    from engine.launch import slots
    from engine.store import queue
    from engine.study.cells import find_cells

    budget = study.spec.budget
    search = study.spec.search
    with queue.alone(store) as held:
        if not held:
            raise HeatsError("somebody else is at the queue", place=str(store.root), remedy="try again in a moment")
        stopped = [state.run for state in find_cells(store, study) if state.standing == "stopped" and state.run]
        for run in stopped:
            queue.enqueue(
                run, most=budget.max_parallel, stop_after=budget.stop_after_failures,
                prune_at_evaluations=search is not None and search.prune != "none", slots=slots.needed(run),
            )  # fmt: skip
    return len(stopped)


def stop_all(root: Path, source: Source, *, now: bool) -> str:
    """Stop what runs of a study and take the rest out of the queue; what to tell.

    Raises:
        HeatsError: a mistake in the study file, or the queue is busy for long.
        MachineError: the store can't be written.
    """
    from engine.study.run import stop_study

    study = load(source)
    dequeued, stopped = stop_study(open_store(root), study, now=now)
    how = "end now" if now else "save a checkpoint and end"
    return f"{study.label}: {_runs(len(stopped))} {how}, {len(dequeued)} taken out of the queue"


def write_report(root: Path, source: Source, folder: Path | None = None) -> tuple[Path, Path]:
    """Write a study's report; the HTML page and the Markdown file. Takes a second or more: pictures are drawn.

    Raises:
        HeatsError: a mistake in the study file, or there is no store yet.
        MachineError: the folder can't be written.
    """
    from engine.study.conclude import look
    from engine.study.report import write

    study = load(source)
    store = open_store(root)
    return write(store, look(store, study), folder)
