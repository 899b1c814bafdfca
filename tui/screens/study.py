"""One study: arms by seeds, what they say so far, and the acts that train what is missing."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widget import Widget
from textual.widgets import Static

from engine.store.summary import RunSummary
from tui.actions import bindings
from tui.actions.action import STUDY
from tui.copying import Copyable, fixed
from tui.screens.confirm import Choice, ConfirmScreen
from tui.screens.runs import update_text
from tui.screens.study_matrix import StudyMatrix
from tui.study_acts import RunPlan, plan_run, run_study, stop_all, write_report
from tui.study_findings import findings, info_line
from tui.study_questions import redo_choices, report_lines, run_question, stop_question
from tui.study_view import Source, StudyView, read_view, with_news
from tui.widgets.grid import GridView
from tui.widgets.key_bar import KeyBar
from tui.widgets.text_pane import TextPane

if TYPE_CHECKING:
    pass

_LOW = 18
_LOOK_TICKS = 5
_ADVANCE_TICKS = 20


class StudyScreen(StudyMatrix):
    """The matrix of a study's cells, and below it what they say."""

    CSS_PATH = "study.tcss"
    WHERE = STUDY
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(STUDY)]

    def __init__(self, source: Source) -> None:
        super().__init__()
        self.source = source
        self._report_text = ""
        self._presets: tuple[str, ...] = ()
        self._seen: tuple[RunSummary, ...] | None = None
        self._stale = False
        self._modified: int | None = None
        self._ticks = 0

    def compose(self) -> ComposeResult:
        app = self.heats
        yield Static(self.source.label, id="title", markup=False)
        yield Static("reading", id="info", markup=False)
        yield GridView(ascii_only=app.ascii_only, id="matrix")
        yield Static(id="cell", markup=False)
        yield TextPane(id="findings")
        yield KeyBar(STUDY, read_only=app.read_only)

    def on_mount(self) -> None:
        self.query_one(GridView).focus()
        self._read()
        self._advance()

    def on_resize(self) -> None:
        self.set_class(self.size.height < _LOW, "low")
        if self._report_text:
            self.report = report_lines(self._report_text, self.size.width, ascii_only=self.heats.ascii_only)
        self.call_after_refresh(self.show_all)

    def on_screen_resume(self) -> None:
        """Back from a run."""
        if self.view is not None:
            self._read()

    # Reading

    def _mine(self) -> dict[str, RunSummary]:
        label = self.source.label
        return {run.id: run for run in self.heats.tracker.runs or () if run.study == label}

    def _read(self) -> None:
        if "study" in self._reading:
            self._stale = True  # what is being read may be older than what changed
            return
        self._stale = False
        root, source, known = self.heats.store_root, self.source, frozenset(self._mine())
        self.ask("study", "reads the study", lambda: read_view(root, source, known), self._took)

    def _took(self, view: StudyView) -> None:
        if view.source != self.source:
            return
        self.view = view
        if view.study is not None:
            self._presets = tuple(view.study.spec.presets)
        self.show_all()
        if self._stale:
            self._read()

    def tick(self) -> None:
        """Take in what the study's runs have done, and what became of its file."""
        self._ticks += 1
        if self._ticks % _LOOK_TICKS == 0:
            self._look_at_file()
        if self._ticks % _ADVANCE_TICKS == 0:
            self._advance()
        runs = self.heats.tracker.runs
        if runs is None or runs is self._seen or self.view is None:
            return
        self._seen = runs
        mine = self._mine()
        fresh = with_news(self.view, mine) if self.view.runs == frozenset(mine) else None
        if fresh is None:
            self._read()
        elif fresh is not self.view:
            self.view = fresh
            self._show_matrix()
            self._show_cell()

    def _look_at_file(self) -> None:
        path = self.source.file

        def look() -> int:
            try:
                return path.stat().st_mtime_ns
            except OSError:
                return -1

        def looked(modified: int) -> None:
            if self._modified is not None and modified != self._modified:
                self._read()
            self._modified = modified

        self.ask("file", "looks at the study's file", look, looked, anew=False)

    def _advance(self) -> None:
        """Whoever looks also brings the queue on, as on the command line; not where nothing may be changed."""
        if self.heats.read_only:
            return
        root = self.heats.store_root

        def advance() -> None:
            from tui.cli.studies import advance_quietly
            from tui.study_view import a_store

            store = a_store(root)
            if store is not None:
                advance_quietly(store)

        self.ask("advance", "brings the queue on", advance, lambda _: None, anew=False)

    # Showing

    def panes(self) -> list[Widget]:
        both: list[Widget] = [self.query_one(GridView), self.query_one(TextPane)]
        return [pane for pane in both if pane.display]

    def _turn_pane(self, direction: int) -> None:
        """Where there is room for one pane only, Tab turns from one to the other."""
        if self.has_class("low") and self.report is None:
            self.toggle_class("second")
            self.show_all()
            for pane in self.panes()[:1]:
                pane.focus()
            return
        super()._turn_pane(direction)

    def show_all(self) -> None:
        """Show anew what is known."""
        if not self.is_mounted or self.view is None:
            return
        self._show_title()
        self._show_matrix()
        self._show_cell()
        self._show_findings()

    def _show_title(self) -> None:
        view, ascii_only = self.view, self.heats.ascii_only
        assert view is not None
        separator = "  |  " if ascii_only else "  ·  "
        question = view.study.spec.question if view.study is not None else ""
        title = [self.source.label, question, "read-only" if self.heats.read_only else ""]
        update_text(self.query_one("#title", Static), separator.join(part for part in title if part))
        parts = [] if view.problem else [info_line(view.states, view.counts(), ascii_only=ascii_only)]
        if self._presets:
            chosen = self.source.preset
            names = " ".join(f"[{name}]" if name == chosen else name for name in self._presets)
            parts.append(f"presets: {names}")
        if self.shown_metric and not view.problem:
            parts.append(self.shown_metric)
        update_text(self.query_one("#info", Static), separator.join(parts))

    def _show_findings(self) -> None:
        view, pane = self.view, self.query_one(TextPane)
        assert view is not None
        low = self.has_class("low")
        pane.display = self.report is not None or bool(view.problem) or not low or self.has_class("second")
        width = pane.size.width or self.size.width
        if self.report is not None:
            pane.show(self.report)
        else:
            pane.show(findings(view, width, ascii_only=self.heats.ascii_only))
        if self.focused is None or not self.focused.display:
            panes = self.panes()
            if panes:
                panes[0].focus()

    def action_next_preset(self) -> None:
        """The next preset; after the last, the study as it is."""
        if not self._presets:
            if self.is_read():
                self.heats.tell("the file has no presets")
            return
        order: list[str | None] = [None, *self._presets]
        at = order.index(self.source.preset) if self.source.preset in order else 0
        preset = order[(at + 1) % len(order)]
        self.source = Source(self.source.name, self.source.file, preset, self.source.stored)
        self.view, self.metric, self.marked = None, None, frozenset()
        self.query_one(GridView).set_marked(self.marked)
        update_text(self.query_one("#title", Static), f"{self.source.label}: reading")
        self._asked["study"] = self._asked.get("study", 0) + 1  # an answer about the other preset is out of date
        self._reading.discard("study")
        self._read()

    # The report

    def action_show_report(self) -> None:
        """The report in this screen, or back to the matrix."""
        if self.report is not None:
            self._leave_report()
            return
        root, source = self.heats.store_root, self.source

        def took(text: str) -> None:
            self._report_text = text
            self.report = report_lines(text, self.size.width, ascii_only=self.heats.ascii_only)
            self.show_all()
            pane = self.query_one(TextPane)
            pane.show(self.report, keep_place=False)
            pane.focus()

        self.heats.tell("making the report")
        self.ask("report", "makes the report", lambda: _report_text(root, source), took)

    def _leave_report(self) -> None:
        self.report, self._report_text = None, ""
        self.show_all()
        self.query_one(TextPane).move_to_start()
        self.query_one(GridView).focus()

    def action_back(self) -> None:
        """Out of the report, else back to where one came from."""
        if self.report is not None:
            self._leave_report()
        else:
            self.dismiss()

    def action_write_text(self) -> None:
        """Write the report's files and say where they are."""
        if self.heats.refuses():
            return
        root, source = self.heats.store_root, self.source
        self.heats.acts.do("writes the report", lambda: (f"written: {write_report(root, source)[0]}", None))

    def copyables(self) -> Sequence[Copyable]:
        """What there is to copy, or to write to a file."""
        here, pane = self.cell, self.query_one(TextPane)
        grid = self.query_one(GridView)
        items = [fixed("f", "what it says so far", pane.text, f"{self.source.label}.txt")]
        items.append(fixed("m", "the matrix, apart by tabs", grid.as_text(), f"{self.source.label}.tsv"))
        items.append(fixed("c", "the command", f"heats study run {self.source.label}", f"{self.source.label}.sh"))
        if here is not None and here.run is not None:
            items.insert(0, fixed("i", f"the id of {here.cell.name}", here.run.id, "run.txt"))
        return items

    def readable(self) -> tuple[Copyable, int]:
        """What a pager shows: the report, as Markdown."""
        root, source = self.heats.store_root, self.source
        return Copyable("r", "the report", lambda: _report_text(root, source), f"{source.label}.md"), 1

    # Acts

    def action_run_missing(self) -> None:
        """Ask, then queue what is missing."""
        if self.heats.refuses():
            return
        root, source = self.heats.store_root, self.source
        self.ask("plan", "plans the runs", lambda: plan_run(root, source), self._ask_to_run)

    def _ask_to_run(self, plan: RunPlan) -> None:
        if plan.label != self.source.label or self.app.screen is not self:
            return
        if not (plan.runs or plan.trials or plan.needed or plan.stopped):
            self.heats.tell(f"nothing of {plan.label} is missing; R trains cells anew")
            return

        def decided(result: str | None) -> None:
            if result is not None:
                self._run((), go_on=result == "go_on")

        self.app.push_screen(run_question(plan), decided)

    def _run(self, redo: Sequence[str], *, go_on: bool = False) -> None:
        root, source = self.heats.store_root, self.source
        self.heats.acts.do("runs a study", lambda: (run_study(root, source, redo, go_on=go_on), None))

    def action_redo(self) -> None:
        """Ask which cells to train anew."""
        view = self.view
        if view is None or view.study is None or self.heats.refuses():
            return
        choices = redo_choices(view, self.cell, self._marked_cells())
        if not choices:
            self.heats.tell("no cell has a run that could be trained anew: r trains what is missing")
            return
        missing = view.counts().get("missing", 0)
        text = ["The earlier runs stay in the store, but count no more."]
        if missing:
            text.append(f"The {missing} missing cells begin too.")

        def decided(result: str | None) -> None:
            if result is not None:
                self._run(result.split("\n"))

        question = ConfirmScreen(f"Train anew in {self.source.label}?", text, [*choices, Choice("n", "nothing", None)])
        self.app.push_screen(question, decided)

    def action_stop_study(self) -> None:
        """Ask, then stop all of it."""
        view = self.view
        if view is None or self.heats.refuses():
            return
        question = stop_question(view)
        if question is None:
            self.heats.tell(f"nothing of {self.source.label} runs or waits", failed=True)
            return

        def decided(result: str | None) -> None:
            root, source = self.heats.store_root, self.source
            if result is not None:
                self.heats.acts.do("stops a study", lambda: (stop_all(root, source, now=result == "now"), None))

        self.app.push_screen(question, decided)


def _report_text(root: Path, source: Source) -> str:
    """A study's report as Markdown. It is made anew in a folder of its own: reading it changes nothing."""
    folder = Path(tempfile.mkdtemp(prefix="heats-report-"))
    try:
        return write_report(root, source, folder)[1].read_text(encoding="utf-8")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
