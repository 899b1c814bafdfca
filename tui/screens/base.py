"""What the screens about runs share: the acts on the selected run and on how its curves look."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from engine.store.status import State
from engine.store.summary import RunSummary
from tui import format
from tui.messages import RunView
from tui.screens.chart_acts import ChartActs
from tui.screens.confirm import Choice, ConfirmScreen
from tui.widgets.chart import Chart, Line, Look
from tui.widgets.log_view import LogView
from tui.widgets.smoothing import WEIGHTS

if TYPE_CHECKING:
    from tui.app import HeatsApp


class RunActsScreen(ChartActs):
    """A screen with one selected run, a chart and a log."""

    @abstractmethod
    def selected_run(self) -> RunSummary | None:
        """The run that the keys act on."""

    def panned(self, direction: int) -> None:
        if view := self._log_view():
            view.move_sideways(direction * 16)

    # Looks

    def _log_view(self) -> LogView | None:
        return next((pane for pane in self.panes() if isinstance(pane, LogView)), None)

    @property
    def look(self) -> Look:
        """How curves are shown."""
        return Look(self.heats.state.log_y, self.heats.state.smoothing)

    def action_log_y(self) -> None:
        """Logarithmic axis, on or off."""
        if self.grid() is not None:
            super().action_log_y()
            return
        self.heats.change_state(log_y=not self.heats.state.log_y)
        self.query_one(Chart).set_look(self.look)

    def action_open_chart(self) -> None:
        """The chosen chart in full, or all charts of the selected run."""
        from tui.screens.chart import ChartScreen

        run = self.selected_run()
        if self.grid() is not None:
            super().action_open_chart()
        elif run is not None:
            self.app.push_screen(ChartScreen((run.id,)))

    def action_smooth(self, direction: int) -> None:
        """Smooth more or less."""
        if self.grid() is not None:
            super().action_smooth(direction)
            return
        weights = list(WEIGHTS)
        nearest = min(weights, key=lambda weight: abs(weight - self.heats.state.smoothing))
        at = min(max(weights.index(nearest) + direction, 0), len(weights) - 1)
        self.heats.change_state(smoothing=weights[at])
        self.query_one(Chart).set_look(self.look)

    def action_next_metric(self) -> None:
        """The curves of the next metric."""
        if self.grid() is not None:
            super().action_next_metric()
        else:
            self._turn_metric(1)

    def action_previous_metric(self) -> None:
        """The curves of the metric before."""
        if self.grid() is not None:
            super().action_previous_metric()
        else:
            self._turn_metric(-1)

    def _turn_metric(self, direction: int) -> None:
        view, run = self.heats.tracker.view, self.selected_run()
        if view is None or run is None or not view.groups:
            return
        at = view.groups.index(view.group) if view.group in view.groups else -direction
        group = view.groups[(at + direction) % len(view.groups)]
        self.heats.change_state(metric=group)
        self.heats.tracker.watch(run.id, group)

    def action_follow(self) -> None:
        """Follow the end of the log or of a zoomed chart, or stay."""
        if self.grid() is not None:
            self.action_tail()
        elif view := self._log_view():
            view.set_following(not view.following)
            self.heats.change_state(follow=view.following)

    def show_view(self, view: RunView | None, run: RunSummary | None) -> None:
        """Give the chart the curves of a run."""
        chart = self.query_one(Chart)
        if run is None:
            chart.show("", (), message="")
            return
        if view is None or view.run_id != run.id:
            chart.show(self.heats.state.metric, (), message="reading…" if not self.heats.ascii_only else "reading...")
            return
        lines = [Line(_label(name, view.group), curve) for name, curve in view.curves.items()]
        chart.show(view.group, lines, message="nothing logged yet")

    # Acts

    def action_stop_run(self) -> None:
        """Ask, then stop."""
        self.stop_one(self.selected_run())

    def stop_one(self, run: RunSummary | None) -> None:
        """Ask, then stop a run."""
        if run is not None:
            ask_to_stop(self.heats, run)

    def action_resume_run(self) -> None:
        """Go on from the newest checkpoint."""
        self.resume_one(self.selected_run())

    def resume_one(self, run: RunSummary | None) -> None:
        """Go on with a run from its newest checkpoint."""
        if run is not None:
            resume_run(self.heats, run)


def ask_to_stop(app: HeatsApp, run: RunSummary) -> None:
    """Ask whether to stop a run, and do so; says why where it can't be stopped."""
    if app.refuses():
        return
    if not run.status.is_live and run.status is not State.SILENT and "processes of it are left" not in run.reason:
        app.tell(f"{run.name} isn't running: {run.status}", failed=True)
        return

    def decided(result: str | None) -> None:
        if result is not None:
            app.acts.stop(run.id, now=result == "now")

    app.push_screen(stop_question(run), decided)


def resume_run(app: HeatsApp, run: RunSummary) -> None:
    """Go on with a run from its newest checkpoint; says why where that can't be."""
    if app.refuses():
        return
    if run.status.is_live:
        app.tell(f"{run.name} is still {run.status}", failed=True)
        return
    app.acts.resume(run.id)


def stop_question(run: RunSummary) -> ConfirmScreen:
    """What is asked before a run is stopped: which run, what happens, what is lost."""
    saved = max((event.step or 0 for event in run.events if event.name == "checkpoint"), default=None)
    where = f"It is at step {format.progress(run.step, run.total_steps)}."
    at_once = "end at once, without a checkpoint"
    if saved is None:
        loss = "Ended at once it loses every step: there is no checkpoint yet."
    else:
        loss = f"Ended at once it loses what came after its checkpoint of step {saved:,}."
    if run.status is State.STOPPING:
        text = (f"It was asked to stop {format.ago(run.since)} ago and is saving. {where}", loss)
        wait = (Choice("s", at_once, "now", destructive=True), Choice("n", "wait", None))
        return ConfirmScreen(f"End {run.name} ({run.id[-4:]}) now?", text, wait, default=1)
    text = (f"{where} It saves a checkpoint at the end of its step and ends; `r` goes on from there.", loss)
    choices = (
        Choice("y", "save and stop", "stop", destructive=True),
        Choice("x", at_once, "now", destructive=True),
        Choice("n", "let it run", None),
    )
    return ConfirmScreen(f"Stop {run.name} ({run.id[-4:]})?", text, choices)


def _label(name: str, group: str) -> str:
    """`train` for train/loss among the curves of `loss`."""
    return name[: -len(group) - 1] if name.endswith(f"/{group}") else name
