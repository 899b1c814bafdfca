"""What waits for which slot and why, and how busy the machine is, by whose processes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from engine.launch.slurm.overview import cluster_words
from engine.store.paths import open_store
from engine.store.summary import RunSummary
from tui import format
from tui.actions import bindings
from tui.actions.action import MACHINE
from tui.cli.terminal import safe
from tui.machine import QueueView, gauge_line, gauges, read_queue
from tui.screens.base import ask_to_stop
from tui.screens.confirm import Choice, ConfirmScreen
from tui.screens.pane import PaneScreen
from tui.screens.runs import update_text
from tui.widgets.key_bar import KeyBar
from tui.widgets.run_columns import coarse_age
from tui.widgets.small_table import Row, SmallTable

if TYPE_CHECKING:
    from engine.launch.machine import MachineView
    from engine.launch.processes import Process

LOW, NARROW = 20, 70
_QUEUE_SECONDS = 5
_QUEUE_TITLES = ("", "run", "study", "for", "why")
_STUDY = 2
_SIZE = len("1023.9 MiB")
_PROCESS_TITLES = ("process", "   cpu", "memory".rjust(_SIZE), "gpu", " for", "    pid", "command")
_MOST_ROWS = 400


class QueueChanged(Message):
    """Something was done to the queue: look again."""


class MachineScreen(PaneScreen):
    """The queue and the machine."""

    CSS_PATH = "machine.tcss"
    WHERE = MACHINE
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(MACHINE)]

    def __init__(self) -> None:
        super().__init__()
        self._queue: QueueView | None = None
        self._view: MachineView | None = None
        self._queue_due = 0.0

    def compose(self) -> ComposeResult:
        yield Static(id="title", markup=False)
        yield Static("looking at the machine", id="gauges", markup=False)
        yield Static("Queue", id="queue-heading", classes="heading", markup=False)
        yield SmallTable(_QUEUE_TITLES, id="queue")
        yield Static("Processes", id="processes-heading", classes="heading", markup=False)
        yield SmallTable(_PROCESS_TITLES, id="processes")
        yield KeyBar(MACHINE, read_only=self.heats.read_only)

    def on_mount(self) -> None:
        self.add_class("queue")
        self.query_one("#queue").focus()
        self._show_title()
        self.tick()

    def on_resize(self) -> None:
        self.set_class(self.size.height < LOW, "single")
        self._show_gauges()

    def panes(self) -> list[Widget]:
        return [self.query_one("#queue"), self.query_one("#processes")]

    def _turn_pane(self, direction: int) -> None:
        wanted = "processes" if self.has_class("queue") else "queue"
        self.set_class(wanted == "queue", "queue")
        self.set_class(wanted == "processes", "processes")
        self.query_one(f"#{wanted}").focus()

    def on_descendant_focus(self) -> None:
        """A click may have moved the focus."""
        if self.focused is not None and self.focused.id in ("queue", "processes"):
            for name in ("queue", "processes"):
                self.set_class(self.focused.id == name, name)

    # Looking

    def tick(self) -> None:
        memory, runs = self.heats.machine, self.heats.tracker.runs or ()
        self.ask("machine", "looks at the machine", lambda: memory.look(runs), self._take_machine, anew=False)
        if time.monotonic() >= self._queue_due:
            self._ask_queue(anew=False)

    def _ask_queue(self, *, anew: bool) -> None:
        # On machines with GPUs each look asks the driver's own program, so it isn't done each second.
        self._queue_due = time.monotonic() + _QUEUE_SECONDS
        root = self.heats.store_root
        self.ask("queue", "looks at the queue", lambda: read_queue(root), self._take_queue, anew=anew)

    @on(QueueChanged)
    def _queue_changed(self) -> None:
        self._ask_queue(anew=True)

    def _take_machine(self, view: MachineView) -> None:
        self._view = view
        self.heats.machine.remember(view)
        self._show_gauges()
        names = {run.id: run.name for run in self.heats.tracker.runs or ()}
        rows = process_rows((*view.processes, *view.foreign), names, ascii_only=self.heats.ascii_only)
        self.query_one("#processes", SmallTable).show(rows)
        count, runs = len(view.processes), len({process.run for process in view.processes})
        words = f"Processes: {count}, of {runs} run{'' if runs == 1 else 's'}"
        words = words if count else "Processes: no run has any on this machine"
        if view.foreign:
            words += f", {len(view.foreign)} foreign on the GPUs"
        update_text(self.query_one("#processes-heading", Static), words)

    def _take_queue(self, queue: QueueView) -> None:
        self._queue = queue
        rows = queue_rows(queue, self._runs(), ascii_only=self.heats.ascii_only)
        titles: tuple[str, ...] = _QUEUE_TITLES
        if not any(row.cells[_STUDY] for row in rows):
            rows = [replace(row, cells=(*row.cells[:_STUDY], *row.cells[_STUDY + 1 :])) for row in rows]
            titles = (*titles[:_STUDY], *titles[_STUDY + 1 :])
        self.query_one("#queue", SmallTable).show(rows, titles)
        self._show_title()

    def _runs(self) -> dict[str, RunSummary]:
        return {run.id: run for run in self.heats.tracker.runs or ()}

    def _show_title(self) -> None:
        parts = ["Queue and machine"]
        if self._queue is not None:
            count = len(self._queue.waiting)
            free = sum(slot.run is None for slot in self._queue.slots)
            parts.append(f"{count} wait" if count != 1 else "1 waits")
            parts.append(f"{free} of {len(self._queue.slots)} slots free")
            if self._queue.paused:
                parts.append(f"paused: {self._queue.reason}")
        if words := cluster_words(self.heats.tracker.runs or ()):
            parts.append(words)
        if self.heats.read_only:
            parts.append("read-only")
        update_text(self.query_one("#title", Static), (" | " if self.heats.ascii_only else "  ·  ").join(parts))

    def _show_gauges(self) -> None:
        if self._view is None:
            return
        histories = self.heats.machine.histories
        lines = [
            gauge_line(gauge, histories.get(gauge.name, ()), self.size.width, ascii_only=self.heats.ascii_only)
            for gauge in gauges(self._view)
        ]
        text = "\n".join(lines)
        widget = self.query_one("#gauges", Static)
        update_text(widget, text, layout=text.count("\n") != str(getattr(widget, "shown_text", "")).count("\n"))

    # Acts

    def _selected(self) -> tuple[str, str] | None:
        """What is under the cursor: `wait` or `run`, and the run's id."""
        table = self.query_one("#processes" if self.has_class("processes") else "#queue", SmallTable)
        kind, _, name = (table.selected or "").partition(" ")
        return (kind, name.partition(" ")[0]) if kind in ("wait", "run") else None

    @on(SmallTable.Opened)
    def action_open_run(self) -> None:
        """The run's own screen."""
        from tui.screens.run import RunScreen

        if (chosen := self._selected()) is not None:
            if self.heats.tracker.find(chosen[1]) is None:
                self.heats.tell(f"{chosen[1]} is a run of another store", failed=True)
            else:
                self.app.push_screen(RunScreen(chosen[1]))

    def action_stop_run(self) -> None:
        """Ask, then stop."""
        if self.heats.refuses() or (chosen := self._selected()) is None:
            return
        kind, run_id = chosen
        run = self.heats.tracker.find(run_id)
        if kind == "wait":
            self.heats.tell(f"{run_id} doesn't run yet; it can be taken out of the queue", failed=True)
        elif run is None:
            self.heats.tell(f"{run_id} is a run of another store", failed=True)
        else:
            ask_to_stop(self.heats, run)

    def _waiting(self) -> str | None:
        chosen = self._selected()
        if chosen is not None and chosen[0] == "wait" and self.has_class("queue"):
            return chosen[1]
        self.heats.tell("choose a run that waits in the queue first", failed=True)
        return None

    def action_move_run(self, places: int) -> None:
        """Earlier or later in the queue."""
        if self.heats.refuses() or (run_id := self._waiting()) is None or self._queue is None:
            return
        at = next((place for place, item in enumerate(self._queue.waiting) if item.run == run_id), None)
        if at is None or not 0 <= at + places < len(self._queue.waiting):
            return

        def act() -> str:
            from engine.launch.queue import move_to

            place, count = move_to(open_store(self.heats.store_root), run_id, at + places)
            return f"{run_id} is number {place} of {count}"

        self._do("moves a run in the queue", act)

    def action_drop_run(self) -> None:
        """Ask, then take it out of the queue."""
        if self.heats.refuses() or (run_id := self._waiting()) is None:
            return
        run = self.heats.tracker.find(run_id)
        name = run.name if run is not None else run_id
        if run is not None and run.attempts:
            what = f"It keeps what it has, and doesn't go on; its step is {format.progress(run.step, run.total_steps)}."
        else:
            what = "It never trained, so it goes to the trash."
        text = (what, f"`heats restore {run_id}` brings it back." if run is None or not run.attempts else "")
        choices = (Choice("y", "take it out", "drop", destructive=True), Choice("n", "let it wait", None))

        def act() -> str:
            from engine.study.waiting import drop

            store = open_store(self.heats.store_root)
            drop(store, [store.run(run_id)])
            return f"out of the queue: {run_id}"

        def decided(result: str | None) -> None:
            if result is not None:
                self._do("takes a run out of the queue", act)

        title = f"Take {name} ({run_id[-4:]}) out of the queue?"
        self.app.push_screen(ConfirmScreen(title, tuple(line for line in text if line), choices), decided)

    def action_pause_queue(self) -> None:
        """Pause, or go on."""
        if self.heats.refuses() or self._queue is None:
            return
        halted = self._queue.paused or any(item.for_person for item in self._queue.waiting)

        def act() -> str:
            from engine.launch import queue
            from engine.study.run import advance

            store = open_store(self.heats.store_root)
            if halted:
                queue.resume(store)
                advance(store)
                return "the queue goes on"
            queue.pause(store)
            return "the queue is paused; what runs goes on"

        self._do("pauses the queue", act)

    def action_advance_queue(self) -> None:
        """Start what may run."""
        if self.heats.refuses():
            return

        def act() -> str:
            from engine.launch import queue
            from engine.study.run import advance_all

            store = open_store(self.heats.store_root)
            advance_all(store)
            count = len(queue.waiting(store))
            return f"{count} run{' still waits' if count == 1 else 's still wait'}" if count else "nothing waits"

        self._do("starts what may run", act)

    def _do(self, description: str, act: Callable[[], str]) -> None:
        def work() -> tuple[str, str | None]:
            try:
                return act(), None
            finally:
                self.post_message(QueueChanged())

        self.heats.acts.do(description, work)


