"""What is wrong with any run, the queue or the machine, the worst first, and what to do about it."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from engine.store.doctor import Finding, Severity
from engine.store.index import list_runs
from engine.store.paths import open_store
from engine.store.summary import RunSummary
from tui import format
from tui.actions import actions_of, bindings, key_name
from tui.actions.action import DOCTOR
from tui.cli.terminal import safe
from tui.screens.base import ask_to_stop, resume_run
from tui.screens.confirm import Choice, ConfirmScreen
from tui.screens.pane import PaneScreen
from tui.screens.runs import update_text
from tui.widgets.key_bar import KeyBar
from tui.widgets.run_columns import coarse_age
from tui.widgets.small_table import Row, SmallTable

if TYPE_CHECKING:
    from engine.store.checkpoint_fix import FixPlan

_MARKS = {Severity.ACT: ("✘", "!"), Severity.WARN: ("▲", "^"), Severity.NOTE: ("·", "-")}
_COLOURS = {Severity.ACT: "red", Severity.WARN: "yellow", Severity.NOTE: "bright_black"}
_TITLES = ("", "run", "cause", "since", "what")
_AGAIN_SECONDS = 30
_MOST_ROWS = 400
_PROPOSALS = (
    ("heats resume", "doctor_resume", "resumes it"),
    ("heats stop", "doctor_stop", "stops it, or ends what it left"),
    ("heats checkpoints fix", "doctor_fix", "fixes its checkpoints"),
    ("heats queue resume", "doctor_queue", "lets the queue go on"),
    ("heats checkpoints prune", "go_checkpoints", "shows the checkpoints"),
    ("heats queue list", "go_machine", "shows the queue"),
    ("heats logs", "doctor_open", "opens it"),
    ("heats show", "doctor_open", "opens it"),
)
"""Commands in a remedy, and the acts that do the same here."""


class LookAgain(Message):
    """Something was done that may have changed what is wrong."""


class DoctorScreen(PaneScreen):
    """The doctor."""

    CSS_PATH = "doctor.tcss"
    WHERE = DOCTOR
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(DOCTOR)]

    def __init__(self) -> None:
        super().__init__()
        self._findings: dict[str, Finding] | None = None
        self._looked: float | None = None
        self._due = 0.0
        self._count = 0

    def compose(self) -> ComposeResult:
        yield Static(id="title", markup=False)
        yield SmallTable(_TITLES, id="findings")
        yield Static(id="detail", markup=False)
        yield KeyBar(DOCTOR, read_only=self.heats.read_only)

    def on_mount(self) -> None:
        self.query_one(SmallTable).focus()
        self._show_title()
        self._show_detail()
        self.tick()

    def on_resize(self) -> None:
        self.set_class(self.size.height < 16, "single")
        self._show_detail()

    def panes(self) -> list[Widget]:
        return [self.query_one(SmallTable)]

    # Looking

    def tick(self) -> None:
        if time.monotonic() >= self._due:
            self._ask(anew=False)

    def _ask(self, *, anew: bool) -> None:
        self._due = time.monotonic() + _AGAIN_SECONDS
        root = self.heats.store_root

        def read() -> tuple[list[Finding], int]:
            from engine.launch.findings import find

            if not root.is_dir():
                return [], 0
            store = open_store(root)
            every = list_runs(store)
            return find(store, every, everything=True), len(every)

        self.ask("doctor", "looks for what is wrong", read, self._take, anew=anew)

    def _take(self, answer: tuple[list[Finding], int]) -> None:
        found, self._count = answer
        self._looked = time.time()
        self._due = time.monotonic() + _AGAIN_SECONDS  # from its end: with many runs a look may take that long itself
        self._findings = keyed(found)
        rows = finding_rows(self._findings, self._runs(), self._looked, ascii_only=self.heats.ascii_only)
        self.query_one(SmallTable).show(rows)
        self._show_title()
        self._show_detail()

    @on(LookAgain)
    def action_look_again(self) -> None:
        """Look at all runs again."""
        self._ask(anew=True)

    def _runs(self) -> dict[str, RunSummary]:
        return {run.id: run for run in self.heats.tracker.runs or ()}

    def _show_title(self) -> None:
        parts = ["Doctor"]
        if self._findings is None:
            count = len(self.heats.tracker.runs or ())
            parts.append(f"looking at {count:,} run{'' if count == 1 else 's'}")
        else:
            acts = sum(finding.severity is Severity.ACT for finding in self._findings.values())
            parts.append(f"{self._count:,} run{'' if self._count == 1 else 's'} looked at")
            parts += [f"{acts} thing{' needs' if acts == 1 else 's need'} you"] if acts else []
            others = len(self._findings) - acts
            parts += [f"{others} to know"] if others else []
            parts += ["nothing wrong"] if not self._findings else []
            parts.append(f"at {time.strftime('%H:%M:%S', time.localtime(self._looked))}")
        if self.heats.read_only:
            parts.append("read-only")
        update_text(self.query_one("#title", Static), (" | " if self.heats.ascii_only else "  ·  ").join(parts))

    @on(SmallTable.Chosen)
    def _show_detail(self) -> None:
        finding = self._selected()
        if self._findings is None:
            text = "Each run's state, alerts, checkpoints and files are looked at."
        elif not self._findings:
            text = "Nothing is wrong with any run, the queue or this machine."
        elif finding is None:
            text = ""
        else:
            text = detail(finding, ascii_only=self.heats.ascii_only, read_only=self.heats.read_only)
        update_text(self.query_one("#detail", Static), text, layout=True)

    # Acts

    def _selected(self) -> Finding | None:
        return (self._findings or {}).get(self.query_one(SmallTable).selected or "")

    def _run(self) -> RunSummary | None:
        """The run that the finding under the cursor is about; says so where there is none."""
        finding = self._selected()
        if finding is None:
            return None
        if finding.run is None:
            self.heats.tell("this is about the machine, not about a run", failed=True)
            return None
        run = self.heats.tracker.find(finding.run)
        if run is None:
            self.heats.tell(f"{finding.run} is gone; look again", failed=True)
        return run

    @on(SmallTable.Opened)
    def action_open_run(self) -> None:
        """The run's own screen; for findings about the queue or the machine, theirs."""
        finding = self._selected()
        if finding is not None and finding.run is None:
            self.action_go("machine")
        elif (run := self._run()) is not None:
            from tui.screens.run import RunScreen

            self.app.push_screen(RunScreen(run.id))

    def action_resume_run(self) -> None:
        """Go on from the newest checkpoint."""
        if not self.heats.refuses() and (run := self._run()) is not None:
            resume_run(self.heats, run)

    def action_stop_run(self) -> None:
        """Ask, then stop."""
        if not self.heats.refuses() and (run := self._run()) is not None:
            ask_to_stop(self.heats, run)

    def action_fix_checkpoints(self) -> None:
        """Plan, ask, then put right."""
        if self.heats.refuses() or (run := self._run()) is None:
            return
        paths = self.heats.acts.run_paths(run.id)

        def plan() -> FixPlan:
            from engine.store.checkpoint_fix import plan_fix

            return plan_fix(paths)

        self.ask("fix", "looks at the checkpoints", plan, lambda found: self._ask_to_fix(run, found))

    def _ask_to_fix(self, run: RunSummary, plan: FixPlan) -> None:
        if not plan.changes:
            self.heats.tell(f"{run.name}: nothing to put right")
            return

        def act() -> tuple[str, str | None]:
            from engine.store.checkpoint_fix import apply_fix

            try:
                apply_fix(plan)
            finally:
                self.post_message(LookAgain())
            return f"the checkpoints of {run.name} are put right", run.id

        def decided(result: str | None) -> None:
            if result is not None:
                self.heats.acts.do("fixes checkpoints", act)

        choices = (Choice("y", "put it right", "fix", destructive=True), Choice("n", "leave it as it is", None))
        title = f"Fix the checkpoints of {run.name} ({run.id[-4:]})?"
        self.app.push_screen(ConfirmScreen(title, fix_lines(plan), choices), decided)

    def action_queue_goes_on(self) -> None:
        """After a pause, a reboot, or too many failures."""
        if self.heats.refuses():
            return

        def act() -> tuple[str, str | None]:
            from engine.launch import queue
            from engine.study.run import advance

            store = open_store(self.heats.store_root)
            try:
                queue.resume(store)
                advance(store)
            finally:
                self.post_message(LookAgain())
            return "the queue goes on", None

        self.heats.acts.do("lets the queue go on", act)


