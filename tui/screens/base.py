"""What the screens about runs share: stopping and resuming the selected run, and its log."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from engine.store.status import State
from tui import format
from tui.screens.confirm import Choice, ConfirmScreen
from tui.screens.pane import PaneScreen
from tui.widgets.log_view import LogView

if TYPE_CHECKING:
    from engine.store.summary import RunSummary
    from tui.app import HeatsApp


class RunActsScreen(PaneScreen):
    """A screen with one selected run and a log."""

    @abstractmethod
    def selected_run(self) -> RunSummary | None:
        """The run that the keys act on."""

    def panned(self, direction: int) -> None:
        if view := self._log_view():
            view.move_sideways(direction * 16)

    def _log_view(self) -> LogView | None:
        return next((pane for pane in self.panes() if isinstance(pane, LogView)), None)

    def action_follow(self) -> None:
        """Follow the end of the log, or stay."""
        if view := self._log_view():
            view.set_following(not view.following)
            self.heats.change_state(follow=view.following)

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
    """Go on with a run from its newest checkpoint; says why where that can't be.

    Whether it is still live its files say: what stands on the screen may be a second old, and its log says sooner that
    it has stopped.
    """
    if not app.refuses():
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
