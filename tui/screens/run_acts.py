"""What can be done with the run of a run's screen, beside stopping and resuming it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from engine.errors import HeatsError
from engine.store.paths import RunPaths
from engine.store.records import Notes
from engine.store.summary import RunSummary
from tui import format, outside
from tui.acts import Outcome
from tui.cli.terminal import safe
from tui.screens.base import RunActsScreen
from tui.screens.confirm import Choice, ConfirmScreen
from tui.screens.prompt import PromptScreen
from tui.widgets.run_columns import short_name


class OneRunActs(RunActsScreen):
    """The acts on one run."""

    @property
    @abstractmethod
    def run_paths(self) -> RunPaths:
        """Where the run lies."""

    def _changeable(self) -> RunSummary | None:
        """The run, if the app may change anything."""
        run = self.selected_run()
        return None if run is None or self.heats.refuses() else run

    # Notes

    def action_star_run(self) -> None:
        """Star it, or take the star away."""
        if (run := self._changeable()) is not None:
            star = not run.star
            word = "starred" if star else "not starred any more"
            self._edit_notes(lambda notes: replace(notes, star=star), f"{run.name}: {word}")

    def action_archive_run(self) -> None:
        """Archive it, or bring it back."""
        if (run := self._changeable()) is not None:
            archived = not run.archived
            word = "archived: lists leave it out; Z brings it back" if archived else "not archived any more"
            self._edit_notes(lambda notes: replace(notes, archived=archived), f"{run.name}: {word}")

    def action_tag_run(self) -> None:
        """Ask for tags."""
        run = self._changeable()
        if run is None:
            return

        def check(text: str) -> str | None:
            try:
                _split_tags(text)
            except HeatsError as error:
                return str(error)
            return None

        def answered(text: str | None) -> None:
            if text is None or not text.strip():
                return
            from engine.store.notes import with_tags

            add, remove = _split_tags(text)
            said = " ".join([*(f"+{tag}" for tag in add), *(f"-{tag}" for tag in remove)])
            self._edit_notes(lambda notes: with_tags(notes, add, remove), f"{run.name}: {said}")

        there = safe(" ".join(run.tags)) or "none yet"
        why = (f"There are: {there}", "Several at once; a - before one takes it away.")
        self.heats.push_screen(PromptScreen(f"Tag {run.name}?", why, placeholder="paper -draft", check=check), answered)

    def edit_note(self) -> None:
        """Write the run's note in the editor, or in one line where there is none."""
        run = self._changeable()
        if run is None:
            return
        if outside.editor() is None:
            why = ("No editor was found (set VISUAL or EDITOR), so in one line:",)

            def answered(text: str | None) -> None:
                if text is not None:
                    self._edit_notes(lambda notes: replace(notes, note=text.strip()), f"{run.name}: noted")

            self.heats.push_screen(PromptScreen(f"Note on {run.name}", why, value=run.note), answered)
            return
        from tui.note_editing import edit_note_outside

        try:
            told = edit_note_outside(self.heats, self.run_paths)
        except HeatsError as error:
            self.heats.tell(str(error), failed=True)
        else:
            self.heats.tell(told)
            self.heats.tracker.kick()

    def _edit_notes(self, change: Callable[[Notes], Notes], told: str) -> None:
        paths = self.run_paths

        def act() -> Outcome:
            from engine.store.notes import edit_notes

            edit_notes(paths, change)
            return told, paths.id

        self.heats.acts.do("changes a run's notes", act)

    # Running

    def action_clone_run(self) -> None:
        """The form of a new run, filled in as this one was."""
        run = self._changeable()
        if run is None:
            return
        from tui.screens.launch import LaunchScreen

        self.heats.push_screen(LaunchScreen(clone_of=run.id))

    def action_save_now(self) -> None:
        """Ask a live run for a checkpoint."""
        run, paths = self._changeable(), self.run_paths
        if run is None:
            return
        if not run.status.is_live:
            self.heats.tell(f"{run.name} isn't running: {run.status}", failed=True)
            return

        def act() -> Outcome:
            from engine.store.requests import request_checkpoint

            request_checkpoint(paths)
            return f"{run.name} saves a checkpoint at the end of its step", run.id

        self.heats.acts.do("asks for a checkpoint", act)

    def action_evaluate_run(self) -> None:
        """Evaluate its best checkpoint, or the one under the cursor of the checkpoints."""
        run, paths = self.selected_run(), self.run_paths
        if run is None:
            return
        wanted = self.wanted_checkpoint()

        def act() -> Outcome:
            from tui.tool_runs import evaluate

            return evaluate(paths, wanted), None

        which = f"checkpoint of step {wanted}" if wanted.isdigit() else f"{wanted} checkpoint"
        self.heats.tell(f"evaluates the {which} of {run.name} in the background: the outcome is told")
        self.heats.acts.do("evaluates a run", act)

    def wanted_checkpoint(self) -> str:
        """Which checkpoint to evaluate: `best`, or a step."""
        return "best"

    def action_verify_run(self) -> None:
        """Train the stretch between its last two checkpoints again, elsewhere."""
        run, paths = self.selected_run(), self.run_paths
        if run is None:
            return

        def act() -> Outcome:
            from tui.tool_runs import verify

            return verify(paths), None

        def decided(answer: str | None) -> None:
            if answer is not None:
                self.heats.tell(f"trains a stretch of {run.name} again in the background: the outcome is told")
                self.heats.acts.do("verifies a run", act)

        text = (
            "What lies between its last two checkpoints is trained again, in a scratch folder; the run is only read. "
            "It takes as long as it took, and the processor or GPU with it.",
        )
        choices = (Choice("y", "train it again", "yes"), Choice("n", "leave it", None))
        self.heats.push_screen(ConfirmScreen(f"Verify {short_name(run)}?", text, choices), decided)

    # Deleting

    def action_delete_run(self) -> None:
        """Move it to the trash, after asking."""
        run, paths = self._changeable(), self.run_paths
        if run is None:
            return

        def plan() -> Any:
            from engine.store.paths import open_store
            from engine.store.trash import plan_delete

            store = open_store(paths.folder.parent)
            return store, plan_delete(store, [paths])

        def take(found: Any) -> None:
            store, planned = found
            if planned.refused:
                self.heats.tell("\n".join(planned.refused), failed=True)
            elif self.is_active:
                self._ask_delete(run, store, planned)

        self.ask("delete", "measures a run", plan, take)

    def _ask_delete(self, run: RunSummary, store: Any, planned: Any) -> None:
        def act() -> Outcome:
            from engine.store.trash import delete

            gone = [moved.id for moved in delete(store, planned)]
            return f"{run.name} is in the trash; heats restore {' '.join(gone)} brings it back", None

        def decided(answer: str | None) -> None:
            if answer is not None:
                self.heats.acts.do("deletes a run", act, self.gone)

        files = sum(item.files for item in planned.leaving)
        text = [
            f"All of it, {files:,} files with {format.size(planned.bytes)}, moves to the store's trash.",
            f"heats restore {run.id} brings it back, until heats purge.",
            *map(safe, planned.warnings),
        ]
        choices = (Choice("y", "move it to the trash", "yes", destructive=True), Choice("n", "keep it", None))
        self.heats.push_screen(ConfirmScreen(f"Delete {short_name(run)}?", text, choices, default=1), decided)

    def gone(self) -> None:
        """A deletion is over: leave, if the run has really gone."""
        if self.is_attached and not self.run_paths.folder.exists():
            while self.heats.screen is not self and len(self.heats.screen_stack) > 2:
                self.heats.pop_screen()
            self.dismiss()


def _split_tags(text: str) -> tuple[list[str], list[str]]:
    """What to add and what to take away.

    Raises:
        HeatsError: a word can't be a tag.
    """
    from engine.store.notes import check_tag

    words = text.split()
    remove = [word[1:] for word in words if word.startswith("-")]
    add = [check_tag(word.removeprefix("+")) for word in words if not word.startswith("-")]
    return add, remove
