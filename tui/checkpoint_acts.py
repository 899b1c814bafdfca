"""What people do to checkpoints from the app: each is planned in a thread, shown, asked, and only then done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from engine.errors import HeatsError
from engine.store import checkpoints as stored
from engine.store.checkpoint_report import RunReport, inspect
from engine.store.checkpoints import Checkpoint
from engine.store.paths import RunPaths
from tui import format
from tui.acts import Outcome
from tui.checkpoint_plans import fix_text, moves_text, place, prune_text
from tui.hashing import Cancelled, Hashing
from tui.screens.confirm import Choice, ConfirmScreen
from tui.screens.prompt import PromptScreen

if TYPE_CHECKING:
    from engine.store.checkpoint_export import ExportPlan
    from engine.store.checkpoint_fix import FixPlan
    from engine.store.checkpoint_moves import MovePlan
    from engine.store.checkpoint_prune import PrunePlan
    from tui.screens.pane import HeatsScreen

T = TypeVar("T")
_NO = Choice("n", "leave all as it is", None)


class CheckpointActs:
    """The acts of one screen on checkpoints. One long reading at a time, of which `hashing` tells.

    Args:
        screen: asks and shows.
        changed: called when something has been done, to look at the checkpoints again.
    """

    def __init__(self, screen: HeatsScreen, changed: Callable[[], None]) -> None:
        self.screen = screen
        self.changed = changed
        self.hashing: Hashing | None = None
        """What is being read; its `text` is for a line of the screen at each tick."""

    # Looking

    def look(self, runs: Sequence[RunPaths], take: Callable[[tuple[RunReport, ...]], None]) -> None:
        """Look at the checkpoints of runs, headers and sizes only; may be asked at each tick."""
        self.screen.ask(
            "checkpoints", "looks at checkpoints", lambda: tuple(inspect(run) for run in runs), take, anew=False
        )

    def check_deep(self, runs: Sequence[RunPaths], take: Callable[[tuple[RunReport, ...]], None]) -> None:
        """Read every byte of the runs' checkpoints and compare its hash. `take` isn't called when it is cancelled."""

        def read(hashing: Hashing) -> tuple[RunReport, ...]:
            hashing.total = sum(item.bytes for run in runs for item in stored.scan(run) if item.valid)
            return tuple(inspect(run, deep=True, advance=hashing.advance) for run in runs)

        def taken(reports: tuple[RunReport, ...]) -> None:
            broken = [item for report in reports for item in report.checkpoints if item.problems]
            count = sum(len(report.checkpoints) for report in reports)
            if broken:
                self.screen.heats.tell(f"{len(broken)} of {count} checkpoints are broken", failed=True)
            else:
                self.screen.heats.tell(f"every byte of {count} checkpoints has its hash")
            take(reports)

        self._read("comparing hashes", read, taken)

    def cancel(self) -> bool:
        """End the reading that goes on; whether there is one."""
        if self.hashing is None:
            return False
        self.hashing.cancel()
        return True

    # Moving where runs go on

    def rewind(self, run: RunPaths, step: int, name: str) -> None:
        """Set a run back to a checkpoint (0 for its start), once that is confirmed."""

        def plan(_: Hashing) -> MovePlan:
            from engine.store.checkpoint_moves import plan_rewind

            return plan_rewind(run, str(step))

        self._plan("looking at the checkpoint", plan, lambda found: self._ask_moves(found, [name], f"Rewind {name}?"))

    def sync(self, runs: Mapping[str, RunPaths]) -> None:
        """Bring runs, by their names, to the greatest step at which each has a sound checkpoint, once confirmed."""
        chosen, names = list(runs.values()), list(runs)

        def plan(hashing: Hashing) -> MovePlan:
            from engine.store.checkpoint_moves import plan_sync

            return plan_sync(chosen, None, hashing.advance)

        title = f"Bring {len(chosen)} runs to one step?"
        self._plan("comparing hashes", plan, lambda found: self._ask_moves(found, names, title))

    def _ask_moves(self, plan: MovePlan, names: Sequence[str], title: str) -> None:
        text = moves_text(plan, names)
        if not any(move.changes for move in plan.moves):
            self.screen.heats.tell(text[-2])
            return

        def act() -> Outcome:
            from engine.store.checkpoint_moves import apply_moves

            apply_moves(plan)
            moved = [move for move in plan.moves if move.changes]
            if len(moved) == 1:
                return f"goes on from {place(moved[0].to)}; back again: {moved[0].undo}", moved[0].run.id
            return f"{len(moved)} runs go on from {place(moved[0].to)} when resumed", None

        self._confirm(title, text, "set it back", act, "moves resume points")

    def resume_from(self, run: RunPaths, checkpoint: Checkpoint, name: str) -> None:
        """Start a run again from one of its checkpoints, once that is confirmed."""
        if self.screen.heats.refuses():
            return
        later = [item.step for item in stored.scan(run) if item.usable and item.step > checkpoint.step]
        text = [f"It goes on from step {format.count(checkpoint.step)}, in a new attempt."]
        if later:
            steps = f"{len(later)} newer checkpoint{'s' if len(later) != 1 else ''}, up to step {max(later):,},"
            text.append(f"{steps} and the curve after it are shadowed: kept, but no longer the run's history.")
        if checkpoint.emergency:
            text.append("It is an emergency checkpoint: saved while something was wrong.")

        def decided(answer: str | None) -> None:
            if answer is not None:
                options = {"from_step": checkpoint.step} | ({"emergency": True} if checkpoint.emergency else {})
                self.screen.heats.acts.resume(run.id, **options)

        choices = (Choice("y", "resume from here", "yes"), _NO)
        self.screen.heats.push_screen(ConfirmScreen(f"Resume {name}?", text, choices), decided)

    # Deleting and putting right

    def prune(self, runs: Sequence[RunPaths], title: str, *, keep_last: int | None = None) -> None:
        """Delete what the policy of each run doesn't keep, or a stricter one, once the plan was seen.

        Args:
            runs: live ones are left alone, which is said.
            title: what to call them.
            keep_last: only so many of the newest, none for being best or round.
        """

        def plan(hashing: Hashing) -> tuple[list[PrunePlan], list[str]]:
            from engine.store.checkpoint_prune import children, plan_prune
            from engine.store.paths import open_store

            store = open_store(runs[0].folder.parent)
            started = children([store.run(run_id) for run_id in store.run_ids()])
            none = None if keep_last is None else 0
            return _each(
                runs,
                lambda run: plan_prune(
                    run, keep_last=keep_last, keep_best=none, keep_every=none, started_from=started.get(run.id),
                    advance=hashing.advance,
                ),
            )  # fmt: skip

        def ask(found: tuple[list[PrunePlan], list[str]]) -> None:
            plans, passed_over = found
            if not plans:
                self.screen.heats.tell("\n".join(passed_over), failed=True)
                return
            text = prune_text(plans, passed_over)
            fewer = Choice("k", "keep fewer: say how many", "fewer")
            count = sum(len(item.leaving) for item in plans)
            delete = Choice("y", f"delete {count} for good", "yes", destructive=True)
            choices = (delete, fewer, _NO) if count else (fewer, _NO)

            def decided(answer: str | None) -> None:
                if answer == "fewer":
                    self._ask_how_many(runs, title)
                elif answer == "yes":
                    self._do("deletes checkpoints", lambda: _prune(plans))

            # What can't be undone is never what a stray Enter does.
            self.screen.heats.push_screen(
                ConfirmScreen(f"Prune {title}?", text, choices, default=len(choices) - 1), decided
            )

        self._plan("finding the newest sound checkpoint", plan, ask)

    def _ask_how_many(self, runs: Sequence[RunPaths], title: str) -> None:
        def check(text: str) -> str | None:
            return None if text.isascii() and text.isdigit() and int(text) > 0 else "a whole number from 1 on"

        def answered(text: str | None) -> None:
            if text is not None:
                self.prune(runs, title, keep_last=int(text))

        ask = "How many of the newest are to stay?"
        why = ("What a run needs to go on stays in any case. The plan is shown again.",)
        self.screen.heats.push_screen(PromptScreen(ask, why, value="1", check=check), answered)

    def fix(self, runs: Sequence[RunPaths], title: str, *, deep: bool = False) -> None:
        """Repair pointers and move what is broken to the trash, once the plan was seen.

        Args:
            runs: live ones are left alone, which is said.
            title: what to call them.
            deep: also what has wrong hashes, which reads every byte.
        """

        def plan(hashing: Hashing) -> tuple[list[FixPlan], list[str]]:
            from engine.store.checkpoint_fix import plan_fix

            return _each(runs, lambda run: plan_fix(run, deep=deep, advance=hashing.advance))

        def ask(found: tuple[list[FixPlan], list[str]]) -> None:
            plans, passed_over = found
            if not any(item.changes for item in plans):
                nothing = f"{title}: nothing to put right" + ("" if deep else " (hashes not compared)")
                self.screen.heats.tell("\n".join((nothing, *passed_over)), failed=not plans)
                return
            text = fix_text(plans, passed_over)
            self._confirm(f"Put {title} right?", text, "put it right", lambda: _fix(plans), "fixes checkpoints")

        self._plan("looking at checkpoints", plan, ask)

    def export(self, run: RunPaths, checkpoint: Checkpoint, name: str) -> None:
        """Write a checkpoint's weights and config to a folder, which is asked for."""
        if checkpoint.emergency:
            self.screen.heats.tell("an emergency checkpoint isn't exported: choose another one", failed=True)
            return
        suggested = Path.cwd() / f"{run.id}-step-{checkpoint.step}"
        text = (f"step {format.count(checkpoint.step)}: weights, config and metadata as plain files",)

        def answered(target: str | None) -> None:
            if target is not None:
                self._export(run, checkpoint, Path(target).expanduser())

        self.screen.heats.push_screen(
            PromptScreen(f"Export {name} to which new folder?", text, value=str(suggested)), answered
        )

    def _export(self, run: RunPaths, checkpoint: Checkpoint, target: Path) -> None:
        def export(hashing: Hashing) -> ExportPlan:
            from engine.store.checkpoint_export import apply_export, model_bytes, plan_export

            hashing.total = model_bytes(checkpoint)
            plan = plan_export(run, target, str(checkpoint.step))
            apply_export(plan, hashing.advance)
            return plan

        told = f"exported step {format.count(checkpoint.step)} to {target}"
        self._read("copying", export, lambda _: self.screen.heats.tell(told))

    # How

    def _plan(self, what: str, plan: Callable[[Hashing], T], ask: Callable[[T], None]) -> None:
        """Make a plan for what changes the store; nothing where the app may change nothing."""

        def planned(found: T) -> None:
            if self.screen.is_active:
                ask(found)
            else:  # a question out of nowhere would take keys that were meant for something else
                self.screen.heats.tell("the plan is ready: ask for it again to see it")

        if not self.screen.heats.refuses():
            self._read(what, plan, planned)

    def _read(self, what: str, read: Callable[[Hashing], T], take: Callable[[T], None]) -> None:
        """Read in a thread, one at a time, so that it can be told of and ended."""
        if self.hashing is not None:
            self.screen.heats.tell(f"still {self.hashing.what}: V ends that", failed=True)
            return
        hashing = self.hashing = Hashing(what)

        def work() -> tuple[T | None, str | None]:
            try:
                return read(hashing), None
            except HeatsError as error:
                return None, str(error)
            except Exception as error:  # noqa: BLE001  told, never fatal; and the next reading must be possible
                return None, f"{what} failed: {type(error).__name__}: {error}"

        def done(answer: tuple[T | None, str | None]) -> None:
            self.hashing = None
            value, problem = answer
            if problem is not None or value is None:
                self.screen.heats.tell(problem or "nothing was found", failed=not hashing.cancelled)
            else:
                take(value)

        self.screen.ask("checkpoint-reading", f"is {what}", work, done)

    def _confirm(self, title: str, text: Sequence[str], yes: str, act: Callable[[], Outcome], description: str) -> None:
        def decided(answer: str | None) -> None:
            if answer is not None:
                self._do(description, act)

        choices = (Choice("y", yes, "yes", destructive=True), _NO)
        self.screen.heats.push_screen(ConfirmScreen(title, text, choices), decided)

    def _do(self, description: str, act: Callable[[], Outcome]) -> None:
        def then() -> None:
            if self.screen.is_attached:
                self.changed()

        self.screen.heats.acts.do(description, act, then)


def _each(runs: Sequence[RunPaths], plan: Callable[[RunPaths], T]) -> tuple[list[T], list[str]]:
    """A plan for each run, and a sentence for each that must be left alone.

    Raises:
        Cancelled: somebody ended it.
    """
    plans, passed_over = [], []
    for run in runs:
        try:
            plans.append(plan(run))
        except Cancelled:
            raise
        except HeatsError as error:
            passed_over.append(str(error))
    return plans, passed_over


def _prune(plans: Sequence[PrunePlan]) -> Outcome:
    from engine.store.checkpoint_prune import apply_prune

    freed = sum(apply_prune(plan) for plan in plans)
    count = sum(len(plan.leaving) for plan in plans)
    return f"{count} checkpoint{'s' if count != 1 else ''} deleted, {format.size(freed)} freed", None


def _fix(plans: Sequence[FixPlan]) -> Outcome:
    from engine.store.checkpoint_fix import apply_fix

    changing = [plan for plan in plans if plan.changes]
    for plan in changing:
        apply_fix(plan)
    moved = sum(len(plan.to_trash) for plan in changing)
    return "put right" + (f"; {moved} moved to the trash" if moved else ""), None
