"""Studies as the app shows them: which there are, how their cells stand, and what they say so far.

`read_view` reads in a thread; the rest is pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import HeatsError
from engine.store.files import read_json
from engine.store.paths import Store, open_store

if TYPE_CHECKING:
    from engine.store.summary import RunSummary
    from engine.study.cells import CellState
    from engine.study.conclude import Conclusion
    from engine.study.spec import Study
    from engine.study.verdict import Comparison

OPEN = ("missing", "waiting", "queued", "live", "stopped")
"""Standings of cells that are still to be trained, or trained further."""


@dataclass(frozen=True)
class Source:
    """Where a study comes from: its file, and which of its presets."""

    name: str
    file: Path
    preset: str | None = None
    stored: bool = False
    """Whether only the store's copy of the file is left: it can be looked at, not run."""

    @property
    def label(self) -> str:
        """What its runs call it."""
        return f"{self.name}.{self.preset}" if self.preset else self.name


@dataclass(frozen=True)
class StudyView:
    """A study at one moment, or the sentence that says why it can't be shown."""

    source: Source
    study: Study | None = None
    states: tuple[CellState, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    held: tuple[str, ...] = ()
    """Why what waits of it starts only once a person does something."""
    problem: str = ""
    whole: bool = True
    """Whether its cells were looked at too; a first look takes only the file in."""
    runs: frozenset[str] = frozenset()
    """The ids of the study's runs that the reader knew of when this was read."""

    def state(self, arm: str, seed: int) -> CellState | None:
        """One cell."""
        return next((item for item in self.states if item.cell.arm == arm and item.cell.seed == seed), None)

    def counts(self) -> dict[str, int]:
        """How many cells stand how."""
        from engine.study.cells import counts

        return counts(self.states)


def find_sources(root: Path, labels: Iterable[str] = ()) -> list[Source]:
    """All studies: those with a file, each followed by its presets that have runs, then those that only the store has.

    Args:
        root: the store's folder.
        labels: what the runs of the store call their studies.
    """
    from tui.cli.studies import study_files

    noted = _noted(root)
    wanted = set(labels) | set(noted)
    found: list[Source] = []
    for path in study_files():
        found.append(Source(path.stem, path))
        presets = sorted(label.removeprefix(f"{path.stem}.") for label in wanted if label.startswith(f"{path.stem}."))
        found += [Source(path.stem, path, preset) for preset in presets]
    known = {source.label for source in found}
    for label in sorted(wanted - known):
        found.append(noted.get(label) or Source(label, root / ".studies" / label / "study.yaml", stored=True))
    return found


def first_look(root: Path, labels: Iterable[str] = ()) -> list[StudyView]:
    """What all study files say, before anybody looks at their cells, which takes longer.

    Args:
        root: the store's folder.
        labels: what the runs of the store call their studies.
    """
    found = []
    for source in find_sources(root, labels):
        try:
            found.append(StudyView(source, load(source), whole=False))
        except HeatsError as error:
            found.append(StudyView(source, problem=str(error)))
    return found


def size(view: StudyView) -> int:
    """About how many cells a study has, by its file alone."""
    if view.study is None:
        return 0
    spec = view.study.spec
    arms = math.prod([max(1, len(spec.arms)), *(len(values) for values in spec.factors.values())])
    trials = spec.search.trials if spec.search is not None else 1
    return arms * trials * len(spec.seeds) * max([1, *(len(values) for values in spec.zip.values())])


def find_source(root: Path, label: str) -> Source:
    """The source of the study that runs call so."""
    return next(source for source in find_sources(root, [label]) if source.label == label)


def _noted(root: Path) -> dict[str, Source]:
    """The studies of which the store has a folder, by label."""
    found = {}
    for folder in sorted((root / ".studies").glob("*/")):
        note = read_json(folder / "pending.json") or {}
        file, preset = note.get("file"), note.get("preset")
        if isinstance(file, str) and Path(file).is_file():
            given = preset if isinstance(preset, str) else None
            found[folder.name] = Source(Path(file).stem, Path(file), given)
        elif (folder / "study.yaml").is_file():
            name, preset = folder.name, None
            stem, dot, last = folder.name.rpartition(".")
            if dot and last in _presets(folder / "study.yaml"):
                name, preset = stem, last
            found[folder.name] = Source(name, folder / "study.yaml", preset, stored=True)
    return found


def _presets(path: Path) -> list[str]:
    from engine.config.yaml_file import read_mapping

    try:
        presets = read_mapping(path, "study file")[0].get("presets")
    except HeatsError:
        return []
    return [str(name) for name in presets] if isinstance(presets, dict) else []


def load(source: Source) -> Study:
    """The study of a source.

    Raises:
        HeatsError: its file is gone, or has a mistake.
    """
    from engine.study.spec import read_study

    if source.stored and not source.file.is_file():
        raise HeatsError(
            f"the store has runs of a study `{source.label}`, but its file isn't in experiments/",
            remedy="open heats where its file lies",
        )
    study = read_study(source.file, source.preset)
    return replace(study, name=source.name) if source.stored else study


def a_store(root: Path) -> Store | None:
    """The store, if there is one yet."""
    return open_store(root) if root.is_dir() else None


def read_view(root: Path, source: Source, known: frozenset[str] = frozenset()) -> StudyView:
    """Read a study's cells and judge them. In a thread: hashing configs takes a while, and scipy is loaded.

    A mistake in the file is the view's `problem`.

    Args:
        root: the store's folder.
        source: which study.
        known: the ids of its runs that the reader knows of; kept in the view, to tell when there are others.
    """
    from engine.study.expand import expand

    try:
        study = load(source)
        store = a_store(root)
        if store is None:
            from engine.study.cells import CellState

            cells = expand(study, arms=[] if study.spec.search is not None else None)
            states = [CellState(cell, "waiting" if cell.needs else "missing") for cell in cells]
            return StudyView(source, study, tuple(states), runs=known)
        found = conclude(store, study)
        held = _held(store, study)
        return StudyView(source, study, found.states, found.comparisons, held, runs=known)
    except HeatsError as error:
        return StudyView(source, problem=str(error), runs=known)


def conclude(store: Store, study: Study) -> Conclusion:
    """The study's verdicts so far, those of an exploring one empty."""
    from engine.study.conclude import look

    return look(store, study)


def _held(store: Store, study: Study) -> tuple[str, ...]:
    from tui.cli.studies import held_up

    return tuple(held_up(store, study.label))


def with_news(view: StudyView, runs: Mapping[str, RunSummary]) -> StudyView | None:
    """The view with the newest figures of its live runs; None where it has to be read anew.

    Args:
        view: as read last.
        runs: by id, the newest summaries of the study's runs.
    """
    states = []
    changed = False
    for state in view.states:
        old = state.summary
        if old is None:
            states.append(state)
            continue
        new = runs.get(old.id)
        if new is None or new.status is not old.status or (new is not old and not new.status.is_live and new != old):
            return None
        changed |= new is not old
        states.append(replace(state, summary=new) if new is not old else state)
    return replace(view, states=tuple(states)) if changed else view


# What the matrix says


def arms_and_seeds(states: Sequence[CellState]) -> tuple[list[str], list[int]]:
    """The rows and columns of the matrix."""
    return list(dict.fromkeys(state.cell.arm for state in states)), list(
        dict.fromkeys(state.cell.seed for state in states)
    )


def cell_text(state: CellState, metric: str | None, which: str, *, ascii_only: bool = False) -> str:
    """One cell: its figure, how far it is while it trains, and its mark."""
    from tui import format
    from tui.cli.studies import MARKS

    mark = MARKS[state.standing][1 if ascii_only else 0]
    value = state.value(metric, which) if metric else None
    figure = format.number(value) if value is not None else ""
    if state.standing == "live" and state.summary is not None and state.summary.total_steps:
        figure = f"{figure} {100 * state.summary.step // state.summary.total_steps}%"
    return f"{figure} {mark}".strip()


def metrics_of(view: StudyView) -> list[str]:
    """What the matrix can show: the study's own metric first."""
    found = dict.fromkeys([view.study.metric] if view.study is not None and view.study.metric else [])
    for state in view.states:
        found |= dict.fromkeys(sorted(state.summary.metrics) if state.summary is not None else [])
    return [name for name in found if name]


def summary_line(view: StudyView) -> str:
    """The verdict so far in a few words."""
    if view.problem or view.study is None:
        return ""
    if view.study.spec.search is not None:
        best = best_trial(trials(view))
        return f"best so far {best.name}" if best is not None else "nothing tried yet"
    words = [str(item.word) for item in view.comparisons]
    if not words:
        return "looks only"
    if not any(state.done for state in view.states):
        return "-"
    return ", ".join(f"{words.count(word)} {word}" if len(words) > 1 else word for word in dict.fromkeys(words))


@dataclass(frozen=True)
class TrialLine:
    """One trial of a search: what was tried, and the mean over its seeds."""

    name: str
    values: tuple[tuple[str, object], ...]
    result: float | None
    standing: str


def trials(view: StudyView) -> list[TrialLine]:
    """The trials of a search, the best first; those without a result yet come last."""
    from engine.config.resolve import flatten

    study = view.study
    if study is None or study.spec.search is None:
        return []
    grouped: dict[str, list[CellState]] = {}
    for state in view.states:
        grouped.setdefault(state.cell.arm, []).append(state)
    found = []
    for name, group in grouped.items():
        options = flatten(group[0].cell.config.model_dump())
        values = [state.value(study.metric, study.spec.value) if study.metric else None for state in group]
        finite = [value for value in values if value is not None and math.isfinite(value)]
        whole = len(finite) == len(group) and all(state.done for state in group)
        standings = {state.standing for state in group}
        standing = next((word for word in ("live", "queued", "failed", "stopped") if word in standings), "")
        found.append(
            TrialLine(
                name,
                tuple((key, options[key]) for key in study.spec.search.space if key in options),
                sum(finite) / len(finite) if whole else None,
                standing or group[0].standing,
            )
        )
    sign = -1.0 if study.mode == "max" else 1.0
    return sorted(found, key=lambda trial: (trial.result is None, sign * (trial.result or 0.0)))


def best_trial(found: Sequence[TrialLine]) -> TrialLine | None:
    """The best that has a result and wasn't ended for doing badly."""
    return next((trial for trial in found if trial.result is not None and trial.standing != "pruned"), None)