def keyed(found: Sequence[Finding]) -> dict[str, Finding]:
    """The findings by what they are about, so that the cursor stays on one while others come and go."""
    keys: dict[str, Finding] = {}
    for finding in found:
        key = base = f"{finding.run or ''} {finding.cause}"
        number = 1
        while key in keys:
            number += 1
            key = f"{base} {number}"
        keys[key] = finding
    return keys


def finding_rows(
    found: Mapping[str, Finding], runs: Mapping[str, RunSummary], now: float, *, ascii_only: bool
) -> list[Row]:
    """The findings as rows; of very many the worst."""
    rows = []
    for number, (key, finding) in enumerate(found.items()):
        if number == _MOST_ROWS:
            rest = len(found) - _MOST_ROWS
            rows.append(Row("more", ("", "", "", "", f"and {rest:,} more: mend these first, or `heats doctor`")))
            break
        mark = _MARKS[finding.severity][1 if ascii_only else 0]
        head = Text(f"{mark} {finding.severity}", _COLOURS[finding.severity])
        since = coarse_age(finding.since, now) if finding.since is not None and finding.since <= now else ""
        rows.append(Row(key, (head, safe(_whose(finding, runs)), safe(finding.cause), since, safe(finding.what))))
    return rows


def _whose(finding: Finding, runs: Mapping[str, RunSummary]) -> str:
    if finding.run is None:
        return "this machine"
    run = runs.get(finding.run)
    return f"{run.name} {run.id[-4:]}" if run is not None else finding.run


