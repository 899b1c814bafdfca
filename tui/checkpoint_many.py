"""Bringing runs to a common step from the app: planned in a thread, shown as a table, asked, done, taken back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from engine.store.paths import RunPaths
from tui import checkpoint_sync
from tui.checkpoint_acts import CheckpointActs
from tui.checkpoint_sync import SyncPlan
from tui.cli.terminal import safe
from tui.hashing import Hashing
from tui.run_acts import many
from tui.screens.confirm import Choice
from tui.screens.plan import PlanScreen
from tui.screens.prompt import PromptScreen

if TYPE_CHECKING:
    from tui.screens.pane import HeatsScreen


class ManyCheckpointActs(CheckpointActs):
    """The acts on checkpoints, and the sync of runs of which some may have to be left out."""

    def __init__(self, screen: HeatsScreen, changed: Callable[[], None]) -> None:
        super().__init__(screen, changed)
        self._undo: SyncPlan | None = None

    def sync_some(self, runs: Sequence[RunPaths], names: Mapping[str, str], to: int | None = None) -> None:
        """Show how runs would be brought to a step, and do it once that is confirmed.

        Args:
            runs: which runs; those that can't be moved are shown with the reason.
            names: what to call them, by their ids.
            to: this step; the greatest that is sound in all of them where left out.
        """

        def plan(hashing: Hashing) -> SyncPlan:
            return checkpoint_sync.plan_partial_sync(runs, to, hashing.advance)

        self._plan("comparing hashes", plan, lambda found: self._ask_sync(found, runs, names))

    def _ask_sync(self, plan: SyncPlan, runs: Sequence[RunPaths], names: Mapping[str, str]) -> None:
        count, step = len(plan.moves.moves), plan.step
        text = [f"Passed over {safe(said)}" for said in plan.moves.passed_over[:3]]
        text += [safe(said) for said in plan.why_left_out(names)]
        text.append("It takes effect with the next resume. Nothing is deleted; u takes it back.")
        choices = (
            [Choice("y", f"bring {many(count)} to step {step:,}", "yes", destructive=True)] if plan.changes else []
        )
        if len(plan.common) > 1:
            choices.append(Choice("o", f"another step: {len(plan.common)} are common", "other"))
        choices.append(Choice("n", "leave all as it is", None))
        title = f"Bring {many(count)} to step {step:,}?"
        if not plan.changes:
            title = f"All {many(count)} go on from step {step:,} already"

        def decided(answer: str | None) -> None:
            if answer == "yes":
                self._undo = plan
                self._do("moves resume points", lambda: checkpoint_sync.apply_sync(plan))
            elif answer == "other":
                self._ask_step(plan, runs, names)

        columns = ("run", "goes on from", "then from", "")
        rows = [tuple(map(safe, row)) for row in plan.rows(names)]
        self.screen.heats.push_screen(PlanScreen(title, columns, rows, text, choices), decided)

    def _ask_step(self, plan: SyncPlan, runs: Sequence[RunPaths], names: Mapping[str, str]) -> None:
        there = {str(step) for step in plan.common}

        def check(text: str) -> str | None:
            return None if text.strip() in there else "no step that all of them have a checkpoint of"

        def answered(text: str | None) -> None:
            if text is not None:
                self.sync_some(runs, names, int(text))

        steps = " ".join(str(step) for step in plan.common[-12:])
        self.screen.heats.push_screen(PromptScreen("To which step?", (f"common: {steps}",), check=check), answered)

    def undo_sync(self) -> None:
        """Take the last sync back."""
        if self.screen.heats.refuses():
            return
        if self._undo is None:
            self.screen.heats.tell("no sync was done from here", failed=True)
            return
        plan, self._undo = self._undo, None
        self._do("moves resume points", lambda: checkpoint_sync.undo_sync(plan))
