"""Which runs of a store are the cells of a study, and how each stands. Cells are known by their config alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from engine.config.resolve import config_hash, flatten
from engine.errors import HeatsError
from engine.store.index import list_runs
from engine.store.paths import RunPaths, Store
from engine.store.records import read_launch, read_run
from engine.store.requests import read_stop
from engine.store.status import State
from engine.store.stored_config import effective_config
from engine.store.summary import RunSummary
from engine.study.expand import Arm, Cell, arms_of, check, expand
from engine.study.needs import find_needed
from engine.study.search import parse_name
from engine.study.spec import Study

Standing = Literal["missing", "waiting", "queued", "live", "finished", "suspect", "pruned", "stopped", "failed"]
"""How a cell stands; `waiting` needs something that hasn't finished, `stopped` may be resumed."""

_STANDINGS: Mapping[State, Standing] = {
    State.QUEUED: "queued", State.STARTING: "live", State.RUNNING: "live", State.STOPPING: "live",
    State.STALLED: "live", State.SILENT: "live", State.FINISHED: "finished", State.STOPPED: "stopped",
    State.PREEMPTED: "stopped", State.FAILED: "failed", State.KILLED: "stopped", State.LOST: "stopped",
}  # fmt: skip


@dataclass(frozen=True)
class CellState:
    """A cell and the run that stands for it: one under way, else the newest finished one, else the newest of all."""

    cell: Cell
    standing: Standing
    run: RunPaths | None = None
    summary: RunSummary | None = None
    commit: str | None = None
    """Of the code that it trained with; several, joined by `+`, where its attempts differ in that."""
    older: tuple[str, ...] = ()
    """Ids of further runs of the same config, which don't count."""

    @property
    def done(self) -> bool:
        return self.standing in ("finished", "suspect", "pruned")

    def value(self, metric: str, which: str = "last") -> float | None:
        """The cell's figure, from its last evaluation or its best one; None while there is none."""
        if self.summary is None:
            return None
        if which == "best" and metric in self.summary.best:
            return self.summary.best[metric]
        return self.summary.metrics.get(metric)


def study_folder(store: Store, study: Study) -> Path:
    """Where a study's records lie in the store."""
    return store.root / ".studies" / study.label


def study_runs(store: Store, label: str) -> list[RunSummary]:
    """All runs that were made for a study, oldest first."""
    found = [summary for summary in list_runs(store) if summary.study == label]
    return sorted(found, key=lambda summary: summary.created)  # ids don't tell within a second


def find_cells(store: Store, study: Study, seen: dict[Path, list[CellState]] | None = None) -> list[CellState]:
    """Every cell of a study with its run, if there is one, in the order of `expand`.

    Stored configs are resolved anew, so that an option which came later, at its default, changes no cell.

    Args:
        store, study: of which store and study.
        seen: by file, the cells of other studies as they were found at the same moment; this one's are added.

    Raises:
        HeatsError: the study file has a mistake.
    """
    if study.spec.search is not None:
        check(study)  # before its first trial there is no cell in which a mistake could show
    runs = study_runs(store, study.label)
    arms = None if study.spec.search is None else begun_trials(store, study, runs)
    cells = expand(study, find_needed(store, study, seen), arms)
    by_hash: dict[str, list[RunSummary]] = {}
    for summary in runs:
        found = _hash(store.run(summary.id))
        if found is not None:
            by_hash.setdefault(found, []).append(summary)
    states = []
    for cell in cells:
        same = by_hash.get(cell.hash, [])
        if arms is not None:  # a search may try one setting twice
            same = [summary for summary in same if summary.arm == cell.arm]
        states.append(_state(store, cell, same))
    if seen is not None:
        seen[study.file] = states
    return states


def begun_trials(store: Store, study: Study, runs: Sequence[RunSummary]) -> list[Arm]:
    """The trials of a search that were begun, each with the values that its runs were given."""
    assert study.spec.search is not None
    bases = {arm.name: arm for arm in arms_of(study)} or {"": Arm("", {})}
    found: dict[str, Arm] = {}
    for summary in runs:
        parsed = parse_name(summary.arm or "")
        if parsed is None or parsed[0] not in bases or summary.arm in found:
            continue
        try:
            options = flatten(effective_config(store.run(summary.id)).model_dump())
        except HeatsError:
            continue
        values = {key: options[key] for key in study.spec.search.space if key in options}
        assert summary.arm is not None
        found[summary.arm] = Arm(summary.arm, {**bases[parsed[0]].values, **values})
    return [found[name] for name in sorted(found, key=lambda name: parse_name(name) or ("", 0))]