def queue_rows(queue: QueueView, runs: dict[str, RunSummary], *, ascii_only: bool) -> list[Row]:
    """The slots that are taken, then what waits, then how many slots are free."""
    rows = []
    for slot in queue.slots:
        if slot.run is not None:
            run = runs.get(slot.run)
            why = "of another store" if slot.elsewhere else ""
            if run is not None:
                state = format.state_label(run.status, ascii_only=ascii_only)
                why = f"{state} {format.progress(run.step, run.total_steps)}"
            rows.append(_queue_row(f"run {slot.run} {slot.name}", slot.name, slot.run, run, slot.since, why))
    for place, item in enumerate(queue.waiting, 1):
        if place > _MOST_ROWS:
            rows.append(Row("more", ("", f"and {len(queue.waiting) - _MOST_ROWS} more wait", "", "", "")))
            break
        run = runs.get(item.run)
        why = item.entry.refused or item.why
        rows.append(_queue_row(f"wait {item.run}", str(place), item.run, run, item.entry.queued, why, item.study))
    if not queue.waiting:
        rows.append(Row("none", ("", "nothing waits", "", "", "")))
    free = [slot.name for slot in queue.slots if slot.run is None]
    if free:
        names = ", ".join(free[:6]) + (f" and {len(free) - 6} more" if len(free) > 6 else "")
        rows.append(Row("free", ("", Text(f"free: {names}", "dim"), "", "", "")))
    return rows


