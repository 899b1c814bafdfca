"""How the runs are shown: filter, order, columns and groups, all kept in the view state."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from textual import on

from tui import run_groups
from tui.run_acts import many
from tui.run_groups import Entry, Group
from tui.screens.columns import ColumnsScreen
from tui.screens.pick import Item, PickScreen
from tui.screens.prompt import PromptScreen
from tui.screens.runs_marks import RunsMarksScreen
from tui.widgets.run_columns import (
    BY_ID,
    Column,
    blank_columns,
    choose_columns,
    extra_column,
    filter_runs,
    sort_runs,
)
from tui.widgets.run_table import RunTable

if TYPE_CHECKING:
    from engine.store.summary import RunSummary
    from tui.messages import Facts
    from tui.widgets.filter_bar import FilterBar

_ALONE, _KEEP, _DROP = "no groups", "keep:", "drop:"


class RunsOrderScreen(RunsMarksScreen):
    """The table of runs and what decides what it shows."""

    bar: FilterBar

    def __init__(self) -> None:
        super().__init__()
        self._blank: frozenset[str] = frozenset()
        self._listed: tuple[RunSummary, ...] | None = None

    def _facts(self) -> Facts:
        return self.heats.tracker.facts

    # What is shown

    def rearrange(self, select: str | None = None, *, runs: tuple[RunSummary, ...] | None = None) -> None:
        """Filter, sort and group the runs, and show them.

        Args:
            select: the run (or the group) to select, where it is shown.
            runs: these instead of all runs of the store.
        """
        from engine.store.filter import FilterError

        app, table, state = self.heats, self.table, self.heats.state
        runs = app.tracker.runs or () if runs is None else runs
        if runs is not self._listed:
            self._listed, self._blank = runs, blank_columns(runs)
            self._forget_gone(runs)
        self._want_facts()
        table.set_columns(choose_columns(state.columns, self._facts, self._blank))
        table.set_marks(self.heats.state.marked, state.pinned)
        try:
            rows: Sequence[Entry] = self._rows(runs)
        except FilterError as error:
            self.bar.show_mistake(error)
            rows = table.lines
        first = not table.lines and table.selected_line is None
        if not rows:
            table.empty_text = self.empty_text()
        table.set_rows(rows, select or (state.selected if first else None))
        self.rearranged()

    def _rows(self, runs: Iterable[RunSummary]) -> list[Entry]:
        state = self.heats.state
        found = filter_runs(self.in_sight(runs), self.bar.chosen, self._facts())
        ordered = sort_runs(found, state.sort, reverse=state.reverse, column=self._column(state.sort))
        return run_groups.order(
            ordered, state.group, self._facts(), pinned=state.pinned, folded=state.folded, opened=state.opened
        )

    def in_sight(self, runs: Iterable[RunSummary]) -> list[RunSummary]:
        """All runs but the archived ones, unless these are asked for."""
        if self.heats.state.show_archived or "has:archived" in self.bar.chosen.text:
            return list(runs)
        return [run for run in runs if not run.archived]

    def _column(self, key: str) -> Column | None:
        return BY_ID.get(key) or (extra_column(key, self._facts) if key else None)

    def _want_facts(self) -> None:
        """What filter, order, groups and columns ask of the runs beyond what lists show."""
        state, chosen = self.heats.state, self.bar.chosen
        by_option = bool(state.group) and state.group not in ("study", "arm", "task")
        extra = any(name not in BY_ID for name in (*state.columns, state.sort))
        self.heats.tracker.want_facts(
            options=chosen.needs_config or by_option or extra, checkpoints=chosen.needs_checkpoints
        )

    def empty_text(self) -> tuple[str, ...]:
        """What stands where no runs do: why, and what to do."""
        app = self.heats
        if app.tracker.problem:
            return ("this store can't be read:", app.tracker.problem)
        if app.tracker.runs and app.state.filter:
            return (f"none of {len(app.tracker.runs)} runs fits {app.state.filter!r}", "", "Esc shows all again")
        if app.tracker.runs:
            return (f"all {many(len(app.tracker.runs))} are archived", "", "H shows them")
        how = "Press n to launch the first one," if not app.read_only else "Launch one from a shell:"
        other = ("or from a shell:",) if not app.read_only else ()
        return (
            f"No runs yet in {app.store_root}", "", how, *other, "  heats launch multiplication", "",
            "It goes on when you close this app or the connection.",
        )  # fmt: skip

    def select(self, run_id: str) -> None:
        """Go to a run, whatever hides it now."""
        run = self.heats.tracker.find(run_id)
        if run is not None and run.archived and not self.heats.state.show_archived:
            self.heats.change_state(show_archived=True)
        if run is not None and not self._fits(run):
            self.action_clear_filter()
        self.rearrange(run_id)
        group = run_groups.group_of(self.table.lines, run_id)
        if group is not None and group.folded:
            self._turn(group)
            self.rearrange(run_id)

    def _fits(self, run: RunSummary) -> bool:
        from engine.store.filter import FilterError

        try:
            return bool(filter_runs([run], self.bar.chosen, self._facts()))
        except FilterError:
            return False

    # Filter

    def action_filter(self) -> None:
        """Type a filter."""
        self.bar.open()

    def filter_changed(self, text: str) -> None:
        """Another filter is in the field."""
        if text != self.heats.state.filter:
            self.heats.change_state(filter=text)
            self.rearrange()

    def filter_done(self) -> None:
        """Back to the table."""
        self.table.focus()

    def action_clear_filter(self) -> None:
        """Show all runs."""
        self.bar.set_text("")
        self.table.focus()
        self.rearrange()

    def action_saved_filters(self) -> None:
        """Use, keep or drop a filter."""
        saved = [entry.partition("=")[::2] for entry in self.heats.state.filters]
        now = self.heats.state.filter
        items = [Item(text, name, text) for name, text in saved]
        items += [Item(_KEEP, "keep the filter in force under a name", now)] if now else []
        items += [Item(f"{_DROP}{name}", f"delete {name}", text) for name, text in saved]
        if not items:
            self.heats.tell("no filter is saved: type one with / and come back to keep it")
            return

        def picked(choice: str | None) -> None:
            if choice is None:
                return
            if choice == _KEEP:
                self._keep_filter(now)
            elif choice.startswith(_DROP):
                name = choice.removeprefix(_DROP)
                left = tuple(e for e in self.heats.state.filters if e.partition("=")[0] != name)
                self.heats.change_state(filters=left)
                self.heats.tell(f"the filter {name!r} is no longer kept")
            else:
                self.bar.set_text(choice)
                self.rearrange()

        self.heats.push_screen(PickScreen("Saved filters", items), picked)

    def _keep_filter(self, text: str) -> None:
        def check(name: str) -> str | None:
            return None if name.strip() and "=" not in name else "a name without `=`"

        def answered(name: str | None) -> None:
            if name is not None:
                others = [e for e in self.heats.state.filters if e.partition("=")[0] != name.strip()]
                self.heats.change_state(filters=(*others, f"{name.strip()}={text}"))
                self.heats.tell(f"kept as {name.strip()!r}: F uses it")

        self.heats.push_screen(PromptScreen("Name of the filter", (text,), check=check), answered)

    # Order and columns

    def action_sort_next(self) -> None:
        """Sort by the next column that is on the screen."""
        order = [column for column, _ in self.table.columns if column.sort is not None]
        names = [column.id for column in order]
        at = names.index(self.heats.state.sort) if self.heats.state.sort in names else -1
        chosen = order[(at + 1) % len(order)]
        self._sort(chosen.id, chosen.biggest_first)

    def action_sort_reverse(self) -> None:
        """The other way round."""
        self._sort(self.heats.state.sort, not self.heats.state.reverse)

    @on(RunTable.HeadClicked)
    def _head_clicked(self, message: RunTable.HeadClicked) -> None:
        message.stop()
        self.sort_by(message.key or "age")

    def sort_by(self, name: str) -> None:
        """Sort by a column; by the same again, the other way round."""
        column = self._column(name)
        if column is not None and column.sort is not None:
            again = name == self.heats.state.sort
            self._sort(name, not self.heats.state.reverse if again else column.biggest_first)

    def _sort(self, key: str, reverse: bool) -> None:
        self.heats.change_state(sort=key, reverse=reverse)
        self.table.set_sort(key, reverse)
        self.rearrange()

    def action_choose_columns(self) -> None:
        """Turn columns on and off."""

        def change(chosen: tuple[str, ...]) -> None:
            self.heats.change_state(columns=chosen)
            self.rearrange()

        def show(names: list[str]) -> None:
            if self.is_current:
                columns = self.heats.state.columns
                ascii_only = self.heats.ascii_only
                self.heats.push_screen(ColumnsScreen(columns, names, change, self.sort_by, ascii_only=ascii_only))

        self._with_names(show)

    # Groups

    def action_group_by(self) -> None:
        """Choose what to group by."""

        def picked(choice: str | None, names: Sequence[str]) -> None:
            known = (_ALONE, *run_groups.WAYS, *names)
            if choice is not None and choice not in known and not any(name.endswith(f".{choice}") for name in names):
                self.heats.tell(f"no run on the screen has an option or a metric {choice!r}", failed=True)
            elif choice is not None:
                self.heats.change_state(group="" if choice == _ALONE else choice, folded=(), opened=())
                self.rearrange()

        def show(names: list[str]) -> None:
            if self.is_current:
                items = [Item(_ALONE, _ALONE, "every run for itself")]
                items += [Item(name, name, text) for name, text in run_groups.WAYS.items()]
                items += [Item(name, name) for name in names]
                picked_now = self.heats.state.group or _ALONE
                self.heats.push_screen(
                    PickScreen("Group runs by", items, free=True, picked=picked_now), partial(picked, names=names)
                )

        self._with_names(show)

    def _with_names(self, show: Callable[[list[str]], None]) -> None:
        """Read which options and metrics the runs on the screen have, and go on with their names."""
        tracker = self.heats.tracker
        near = list(self.table.rows[:200]) or list((tracker.runs or ())[-200:])
        metrics = {name for run in near for name in run.metrics}

        def read() -> list[str]:
            from engine.store.index import config_values
            from engine.store.paths import open_store

            configs = config_values(open_store(self.heats.store_root), near)
            return sorted({key for config in configs.values() for key in config}) + sorted(metrics)

        self.ask("names", "reads the options of runs", read, show)

    def toggle_group(self, group: Group) -> None:
        """Fold a group, or open it."""
        self._turn(group)
        self.rearrange(group.key)

    def _turn(self, group: Group) -> None:
        state = self.heats.state
        folded = tuple(key for key in state.folded if key != group.key)
        opened = tuple(key for key in state.opened if key != group.key)
        if group.folded:
            opened += (group.key,)
        else:
            folded += (group.key,)
        self.heats.change_state(folded=folded, opened=opened)

    def action_fold_all(self) -> None:
        """Fold every group, or open every one where all are folded."""
        groups = [line for line in self.table.lines if isinstance(line, Group)]
        if not groups:
            self.heats.tell("there are no groups: b makes some")
            return
        keys = tuple(group.key for group in groups)
        run = self.table.selected
        inside = run_groups.group_of(groups, run.id) if run is not None else None
        if all(group.folded for group in groups):
            self.heats.change_state(folded=(), opened=keys)
        else:
            self.heats.change_state(folded=keys, opened=())
        self.rearrange(inside.key if inside is not None else None)

    def panned(self, direction: int) -> None:
        """Left folds, right opens."""
        group, run = self.table.selected_group, self.table.selected
        if group is None and run is not None and direction < 0:
            group = run_groups.group_of(self.table.lines, run.id)
        if group is None:
            super().panned(direction)
        elif group.folded == (direction > 0):
            self.toggle_group(group)

    def action_show_archived(self) -> None:
        """Archived runs, shown or not."""
        self.heats.change_state(show_archived=not self.heats.state.show_archived)
        self.rearrange()

    def tick(self) -> None:
        """Ages go on even when nothing is written."""
        self.table.age(time.time())
