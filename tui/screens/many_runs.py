"""Acts on several runs: those that are marked, or else the one (or the group) under the cursor."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from engine.errors import HeatsError
from tui import run_acts
from tui.cli.terminal import safe
from tui.run_acts import can_stop, many
from tui.screens.base import RunActsScreen
from tui.screens.opening import open_chart, open_compare, open_launch
from tui.screens.prompt import PromptScreen

if TYPE_CHECKING:
    from engine.store.paths import RunPaths
    from engine.store.summary import RunSummary
    from engine.store.trash import DeletePlan
    from tui.acts import Outcome

_MOST_OVERLAID = 60


class ManyRunsScreen(RunActsScreen):
    """A screen with marks. `targets` says whom an act is about."""

    def __init__(self) -> None:
        super().__init__()
        self._deleted: list[list[str]] = []
        """What was moved to the trash from here, a list of folder names there for each time."""

    @abstractmethod
    def targets(self) -> list[RunSummary]:
        """The runs that an act is about."""

    @abstractmethod
    def hidden(self, runs: Sequence[RunSummary]) -> int:
        """How many of these can't be seen now."""

    def _chosen(self) -> list[RunSummary]:
        """Whom an act that changes something is about; nobody where that is refused or there is none."""
        if self.heats.refuses():
            return []
        runs = self.targets()
        if not runs:
            self.heats.tell("no run is selected", failed=True)
        return runs

    def _do(self, description: str, runs: Sequence[RunSummary], act: Callable[[list[RunPaths]], Outcome]) -> None:
        """Do something to runs in a thread, and look at them again."""
        ids = [run.id for run in runs]
        paths = [self.heats.acts.run_paths(run_id) for run_id in ids]
        self.heats.acts.do(description, lambda: act(paths), lambda: self.heats.tracker.look_again(ids))

    # Starting and stopping

    def action_stop_run(self) -> None:
        """Ask, then stop."""
        runs = self.targets()
        if len(runs) < 2:
            self.stop_one(runs[0] if runs else None)
            return
        if self.heats.refuses():
            return
        stoppable = [run for run in runs if can_stop(run)]
        if not stoppable:
            self.heats.tell(f"none of the {len(runs)} marked runs is running", failed=True)
            return

        if len(stoppable) == 1:
            self.stop_one(stoppable[0])
            return

        def decided(result: str | None) -> None:
            if result is not None:
                self._do("stops runs", stoppable, lambda paths: _stop(paths, now=result == "now"))

        question = run_acts.stop_many_question(stoppable, len(runs) - len(stoppable), self.hidden(stoppable))
        self.heats.push_screen(question, decided)

    def action_resume_run(self) -> None:
        """Go on from the newest checkpoint; of several runs only after asking."""
        runs = self.targets()
        if len(runs) < 2:
            self.resume_one(runs[0] if runs else None)
            return
        if self.heats.refuses():
            return
        idle = [run for run in runs if not run.status.is_live]
        if not idle:
            self.heats.tell(f"all {len(runs)} marked runs are live", failed=True)
            return

        def decided(result: str | None) -> None:
            if result is not None:
                self._do("resumes runs", idle, _resume)

        self.heats.push_screen(run_acts.resume_many_question(idle, len(runs) - len(idle), self.hidden(idle)), decided)

    def action_clone_run(self) -> None:
        """The form of a new run, filled in as another one."""
        runs = self._chosen()
        if len(runs) > 1:
            self.heats.tell("several runs are marked: clone takes one", failed=True)
        elif runs:
            open_launch(self.heats, clone_of=runs[0].id)

    # Looking at several

    def action_compare_runs(self) -> None:
        """Runs side by side."""
        runs = self.targets()
        if len(runs) < 2:
            self.heats.tell("mark two runs or more with Space, then compare them", failed=True)
            return
        open_compare(self.heats, [run.id for run in runs])

    def action_overlay_runs(self) -> None:
        """The curves of runs in one chart."""
        runs = self.targets()
        if not runs:
            return
        if len(runs) > _MOST_OVERLAID:
            self.heats.tell(f"the first {_MOST_OVERLAID} of {len(runs)} runs are drawn")
        ids = [run.id for run in runs[:_MOST_OVERLAID]]
        open_chart(self.heats, ids, self.heats.state.metric)

    # What people say of runs

    def action_tag_runs(self) -> None:
        """Ask for tags."""
        runs = self._chosen()
        if not runs:
            return

        def check(text: str) -> str | None:
            try:
                run_acts.parse_tags(text)
            except HeatsError as error:
                return str(error)
            return None

        def answered(text: str | None) -> None:
            if text:
                self._do("tags runs", runs, lambda paths: run_acts.tag_each(paths, text))

        now = sorted({tag for run in runs for tag in run.tags})
        used = sorted({tag for run in self.heats.tracker.runs or () for tag in run.tags} - set(now))
        text = ["words add tags, -word takes one away"]
        text += [f"now: {' '.join(now)}"] if now else []
        text += [f"in use: {' '.join(used[:12])}"] if used else []
        title = f"Tags of {_who(runs)}"
        self.heats.push_screen(PromptScreen(title, text, placeholder="paper -draft", check=check), answered)

    def action_note_run(self) -> None:
        """Ask for a note."""
        runs = self._chosen()
        if not runs:
            return
        notes = {run.note for run in runs}
        before = " ".join(notes.pop().split()) if len(notes) == 1 else ""
        text = ("it takes the place of the notes that they have",) if len(runs) > 1 else ()

        def answered(note: str | None) -> None:
            if note is not None and note != before:
                self._do("writes notes", runs, lambda paths: run_acts.note_each(paths, note))

        self.heats.push_screen(PromptScreen(f"Note on {_who(runs)}", text, value=before), answered)

    def action_star_runs(self) -> None:
        """Star, or unstar where all are starred."""
        runs = self._chosen()
        if runs:
            star = not all(run.star for run in runs)
            self._do("stars runs", runs, lambda paths: run_acts.star_each(paths, star))

    def action_archive_runs(self) -> None:
        """Archive, or bring back where all are archived."""
        runs = self._chosen()
        if runs:
            archived = not all(run.archived for run in runs)
            self._do("archives runs", runs, lambda paths: run_acts.archive_each(paths, archived))

    # Deleting

    def action_delete_runs(self) -> None:
        """Say what is lost, ask, then move to the trash."""
        runs = self._chosen()
        idle = [run for run in runs if not can_stop(run)]
        if not idle:
            if runs:
                self.heats.tell(f"{_who(runs)} {'is' if len(runs) == 1 else 'are'} running: stop first", failed=True)
            return
        root, ids = self.heats.store_root, [run.id for run in idle]

        def ask(plan: DeletePlan) -> None:
            if plan.refused:
                self.heats.tell(plan.refused[0], failed=True)
            elif self.is_current:
                question = run_acts.delete_question(idle, plan, self.hidden(idle))
                self.heats.push_screen(question, lambda answer: self._delete(plan, idle) if answer else None)

        if len(idle) < len(runs):
            left = len(runs) - len(idle)
            self.heats.tell(
                f"{left} of the marked runs {'is running and stays' if left == 1 else 'are running and stay'}"
            )
        self.ask("delete", "measures runs", lambda: run_acts.plan_deletion(root, ids), ask)

    def _delete(self, plan: DeletePlan, runs: Sequence[RunSummary]) -> None:
        trashed: list[str] = []
        self._deleted.append(trashed)
        root = self.heats.store_root
        self._do("deletes runs", runs, lambda paths: run_acts.carry_out(root, plan, trashed))

    def action_undo_delete(self) -> None:
        """Bring back what was deleted last."""
        if self.heats.refuses():
            return
        while self._deleted and not self._deleted[-1]:
            self._deleted.pop()
        if not self._deleted:
            self.heats.tell("nothing was deleted from here; T shows the trash", failed=True)
            return
        entries, root = self._deleted.pop(), self.heats.store_root
        self.heats.acts.do("restores runs", lambda: run_acts.bring_back(root, entries))

    def action_open_trash(self) -> None:
        """What was deleted."""
        from tui.screens.trash import TrashScreen

        self.heats.push_screen(TrashScreen())


def _who(runs: Sequence[RunSummary]) -> str:
    return f"{safe(runs[0].name)} ({runs[0].id[-4:]})" if len(runs) == 1 else many(len(runs))


def _stop(paths: Sequence[RunPaths], *, now: bool) -> Outcome:
    from engine.launch import actions

    word = "ends now" if now else "saves a checkpoint and ends"
    words = "end now" if now else "save a checkpoint and end"
    return run_acts.each(
        paths, lambda run: actions.stop(run, now=now), lambda n: f"{many(n)} {word if n == 1 else words}"
    )


def _resume(paths: Sequence[RunPaths]) -> Outcome:
    from engine.launch import actions

    return run_acts.each(paths, actions.resume, lambda count: f"{many(count)} resumed")