def proposals(finding: Finding) -> list[tuple[str, str]]:
    """The acts of this screen that do what a finding's remedy says: their keys, and in a few words what they do."""
    acts = {action.id: action for action in actions_of(DOCTOR)}
    commands: list[str] = re.findall(r"`([^`]*)`", finding.remedy)
    found: dict[str, str] = {}
    for start, name, words in _PROPOSALS:
        action = acts.get(name)
        if action is not None and action.keys and any(command.startswith(start) for command in commands):
            found.setdefault(key_name(action.keys[0]), words)
    return list(found.items())


def detail(finding: Finding, *, ascii_only: bool, read_only: bool) -> str:
    """A finding in full: what is wrong, what to do, and which keys here do it."""
    age = f" (since {format.clock(finding.since)})" if finding.since is not None else ""
    lines = [f"{safe(finding.cause)}: {safe(finding.what)}{age}"]
    if finding.run is not None:
        lines.append(safe(finding.run))
    if finding.remedy:
        lines.append(f"{'->' if ascii_only else '→'} {safe(finding.remedy)}")
    keys = [] if read_only else proposals(finding)
    if keys:
        lines.append("Here: " + ", ".join(f"{key} {words}" for key, words in keys))
    return "\n".join(lines)


def fix_lines(plan: FixPlan) -> tuple[str, ...]:
    """What fixing would do."""
    lines = [f"restores {safe(original)} from {safe(name)}" for name, original in plan.to_restore]
    lines += [f"moves {safe(name)} to the store's trash: {safe(why)}" for name, why in plan.to_trash]
    lines += [f"repairs {safe(problem)}" for problem in plan.pointers]
    if plan.to_trash and not plan.sound_left:
        lines.append("No checkpoint that can be used is left then: a resume begins at the start.")
    return tuple(lines)
