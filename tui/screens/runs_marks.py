"""Marks and pins of the table of runs, both kept in the view state. Acts are about what is marked."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from textual import on

from tui.run_groups import Entry, Group
from tui.screens.many_runs import ManyRunsScreen
from tui.widgets.run_table import RunTable

if TYPE_CHECKING:
    from engine.store.summary import RunSummary


class RunsMarksScreen(ManyRunsScreen):
    """A table of runs of which some are marked or pinned."""

    table: RunTable

    @abstractmethod
    def rearrange(self, select: str | None = None, *, runs: tuple[RunSummary, ...] | None = None) -> None:
        """Show the runs anew: `RunsOrderScreen` says how."""

    @abstractmethod
    def rearranged(self) -> None:
        """Other rows are shown, or in another order, or with other marks."""

    def targets(self) -> list[RunSummary]:
        marked = set(self.heats.state.marked)
        if marked:
            return [run for run in reversed(self.heats.tracker.runs or ()) if run.id in marked]
        group, run = self.table.selected_group, self.table.selected
        if group is not None:
            inside = set(group.run_ids)
            return [found for found in self.heats.tracker.runs or () if found.id in inside]
        return [run] if run is not None else []

    def hidden(self, runs: Sequence[RunSummary]) -> int:
        shown = {run.id for run in self.table.rows}
        return sum(run.id not in shown for run in runs)

    def _mark(self, marked: Iterable[str]) -> None:
        """Marks in the order of the runs, so that the same marks are the same state."""
        self.heats.change_state(marked=tuple(sorted(set(marked))))
        self.table.set_marks(self.heats.state.marked, self.heats.state.pinned)
        self.rearranged()

    def action_mark(self) -> None:
        """Mark or unmark, and go on."""
        self._flip(self.table.selected_line)
        self.table.move_by(1)

    def _flip(self, line: Entry | None) -> None:
        marked = set(self.heats.state.marked)
        ids = set(line.run_ids) if isinstance(line, Group) else {line.id} if line is not None else set()
        self._mark(marked - ids if ids <= marked else marked | ids)

    @on(RunTable.Marked)
    def _mark_clicked(self, message: RunTable.Marked) -> None:
        message.stop()
        self._flip(self.table.selected_line)

    def _shown_ids(self) -> set[str]:
        inside = {run_id for line in self.table.lines if isinstance(line, Group) for run_id in line.run_ids}
        return inside | {run.id for run in self.table.rows}

    def action_mark_all(self) -> None:
        """Mark whatever the filter lets through."""
        self._mark({*self.heats.state.marked, *self._shown_ids()})

    def action_mark_none(self) -> None:
        """No marks."""
        self._mark(())

    def action_mark_invert(self) -> None:
        """The marks of what is shown turned round; others stay."""
        self._mark(set(self.heats.state.marked) ^ self._shown_ids())

    def action_pin(self) -> None:
        """Keep a run on top, or let it go."""
        run = self.table.selected
        if run is None:
            return
        pinned = self.heats.state.pinned
        fresh = tuple(p for p in pinned if p != run.id) if run.id in pinned else (*pinned, run.id)
        self.heats.change_state(pinned=fresh)
        self.rearrange()

    def _forget_gone(self, runs: Sequence[RunSummary]) -> None:
        """Marks of runs that are gone go with them: what can't be seen must not be acted on."""
        state = self.heats.state
        if self.heats.tracker.runs is None or self.heats.tracker.problem or not (state.marked or state.pinned):
            return
        there = {run.id for run in runs}
        self.heats.change_state(
            marked=tuple(run_id for run_id in state.marked if run_id in there),
            pinned=tuple(run_id for run_id in state.pinned if run_id in there),
        )
