"""The tab of the run's checkpoints: what each holds, whether it can be trusted, and what can be done with it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from textual.app import ComposeResult
from textual.widget import Widget
from textual.widgets import Static

from engine.store.checkpoint_report import CheckpointReport, RunReport
from engine.store.checkpoints import Checkpoint
from engine.store.summary import RunSummary
from tui.checkpoint_acts import CheckpointActs
from tui.checkpoint_rows import (
    checkpoint_rows,
    checkpoint_sentence,
    checkpoint_titles,
    find_checkpoint,
    report_sentence,
)
from tui.copying import Copyable, fixed
from tui.screens.run_tabs.tab import RunTab
from tui.screens.runs import update_text
from tui.widgets.run_columns import short_name
from tui.widgets.small_table import SmallTable

_LOOK_SECONDS = 4.0


class CheckpointsTab(RunTab):
    """The run's checkpoints."""

    NAME = "checkpoints"

    def __init__(self) -> None:
        super().__init__()
        self.report: RunReport | None = None
        self.deep = False
        """Whether every byte was read for the report."""
        self._run: RunSummary | None = None
        self._looked = 0.0
        self.acts: CheckpointActs | None = None

    def compose(self) -> ComposeResult:
        yield Static(id="checkpoints-head", classes="head", markup=False)
        yield SmallTable(checkpoint_titles(80), id="checkpoints-table")
        yield Static(id="checkpoints-foot", classes="foot", markup=False)

    def on_mount(self) -> None:
        self.acts = CheckpointActs(self.run_screen, self._look)

    @property
    def table(self) -> SmallTable:
        """The rows."""
        return self.query_one("#checkpoints-table", SmallTable)

    def panes(self) -> list[Widget]:
        return [self.table]

    def update_run(self, run: RunSummary | None) -> None:
        before, self._run = self._run, run
        if run is not before and (self.report is None or run is None or not run.status.is_live):
            self._look()

    def on_resize(self) -> None:
        self._show()

    def tick(self) -> None:
        # A live run changes with each step, its checkpoints seldom.
        if self._run is not None and self._run.status.is_live and time.monotonic() - self._looked > _LOOK_SECONDS:
            self._look()
        self._show()

    def _look(self) -> None:
        if self.acts is not None:
            self._looked = time.monotonic()
            self.acts.look([self.run_paths], self._taken)

    def _taken(self, reports: tuple[RunReport, ...]) -> None:
        fresh = reports[0]
        if self.report is not None and self.deep and _places(fresh) == _places(self.report):
            return  # nothing was saved or deleted since every byte was read: that word is worth more
        self.report, self.deep = fresh, False
        self._show()

    def _deep_taken(self, reports: tuple[RunReport, ...]) -> None:
        self.report, self.deep = reports[0], True
        self._show()

    def _show(self) -> None:
        report, hashing = self.report, self.acts.hashing if self.acts is not None else None
        head = self.query_one("#checkpoints-head", Static)
        if hashing is not None:
            update_text(head, f"{hashing.text(bar=20, ascii_only=self.ascii_only)}; Esc ends it")
        elif report is None:
            update_text(head, "looking at the checkpoints")
        else:
            update_text(head, report_sentence([report], deep=self.deep))
        if report is not None:
            titles = checkpoint_titles(self.size.width)
            self.table.show(checkpoint_rows(report, titles, time.time(), deep=self.deep), titles)
        self._show_one()

    def on_small_table_chosen(self, message: SmallTable.Chosen) -> None:
        """Say what is known of the one under the cursor."""
        message.stop()
        self._show_one()

    def on_small_table_opened(self, message: SmallTable.Opened) -> None:
        """A click on the row of the cursor."""
        message.stop()
        self.do_open()

    def _show_one(self) -> None:
        _, item = self._selected()
        foot = self.query_one("#checkpoints-foot", Static)
        update_text(foot, checkpoint_sentence(item, deep=self.deep) if item is not None else "", layout=True)

    def _selected(self) -> tuple[RunReport, CheckpointReport] | tuple[None, None]:
        if self.report is None:
            return None, None
        return find_checkpoint([self.report], self.table.selected)

    @property
    def _run_name(self) -> str:
        return short_name(self._run) if self._run is not None else self.run_paths.id

    # Acts

    def _with_selected(self, act: Callable[[Checkpoint], None]) -> None:
        _, item = self._selected()
        if item is None:
            self.heats.tell("there is no checkpoint yet" if self.report is not None else "still looking at them")
        else:
            act(item.checkpoint)

    def do_open(self) -> None:
        """Resume from the checkpoint under the cursor."""
        acts = self.acts
        run = self._run
        if acts is None or run is None:
            return
        if run.status.is_live:
            self.heats.tell(f"{run.name} is still {run.status}: s stops it", failed=True)
            return
        self._with_selected(lambda item: acts.resume_from(self.run_paths, item, self._run_name))

    def do_rewind(self) -> None:
        """Let the next resume go on from the checkpoint under the cursor."""
        if (acts := self.acts) is not None:
            self._with_selected(lambda item: acts.rewind(self.run_paths, item.step, self._run_name))

    def do_check(self) -> None:
        """Read every byte."""
        if self.acts is not None:
            self.acts.check_deep([self.run_paths], self._deep_taken)
            self._show()

    def do_prune(self) -> None:
        """Delete what the policy doesn't keep."""
        if self.acts is not None:
            self.acts.prune([self.run_paths], self._run_name)

    def do_fix(self) -> None:
        """Put right what is broken."""
        if self.acts is not None:
            self.acts.fix([self.run_paths], self._run_name, deep=self.deep)

    def do_export(self) -> None:
        """Write the one under the cursor to a folder."""
        if (acts := self.acts) is not None:
            self._with_selected(lambda item: acts.export(self.run_paths, item, self._run_name))

    def wanted_checkpoint(self) -> str:
        """The one under the cursor, for evaluating it."""
        _, item = self._selected()
        return str(item.checkpoint.step) if item is not None and not item.checkpoint.emergency else "best"

    def leave(self) -> bool:
        return self.acts is not None and self.acts.cancel()

    def copyables(self) -> Sequence[Copyable]:
        _, item = self._selected()
        if item is None:
            return ()
        folder, said = str(item.checkpoint.folder), checkpoint_sentence(item, deep=self.deep)
        return (fixed("p", "the path of the checkpoint", folder), fixed("w", "what is known of it", said))


def _places(report: RunReport) -> list[tuple[str, float, int]]:
    return [
        (item.checkpoint.folder.name, item.checkpoint.created, item.checkpoint.bytes) for item in report.checkpoints
    ]