def _hash(run: RunPaths) -> str | None:
    try:
        return config_hash(effective_config(run))
    except HeatsError:  # damaged, or of a version whose options are gone: no cell of this study
        return None


def _state(store: Store, cell: Cell, runs: Sequence[RunSummary]) -> CellState:
    if not runs:
        return CellState(cell, "waiting" if cell.needs else "missing")
    chosen = runs[-1]
    if not (_STANDINGS[chosen.status] in ("queued", "live") or is_interrupted(store.run(chosen.id), chosen)):
        chosen = next((run for run in reversed(runs) if run.status is State.FINISHED), chosen)
    standing = _STANDINGS[chosen.status]
    if standing == "finished" and is_suspect(chosen):
        standing = "suspect"
    if standing == "stopped" and was_pruned(chosen):  # one that had finished before it could be ended counts
        standing = "pruned"
    run = store.run(chosen.id)
    older = tuple(item.id for item in runs if item is not chosen)
    return CellState(cell, standing, run, chosen, commit_of(run), older)


def commit_of(run: RunPaths) -> str | None:
    """The commit of the code that a run trained with; all of them, joined by `+`, where its attempts differ in that."""
    record = read_run(run.record)
    commits = [record.git_commit if record else None]
    for attempt in run.attempts():
        launch = read_launch(attempt.launch)
        if launch is not None:
            commits.append(launch.git_commit)
    return "+".join(dict.fromkeys(commit for commit in commits if commit)) or None


def is_interrupted(run: RunPaths, summary: RunSummary) -> bool:
    """Whether a run ended before its time although nobody asked it to, so that it should go on by itself."""
    if summary.status is State.PREEMPTED:
        return True
    if summary.status not in (State.KILLED, State.LOST):
        return False
    attempts, asked = run.attempts(), read_stop(run)  # whoever asks it to stop may have to kill it
    return not (attempts and asked is not None and asked.attempt == attempts[-1].number)


def is_suspect(summary: RunSummary) -> bool:
    """Whether the engine said that the run finished but learned nothing worth counting."""
    return summary.suspect is not None


def was_pruned(summary: RunSummary) -> bool:
    """Whether a search ended the run because it was worse than its rivals."""
    return "pruned" in summary.tags


def counts(states: Sequence[CellState]) -> dict[str, int]:
    """How many cells stand how; only what there is."""
    found: dict[str, int] = {}
    for state in states:
        found[state.standing] = found.get(state.standing, 0) + 1
    return found


@dataclass(frozen=True)
class Trouble:
    """Cells that went wrong in the same way."""

    standing: str
    reason: str
    """As `failed at step 7: the loss was NaN`."""
    cells: tuple[str, ...]


def troubles(states: Sequence[CellState]) -> list[Trouble]:
    """What kept cells from counting, each reason once."""
    found: dict[tuple[str, str], list[str]] = {}
    for state in states:
        if state.standing in ("failed", "suspect", "stopped") and state.summary is not None:
            reason = state.summary.suspect if state.standing == "suspect" else state.summary.reason
            said = reason or state.standing
            said = said if said.startswith(state.standing) else f"{state.standing}: {said}"
            found.setdefault((state.standing, said), []).append(state.cell.name)
    return [Trouble(standing, reason, tuple(cells)) for (standing, reason), cells in found.items()]


def to_json(state: CellState, metric: str | None, which: str = "last") -> dict[str, Any]:
    """The stable public form of a cell."""
    from engine.store.files import encode_number

    value = state.value(metric, which) if metric else None
    return {
        "arm": state.cell.arm,
        "seed": state.cell.seed,
        "standing": state.standing,
        "run": state.run.id if state.run else None,
        "status": str(state.summary.status) if state.summary else None,
        "reason": state.summary.reason if state.summary else None,
        "step": state.summary.step if state.summary else None,
        "total_steps": state.summary.total_steps if state.summary else state.cell.config.total_steps,
        "value": None if value is None else encode_number(value),
        "commit": state.commit,
        "needs": list(state.cell.needs),
    }
