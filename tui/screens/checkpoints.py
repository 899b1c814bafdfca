"""The checkpoints of the marked runs, of a study, or of all: what is wrong with them, and what to do about it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widget import Widget
from textual.widgets import Static

from engine.store.checkpoint_report import CheckpointReport, RunReport
from engine.store.index import Listed, by_age
from engine.store.paths import RunPaths
from engine.store.summary import RunSummary
from tui import format
from tui.actions import CHECKPOINTS, bindings
from tui.checkpoint_many import ManyCheckpointActs
from tui.checkpoint_rows import checkpoint_sentence
from tui.checkpoint_stream import CheckpointStream, ReportsRead
from tui.cli.terminal import safe
from tui.run_acts import many
from tui.screens.opening import open_run
from tui.screens.pane import PaneScreen
from tui.screens.runs import update_text
from tui.widgets.checkpoint_table import CheckpointTable, lines_of
from tui.widgets.key_bar import KeyBar

_SCOPES = ("marked", "study", "all")
_LIVE_TICKS = 5
"""How often live runs on the screen are looked at again, in ticks of the app's clock."""
_MOST_LIVE = 6


class CheckpointsScreen(PaneScreen):
    """Runs and their checkpoints, newest run first, as they are found."""

    CSS_PATH = "checkpoints.tcss"
    WHERE = CHECKPOINTS
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(CHECKPOINTS)]

    table: CheckpointTable
    heading: Static
    said: Static
    reading: Static

    def __init__(self) -> None:
        super().__init__()
        self.reports: dict[str, RunReport] = {}
        self.deep: set[str] = set()
        """The runs whose every byte was read for their report."""
        self.scope = "all"
        self.study: str | None = None
        self.acts = ManyCheckpointActs(self, self._changed)
        self._stream: CheckpointStream | None = None
        self._order: dict[str, int] = {}
        self._ticks = 0

    def compose(self) -> ComposeResult:
        self.table = CheckpointTable(id="table", ascii_only=self.heats.ascii_only)
        self.heading, self.said, self.reading = (Static(id=name, markup=False) for name in ("title", "said", "reading"))
        yield from (self.heading, self.table, self.said, self.reading)
        yield KeyBar(CHECKPOINTS, read_only=self.heats.read_only)

    def on_mount(self) -> None:
        state = self.heats.state
        selected = self.heats.tracker.find(state.selected)
        self.study = selected.study if selected is not None else None
        wanted = "marked" if state.marked else state.checkpoint_scope
        self.scope = wanted if wanted in self._scopes() else "all"
        self.table.focus()
        self.heats.tracker.listed.subscribe(self, self._on_listed)
        if self.heats.tracker.runs is not None:
            self._look()
        else:
            self._show_lines()

    def on_unmount(self) -> None:
        self._leave()
        self.acts.cancel()

    def panes(self) -> list[Widget]:
        return [self.table]

    # Which runs

    def _scopes(self) -> list[str]:
        """The choices that there are now."""
        there = {"marked": bool(self.heats.state.marked), "study": self.study is not None, "all": True}
        return [scope for scope in _SCOPES if there[scope]]

    def _runs(self) -> list[Listed]:
        """The runs that are looked at, the newest first."""
        marked = set(self.heats.state.marked)
        tests: dict[str, Callable[[RunSummary], bool]] = {
            "marked": lambda run: run.id in marked,
            "study": lambda run: run.study == self.study,
            "all": lambda run: True,
        }
        return by_age([run for run in self.heats.tracker.runs or () if tests[self.scope](run)])

    def action_turn_scope(self) -> None:
        """The marked runs, the study, or all."""
        scopes = self._scopes()
        if len(scopes) == 1:
            self.heats.tell("no run is marked and the selected one is of no study: all runs are shown")
            return
        self.scope = scopes[(scopes.index(self.scope) + 1) % len(scopes)] if self.scope in scopes else scopes[0]
        self.heats.change_state(checkpoint_scope=self.scope)
        self._look()

    # Looking

    def _on_listed(self, runs: tuple[RunSummary, ...]) -> None:
        if not self.is_current:
            return
        if not self._order:
            self._look()
            return
        fresh = [run for run in self._runs() if run.id not in self._order]
        gone = self.reports.keys() - {run.id for run in runs}
        for run_id in gone:
            del self.reports[run_id]
        if fresh and (self._stream is None or self._stream.over):
            self._begin([self.heats.acts.run_paths(run.id) for run in fresh], deep=False)
            self._number()
        self._show_lines()

    def _look(self) -> None:
        """Look at all runs anew."""
        self._leave()
        self.reports, self.deep = {}, set()
        self._number()
        self._begin([self.heats.acts.run_paths(run_id) for run_id in self._order], deep=False)
        self._show_lines()

    def _number(self) -> None:
        self._order = {run.id: at for at, run in enumerate(self._runs())}

    def _begin(self, paths: list[RunPaths], *, deep: bool) -> None:
        self._leave()
        self._stream = CheckpointStream(paths, deep=deep, with_empty=self.scope != "all")
        self._stream.start(self.app, self.post_message)

    def _leave(self) -> None:
        if self._stream is not None:
            self._stream.leave()

    def on_reports_read(self, message: ReportsRead) -> None:
        """Some runs were looked at."""
        message.stop()
        stream = message.stream
        if stream is not self._stream or not self.is_attached:
            return
        stream.seen, stream.over = message.seen, message.over
        for report in message.reports:
            self.reports[report.run.id] = report
            (self.deep.add if stream.deep else self.deep.discard)(report.run.id)
        if message.over and stream.deep:
            self._tell_deep(stream)
        self._show_lines()

    def _tell_deep(self, stream: CheckpointStream) -> None:
        found = [self.reports[run.id] for run in stream.runs[: stream.seen] if run.id in self.reports]
        items = [item for report in found for item in report.checkpoints]
        broken = sum(bool(item.problems) for item in items)
        ended = f"ended after {stream.seen} of {many(len(stream.runs))}: " if stream.left else ""
        if broken:
            self.heats.tell(
                f"{ended}{broken} of {many(len(items), 'checkpoint')} broken; p shows them first", failed=True
            )
        else:
            self.heats.tell(f"{ended}every byte of {many(len(items), 'checkpoint')} has its hash")

    def _changed(self) -> None:
        """Something was done: look again at what was concerned, or at all of few."""
        if len(self._order) <= 50:
            self._begin([self.heats.acts.run_paths(run_id) for run_id in self._order], deep=False)
        else:
            self._begin([self.heats.acts.run_paths(run_id) for run_id in self.reports], deep=False)
        self._show_reading()

    def action_look_again(self) -> None:
        """Look at everything anew."""
        self._look()

    def tick(self) -> None:
        """How far the reading is; and live runs save and let go."""
        self._show_reading()
        self._ticks += 1
        if self._ticks % _LIVE_TICKS or (self._stream is not None and not self._stream.over):
            return
        seen = {line.report.run.id: line.report for line in self.table.visible_lines()}
        live = [report.run for report in seen.values() if report.live][:_MOST_LIVE]
        if live:
            self.acts.look(live, self._take_live)

    def _take_live(self, reports: tuple[RunReport, ...]) -> None:
        if any(self.reports.get(report.run.id) != report for report in reports):
            for report in reports:
                self.reports[report.run.id] = report
                self.deep.discard(report.run.id)
            self._show_lines()

    # Showing

    def _show_lines(self) -> None:
        runs = {run.id: run for run in self.heats.tracker.runs or ()}
        ordered = sorted(self.reports.values(), key=lambda report: self._order.get(report.run.id, -1))
        lines = lines_of(ordered, runs, self.deep, problems_first=self.heats.state.problems_first)
        self.table.empty_text = self._empty_text()
        self.table.show(lines, self.heats.state.marked, time.time())
        self._show_title()
        self._show_said()
        self._show_reading()

    def _empty_text(self) -> tuple[str, ...]:
        if self.heats.tracker.runs is None or (self._stream is not None and not self._stream.over):
            return ("looking at checkpoints",)
        if not self._order:
            return ("no runs yet",)
        return (f"no checkpoints in {many(len(self._order))}", "", "a run saves one each train.save_every steps")

    def _show_title(self) -> None:
        items = [item for report in self.reports.values() for item in report.checkpoints]
        wrong = sum(not report.is_sound for report in self.reports.values())
        name = {"marked": "marked runs", "study": f"study {safe(self.study or '')}", "all": "all runs"}[self.scope]
        parts = [f"Checkpoints of {name}", f"{many(len(items), 'checkpoint')} in {many(len(self.reports))}"]
        parts.append(format.size(sum(item.checkpoint.bytes for item in items)))
        parts += [f"{wrong} with something wrong"] if wrong else []
        marked = len(self.heats.state.marked)
        parts += [f"{marked} marked"] if marked and self.scope != "marked" else []
        update_text(self.heading, ("  |  " if self.heats.ascii_only else "  ·  ").join(parts))

    def _show_said(self) -> None:
        report, item = self.table.report, self.table.item
        text = ""
        if report is not None and item is not None:
            text = checkpoint_sentence(item, deep=report.run.id in self.deep)
        elif report is not None:
            text = safe("; ".join(report.problems)) or safe(report.run.id)
        update_text(self.said, text)

    def _show_reading(self) -> None:
        stream, text = self._stream, ""
        hashing = self.acts.hashing or (stream.hashing if stream is not None and not stream.over else None)
        if hashing is not None:
            text = hashing.text(bar=min(30, self.size.width // 4), ascii_only=self.heats.ascii_only) + "   V ends it"
        elif stream is not None and not stream.over:
            text = f"looking: {stream.seen:,} of {len(stream.runs):,} runs"
        update_text(self.reading, text)

    @on(CheckpointTable.Selected)
    def _selected(self, message: CheckpointTable.Selected) -> None:
        message.stop()
        self._show_said()

    # Acts

    def _names(self) -> dict[str, str]:
        return {run.id: f"{run.name} ({run.id[-4:]})" for run in self.heats.tracker.runs or ()}

    def _targets(self) -> list[RunPaths]:
        """The marked runs among those shown, or else the run under the cursor."""
        marked = set(self.heats.state.marked)
        found = [run_id for run_id in self._order if run_id in marked]
        if not found and self.table.report is not None:
            found = [self.table.report.run.id]
        return [self.heats.acts.run_paths(run_id) for run_id in found]

    def _who(self, runs: list[RunPaths]) -> str:
        return self._names().get(runs[0].id, runs[0].id) if len(runs) == 1 else many(len(runs))

    def _checkpoint(self) -> tuple[RunReport, CheckpointReport] | None:
        report, item = self.table.report, self.table.item
        if report is None or item is None:
            self.heats.tell("move to a checkpoint first: this is the head of its run", failed=True)
            return None
        return report, item

    def action_mark(self) -> None:
        """Mark the run, or take its mark away, and go on to the next run."""
        report = self.table.report
        if report is None:
            return
        run_id = report.run.id
        self.heats.change_state(marked=tuple(sorted(set(self.heats.state.marked) ^ {run_id})))
        lines, at = self.table.lines, self.table.cursor
        after = (index for index in range(at + 1, len(lines)) if lines[index].report.run.id != run_id)
        self.table.cursor = next(after, at)
        self._show_lines()

    @on(CheckpointTable.Marked)
    def _mark_clicked(self, message: CheckpointTable.Marked) -> None:
        message.stop()
        self.action_mark()

    @on(CheckpointTable.Opened)
    def action_open_run(self) -> None:
        """The run's own screen."""
        if self.table.report is not None:
            open_run(self.heats, self.table.report.run.id)

    def action_back(self) -> None:
        """End the reading of bytes that goes on, or else go back."""
        if not self._end_reading():
            self.dismiss()

    def _end_reading(self) -> bool:
        if self.acts.cancel():
            return True
        if self._stream is not None and self._stream.deep and not self._stream.over:
            self._stream.leave()
            return True
        return False

    def action_deep_check(self, everything: bool) -> None:
        """Read every byte; asked for once more, end it."""
        if self._end_reading():
            return
        if everything:
            paths = [self.heats.acts.run_paths(run_id) for run_id in self._order if run_id in self.reports]
        else:
            paths = self._targets()
        if paths:
            self._begin(paths, deep=True)
            self._show_reading()

    def action_problems_first(self) -> None:
        """What is wrong on top, or the newest."""
        self.heats.change_state(problems_first=not self.heats.state.problems_first)
        self._show_lines()
        if self.heats.state.problems_first:
            self.table.move_to_start()

    def action_rewind(self) -> None:
        """Set the run back (or forward again) to the checkpoint under the cursor."""
        found = self._checkpoint()
        if found is not None:
            report, item = found
            self.acts.rewind(report.run, item.checkpoint.step, self._who([report.run]))

    def action_resume_here(self) -> None:
        """Start a new attempt from the checkpoint under the cursor."""
        found = self._checkpoint()
        if found is not None:
            report, item = found
            self.acts.resume_from(report.run, item.checkpoint, self._who([report.run]))

    def action_export(self) -> None:
        """Write the checkpoint under the cursor to a folder."""
        found = self._checkpoint()
        if found is not None:
            report, item = found
            self.acts.export(report.run, item.checkpoint, self._who([report.run]))

    def action_prune(self) -> None:
        """Delete what the policy doesn't keep."""
        runs = self._targets()
        if runs:
            self.acts.prune(runs, self._who(runs))

    def action_fix(self) -> None:
        """Repair pointers, and move what is broken to the trash."""
        runs = self._targets()
        if runs:
            self.acts.fix(runs, self._who(runs), deep=any(run.id in self.deep for run in runs))

    # Sync

    def action_sync(self) -> None:
        """Bring the marked runs, or all of the study, to a common step."""
        runs = self._targets()
        if len(runs) < 2 and self.table.report is not None:
            run = self.heats.tracker.find(self.table.report.run.id)
            if run is not None and run.study is not None:
                same = [other.id for other in self.heats.tracker.runs or () if other.study == run.study]
                runs = [self.heats.acts.run_paths(run_id) for run_id in same]
        if len(runs) < 2:
            self.heats.tell("mark the runs to be brought together with Space", failed=True)
        else:
            self.acts.sync_some(runs, self._names())

    def action_undo_sync(self) -> None:
        """Take the last sync back."""
        self.acts.undo_sync()
