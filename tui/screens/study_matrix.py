"""A study's matrix, arms by seeds: what it shows, and what can be done with its cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text
from textual import on
from textual.widgets import Static

from tui.screens.opening import open_chart, open_compare, open_run
from tui.screens.pane import PaneScreen
from tui.screens.runs import update_text
from tui.study_questions import cell_line
from tui.study_view import StudyView, arms_and_seeds, cell_text, metrics_of, trials
from tui.widgets.grid import GridColumn, GridRow, GridView

if TYPE_CHECKING:
    from engine.study.cells import CellState

_COLOURS = {
    "live": "green", "finished": "blue", "suspect": "yellow", "failed": "red", "stopped": "yellow", "queued": "cyan",
}  # fmt: skip


class StudyMatrix(PaneScreen):
    """A screen with a study's `GridView`, and the line of the cell under its cursor."""

    def __init__(self) -> None:
        super().__init__()
        self.view: StudyView | None = None
        """What is known of the study; None until it was read."""
        self.marked: frozenset[tuple[str, str]] = frozenset()
        self.metric: str | None = None
        """Which one the matrix shows, where it isn't the study's own."""
        self.report: list[Text] | None = None
        """The report's lines, while they stand in the matrix's place."""

    def show_all(self) -> None:
        """Show anew what is known."""

    def is_read(self) -> bool:
        """Whether anything is known yet; says so where not."""
        if self.view is None:
            self.heats.tell("the study is still being read")
        return self.view is not None

    @property
    def shown_metric(self) -> str | None:
        """The metric of the matrix."""
        study = self.view.study if self.view is not None else None
        return self.metric or (study.metric if study is not None else None)

    def _show_matrix(self) -> None:
        view, grid = self.view, self.query_one(GridView)
        assert view is not None
        study, metric = view.study, self.shown_metric
        arms, seeds = arms_and_seeds(view.states)
        if study is not None and study.spec.search is not None:
            arms = [trial.name for trial in trials(view)]  # the best first
        places = {(state.cell.arm, state.cell.seed): state for state in view.states}
        which = study.spec.value if study is not None else "last"
        rows = []
        for arm in arms:
            cells = []
            for seed in seeds:
                state = places.get((arm, seed))
                text = cell_text(state, metric, which, ascii_only=self.heats.ascii_only) if state is not None else ""
                cells.append(Text(text, _COLOURS.get(state.standing, "") if state is not None else ""))
            rows.append(GridRow(arm, arm, tuple(cells)))
        columns = [GridColumn(str(seed), f"seed {seed}") for seed in seeds]
        grid.show(rows, columns, corner="trial" if study is not None and study.spec.search is not None else "arm")
        grid.display = (
            self.report is None and not view.problem and not (self.has_class("low") and self.has_class("second"))
        )
        most = max(3, (self.size.height - 4) * (45 if rows and len(rows) > 6 else 60) // 100)
        grid.styles.height = "1fr" if self.has_class("low") else min(len(rows) + 1, most)

    @property
    def cell(self) -> CellState | None:
        """The cell under the cursor."""
        chosen = self.query_one(GridView).selected
        return self._state(chosen) if chosen is not None else None

    def _state(self, place: tuple[str, str]) -> CellState | None:
        return self.view.state(place[0], int(place[1])) if self.view is not None else None

    def _show_cell(self) -> None:
        state = self.cell
        line = self.query_one("#cell", Static)
        update_text(line, "" if state is None else cell_line(state, self.shown_metric))
        line.display = self.report is None and bool(state)

    @on(GridView.Chosen)
    def _chosen(self, message: GridView.Chosen) -> None:
        message.stop()
        self._show_cell()

    @on(GridView.Opened)
    def action_open_cell(self) -> None:
        """The run of the cell under the cursor."""
        state = self.cell
        if state is None:
            return
        if state.run is None:
            self.heats.tell(f"{state.cell.name} has no run yet: r trains what is missing")
        else:
            open_run(self.heats, state.run.id)

    def action_mark_cell(self) -> None:
        """Mark or unmark the cell, and go on to the next."""
        grid = self.query_one(GridView)
        if grid.selected is not None:
            self.marked ^= {grid.selected}
            grid.set_marked(self.marked)

    def action_unmark_cells(self) -> None:
        """Unmark all."""
        self.marked = frozenset()
        self.query_one(GridView).set_marked(self.marked)

    def _chosen_runs(self) -> list[str]:
        """The runs of the marked cells; without marks, of all arms with the seed under the cursor."""
        states: Sequence[CellState | None]
        if self.marked:
            order = [(state.cell.arm, str(state.cell.seed)) for state in self.view.states] if self.view else []
            states = [self._state(place) for place in order if place in self.marked]
        else:
            here = self.cell
            states = [
                state for state in (self.view.states if self.view else ()) if here and state.cell.seed == here.cell.seed
            ]
        return [state.run.id for state in states if state is not None and state.run is not None]

    def action_overlay(self) -> None:
        """Curves of several cells in one chart."""
        runs = self._chosen_runs()
        if not runs and self.is_read():
            self.heats.tell("none of these cells has a run yet: r trains what is missing")
        elif runs:
            open_chart(self.heats, runs, self.shown_metric)

    def action_compare(self) -> None:
        """Several cells' runs side by side."""
        runs = self._chosen_runs()
        if not runs and self.is_read():
            self.heats.tell("none of these cells has a run yet: r trains what is missing")
        elif runs:
            open_compare(self.heats, runs)

    def action_next_metric(self, direction: int) -> None:
        """Another metric in the matrix."""
        names = metrics_of(self.view) if self.view is not None else []
        if not names:
            if self.is_read():
                self.heats.tell("nothing was logged yet")
            return
        at = names.index(self.shown_metric) if self.shown_metric in names else -direction
        self.metric = names[(at + direction) % len(names)]
        self.show_all()

    def _marked_cells(self) -> list[CellState]:
        found = [self._state(place) for place in sorted(self.marked)]
        return [state for state in found if state is not None]