def _queue_row(
    key: str, head: str, run_id: str, run: RunSummary | None, since: float | None, why: str, study: str | None = None
) -> Row:
    name = f"{run.name} {run_id[-4:]}" if run is not None else f"a run {run_id[-4:]}"
    study = run.study if run is not None and study is None else study
    return Row(key, (head, safe(name), safe(study or ""), _age(since), safe(why)))


def _age(since: float | None) -> str:
    """Coarse, so that a quiet table isn't drawn anew each second."""
    return coarse_age(since, time.time()) if since else "-"


def process_rows(processes: tuple[Process, ...], names: dict[str, str], *, ascii_only: bool) -> list[Row]:
    """The processes as trees, a run after the other; on the GPUs those of nobody here at the end."""
    rows = []
    branch = "`- " if ascii_only else "└ "
    for process in processes[:_MOST_ROWS]:
        if process.depth == 0 and process.run is not None:
            what = f"{names.get(process.run, process.run)} {process.run[-4:]}: {process.role}"
        else:
            what = f"{'  ' * (process.depth - 1)}{branch if process.depth else ''}{process.role}"
        key = f"run {process.run} {process.pid}" if process.run is not None else f"foreign {process.pid}"
        share = "-" if process.cpu_percent is None else f"{process.cpu_percent:.0f} %"
        cells = (
            safe(what), share.rjust(6), format.size(process.memory).rjust(_SIZE),
            format.size(process.gpu_memory) if process.gpu_memory else "-",
            _age(process.since).rjust(4), str(process.pid).rjust(7), _command(process),
        )  # fmt: skip
        rows.append(Row(key, cells))
    return rows


def _command(process: Process) -> str:
    """What tells processes apart: whose it is where it is nobody's here, and the program without its folder."""
    words = process.command.split(" ")
    short = " ".join([words[0].rpartition("/")[2], *words[1:]])
    return safe(f"({process.user}) {short}" if process.run is None else short)[:160]
