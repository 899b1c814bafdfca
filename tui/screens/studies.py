"""All studies: what each asks, how its cells stand, and its verdict so far."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widget import Widget
from textual.widgets import Static

from engine.store.summary import RunSummary
from tui.actions import bindings
from tui.actions.action import STUDIES
from tui.screens.pane import PaneScreen
from tui.screens.runs import update_text
from tui.study_findings import WORD_COLOURS, info_line
from tui.study_view import Source, StudyView, first_look, read_view, size, summary_line, with_news
from tui.widgets.key_bar import KeyBar
from tui.widgets.small_table import Row, SmallTable
from tui.widgets.text_pane import TextPane

_TALL = 14
_WIDE = 70
_FIRST = ("failed", "live", "queued", "finished", "missing")


class StudiesScreen(PaneScreen):
    """The table of studies. Each is read in its turn, so that one of a thousand cells keeps nobody waiting."""

    CSS_PATH = "studies.tcss"
    WHERE = STUDIES
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(STUDIES)]

    def __init__(self) -> None:
        super().__init__()
        self.sources: list[Source] | None = None
        self.views: dict[str, StudyView] = {}
        self._unread: list[Source] = []
        self._reading_one = False
        self._seen: tuple[RunSummary, ...] | None = None

    def compose(self) -> ComposeResult:
        yield Static(
            f"Studies{'  |  ' if self.heats.ascii_only else '  ·  '}looking for study files", id="title", markup=False
        )
        yield SmallTable(("study", "cells", "verdict so far", "question"), id="studies")
        yield TextPane(id="about")
        yield KeyBar(STUDIES, read_only=self.heats.read_only)

    def on_mount(self) -> None:
        self.query_one(SmallTable).focus()
        self.action_read_again()

    def on_resize(self) -> None:
        self.set_class(self.size.height < _TALL, "low")
        self._show()

    def on_screen_resume(self) -> None:
        """Back from a study: it may stand differently now."""
        if self.sources is not None:
            self.action_read_again()

    def panes(self) -> list[Widget]:
        return [pane for pane in (self.query_one(SmallTable), self.query_one(TextPane)) if pane.display]

    # Reading

    def action_read_again(self) -> None:
        """Look for study files and read each."""
        root, runs = self.heats.store_root, self.heats.tracker.runs or ()
        labels = {run.study for run in runs if run.study}
        self.ask("sources", "looks for studies", lambda: first_look(root, labels), self._found)

    def _found(self, first: list[StudyView]) -> None:
        with_runs = {run.study for run in self.heats.tracker.runs or ()}
        trained = {view.source.name for view in first if view.source.label in with_runs}
        # Those with runs come first, each with its presets: they are what one works on, the others what one could.
        self.sources = sorted((view.source for view in first), key=lambda source: source.name not in trained)
        old = {label: view for label, view in self.views.items() if view.whole and not view.problem}
        self.views = {view.source.label: view if view.problem else old.get(view.source.label, view) for view in first}
        # The small ones first: nobody waits for them behind a thousand cells.
        self._unread = [view.source for view in sorted(first, key=size) if not view.problem]
        self._show()
        self._read_next()

    def _read_next(self) -> None:
        if self._reading_one or not self._unread:
            return
        source, root = self._unread.pop(0), self.heats.store_root
        known = frozenset(run.id for run in self.heats.tracker.runs or () if run.study == source.label)
        self._reading_one = True

        def read() -> StudyView:
            try:
                return read_view(root, source, known)
            except Exception as error:  # noqa: BLE001  one study that can't be read must not hide the others
                return StudyView(source, problem=f"it can't be read: {type(error).__name__}: {error}", runs=known)

        self.ask("study", "reads a study", read, self._took)

    def _took(self, view: StudyView) -> None:
        self._reading_one = False
        self.views[view.source.label] = view
        self._show()
        self._read_next()

    def tick(self) -> None:
        """Take in what the runs of each study have done since."""
        runs = self.heats.tracker.runs
        if runs is None or runs is self._seen or self.sources is None:
            return
        self._seen = runs
        by_study: dict[str, dict[str, RunSummary]] = {}
        for run in runs:
            if run.study:
                by_study.setdefault(run.study, {})[run.id] = run
        if by_study.keys() - {source.label for source in self.sources}:
            self.action_read_again()
            return
        for source in self.sources:
            view = self.views.get(source.label)
            if view is None or view.study is None or not view.whole:
                continue
            mine = by_study.get(source.label, {})
            fresh = with_news(view, mine) if view.runs == frozenset(mine) else None
            if fresh is not None:
                self.views[source.label] = fresh
            elif source not in self._unread:
                self._unread.append(source)
        self._show()
        self._read_next()

    # Showing

    @property
    def selected(self) -> Source | None:
        """The study under the cursor."""
        key = self.query_one(SmallTable).selected
        return next((source for source in self.sources or () if source.label == key), None)

    def _show(self) -> None:
        if not self.is_mounted or self.sources is None:
            return
        ascii_only = self.heats.ascii_only
        rows = [
            Row(source.label, self._cells(source, self.views.get(source.label), ascii_only)) for source in self.sources
        ]
        self.query_one(SmallTable).show(rows)
        count = "1 study" if len(rows) == 1 else f"{len(rows)} studies"
        separator = "  |  " if ascii_only else "  ·  "
        update_text(self.query_one("#title", Static), separator.join(["Studies", count] if rows else ["Studies"]))
        self._show_about()

    def _cells(self, source: Source, view: StudyView | None, ascii_only: bool) -> tuple[Text | str, ...]:
        indent = "  " if source.preset else ""
        name = f"{indent}{source.label}"
        if view is None:
            return (name, "", "", "")
        if view.problem or view.study is None:
            return (name, "", Text("a mistake" if not source.stored else "no file", "red"), view.problem)
        if not view.whole:
            return (name, "..." if ascii_only else "…", "", view.study.spec.question)
        word = summary_line(view)
        colour = next((colour for key, colour in WORD_COLOURS.items() if key in word), "")
        counts = view.counts()
        text = info_line(view.states, counts, ascii_only=ascii_only)
        if self.size.width < 100:  # marks alone; the words stand below
            text = "  ".join(" ".join(part.split()[:2]) for part in text.split("  "))
        return (name, text, Text(word, colour), view.study.spec.question)

    def _show_about(self) -> None:
        source, pane = self.selected, self.query_one(TextPane)
        if self.sources is not None and not self.sources:
            pane.show(_NO_STUDIES)
            return
        view = self.views.get(source.label) if source is not None else None
        if source is None or view is None:
            pane.show(["reading"] if source is not None else [])
            return
        if view.problem or view.study is None:
            pane.show([Text(view.problem, "red"), Text(str(source.file), "dim")])
            return
        study = view.study
        claims = [f"claim: {item.sentence()}" for item in study.hypotheses()]
        lines: list[Text | str] = [Text(study.spec.question, "bold"), *claims]
        if view.whole:
            lines.append(info_line(view.states, view.counts(), ascii_only=self.heats.ascii_only))
        if study.spec.presets and not source.preset:
            lines.append(Text(f"presets: {', '.join(study.spec.presets)}", "dim"))
        lines.append(Text(f"{source.file}{' (the copy in the store)' if source.stored else ''}", "dim"))
        pane.show(lines, keep_place=pane.source[:1] == (lines[0],))

    @on(SmallTable.Chosen)
    def _chosen(self, message: SmallTable.Chosen) -> None:
        message.stop()
        self._show_about()

    @on(SmallTable.Opened)
    def action_open_study(self) -> None:
        """The study's own screen."""
        from tui.screens.study import StudyScreen

        source = self.selected
        if source is not None:
            self.app.push_screen(StudyScreen(source))


_NO_STUDIES = (
    Text("No studies yet.", "bold"),
    "A study is a YAML file in the folder experiments/ where heats is opened, such as experiments/width.yaml:",
    Text("  question: Does a wider model multiply better?", no_wrap=True),
    Text("  hypothesis: {better: wide, than: narrow, metric: val/exact_match, mode: max, by: 0.01}", no_wrap=True),
    Text("  task: multiplication", no_wrap=True),
    Text("  arms: {narrow: {model.d_model: 32}, wide: {model.d_model: 64}}", no_wrap=True),
    Text("  seeds: [0, 1, 2, 3, 4]", no_wrap=True),
)
