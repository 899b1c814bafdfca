"""What the verbs of `heats study` share: finding the file, and the matrix of cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.errors import HeatsError
from tui import format as form
from tui.cli.table import Cell, Column, render
from tui.cli.terminal import cells, columns, glyphs, safe, uncoloured

if TYPE_CHECKING:
    from engine.store.paths import Store
    from engine.study.cells import CellState
    from engine.study.spec import Study

StudyName = Annotated[
    str, typer.Argument(metavar="STUDY", help="A study file, or the name of one in experiments/ (without .yaml).")
]
Preset = Annotated[
    str | None, typer.Option("--preset", metavar="NAME", help="A variant that the file offers, such as smoke.")
]

FOLDER = Path("experiments")
_ARM_WIDTH, _MEAN_WIDTH = 12, 8
MARKS = {
    "missing": ("·", "."), "waiting": ("…", "w"), "queued": ("◌", "q"), "live": ("●", "*"), "finished": ("✔", "+"),
    "suspect": ("!", "!"), "pruned": ("✂", "p"), "stopped": ("■", "#"), "failed": ("✘", "x"),
}  # fmt: skip
"""By standing, its glyph and the one for ASCII."""
_COLOURS = {
    "live": "green", "finished": "blue", "suspect": "yellow", "failed": "red", "stopped": "yellow", "queued": "cyan",
}  # fmt: skip


def folders() -> list[Path]:
    """Where studies are looked for: here, beside the packages in a clone of heats, and in other packages' folders."""
    import engine
    from engine.config.tasks import study_folders

    beside = Path(engine.__file__ or "").resolve().parent.parent / FOLDER
    return list(dict.fromkeys(folder for folder in (FOLDER.absolute(), beside, *study_folders()) if folder.is_dir()))


def study_files() -> list[Path]:
    """All study files there are, by name; one in the working folder hides one of the same name elsewhere."""
    found: dict[str, Path] = {}
    for folder in folders():
        for path in sorted(folder.glob("*.yaml")):
            found.setdefault(path.stem, path)
    return [found[name] for name in sorted(found)]


def study_path(name: str) -> Path:
    """The file that a word means.

    Raises:
        HeatsError: there is none, with the nearest name.
    """
    from engine.config.options import nearest

    given = Path(name)
    if given.suffix in (".yaml", ".yml") or given.is_file() or len(given.parts) > 1:
        beside = {path.name: path for path in study_files()}
        return given if given.exists() else beside.get(name, given)
    known = {path.stem: path for path in study_files()}
    if name in known:
        return known[name]
    near = nearest(name, list(known))
    remedy = f"did you mean `{near}`?" if near else f"there are: {', '.join(known) or 'none'}"
    raise HeatsError(f"there is no study `{name}` in {FOLDER}/", remedy=remedy)


def the_study(name: str, preset: str | None) -> Study:
    """The study that a word means. `NAME.PRESET`, as runs call it, is understood too.

    Raises:
        HeatsError: there is none, or its file has a mistake.
    """
    from engine.study.spec import read_study

    stem, dot, last = name.rpartition(".")
    if dot and last not in ("yaml", "yml") and "/" not in name and preset is None:
        known = {path.stem for path in study_files()}
        if name not in known and stem in known:
            name, preset = stem, last
    return read_study(study_path(name), preset)


def counts_text(counts: dict[str, int]) -> str:
    """As `3 finished, 1 live, 6 missing`."""
    return ", ".join(f"{count} {standing}" for standing, count in counts.items()) or "no cells"


def matrix(study: Study, states: Sequence[CellState]) -> str:
    """Arms by seeds: how each cell stands and, once it has one, its figure.

    On a terminal that is too narrow for that: a mark a cell, and each arm's mean.
    """
    seeds = list(dict.fromkeys(state.cell.seed for state in states))
    arms = list(dict.fromkeys(state.cell.arm for state in states))
    by_place = {(state.cell.arm, state.cell.seed): state for state in states}
    table = [Column("arm", flexible=True), *(Column(f"seed {seed}", right=True) for seed in seeds)]
    rows = [
        [Cell(safe(arm)), *(_cell(study, by_place.get((arm, seed))) for seed in seeds)] for arm in arms
    ]  # fmt: skip
    limit = columns()
    full = render(table, rows)
    if limit is None or all(cells(uncoloured(line)) <= limit for line in full.splitlines()):
        return full
    at_once = max(10, (limit - _ARM_WIDTH - _MEAN_WIDTH - 4) * 10 // 11 // 10 * 10)
    blocks = [_marks(study, by_place, arms, seeds[start : start + at_once]) for start in range(0, len(seeds), at_once)]
    return "\n".join(blocks)


def _marks(
    study: Study, by_place: Mapping[tuple[str, int], CellState], arms: Sequence[str], seeds: Sequence[int]
) -> str:
    """Some of the seeds, a mark a cell, in tens, with the mean of those that are done."""
    place = 0 if glyphs() else 1
    rows = []
    for arm in arms:
        found = [by_place.get((arm, seed)) for seed in seeds]
        marks = [MARKS[state.standing][place] if state is not None else " " for state in found]
        tens = " ".join("".join(marks[start : start + 10]) for start in range(0, len(marks), 10))
        figures = [
            value
            for state in found
            if state is not None and state.done and study.metric
            and (value := state.value(study.metric, study.spec.value)) is not None
        ]  # fmt: skip
        mean = form.number(sum(figures) / len(figures)) if figures else ""
        rows.append([Cell(safe(arm)), Cell(mean), Cell(tens)])
    title = f"seeds {seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else f"seed {seeds[0]}"
    return render([Column("arm", flexible=True), Column("mean", right=True), Column(title)], rows)


def _cell(study: Study, state: CellState | None) -> Cell:
    if state is None:
        return Cell("")
    mark = MARKS[state.standing][0 if glyphs() else 1]
    value = state.value(study.metric, study.spec.value) if study.metric else None
    if state.standing == "live" and state.summary is not None and state.summary.total_steps:
        text = f"{100 * state.summary.step // state.summary.total_steps}%"
    else:
        text = form.number(value) if value is not None and state.done else ""
    return Cell(f"{text} {mark}".strip(), _COLOURS.get(state.standing))


def legend(states: Sequence[CellState]) -> str:
    """What the marks mean; only those that are shown."""
    shown = dict.fromkeys(state.standing for state in states)
    return "  ".join(f"{MARKS[standing][0 if glyphs() else 1]} {standing}" for standing in MARKS if standing in shown)


def held_up(store: Store, label: str) -> list[str]:
    """Why what waits of a study starts only once a person does something; nothing where it goes on by itself."""
    from engine.launch import queue
    from engine.study.begun import why_halted

    found = [item.why for item in queue.waiting(store) if item.study == label and item.for_person]
    return list(dict.fromkeys([*found, *filter(None, [why_halted(store, label)])]))


def advance_quietly(store: Store) -> None:
    """Whoever looks also brings the queue on; what goes wrong there is no business of a look."""
    import contextlib

    from engine.store.queue import has_queue
    from engine.study.run import advance

    if has_queue(store):
        with contextlib.suppress(HeatsError):
            advance(store)
