"""Launch, stop and resume from the app: each in a thread, its outcome a message with one sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import HeatsError
from engine.store.paths import RunPaths
from tui import format
from tui.messages import ActDone

if TYPE_CHECKING:
    from textual.app import App

    from engine.launch.actions import LaunchRequest

Outcome = tuple[str, str | None]


class Acts:
    """What people do to runs, off the app's own thread: a launch copies code and starts a process."""

    def __init__(self, app: App[Any], root: Path) -> None:
        self.app = app
        self.root = root

    def launch(self, request: LaunchRequest) -> None:
        """Make a run and start it."""

        def act() -> Outcome:
            from engine.launch.actions import launch

            started = launch(self.root, request)
            return _with_warnings(f"launched {started.run.id}", started.warnings), started.run.id

        self.do("launches a run", act)

    def resume(self, run_id: str, **options: Any) -> None:
        """Go on with a run from its newest valid checkpoint, or as the options of `actions.resume` say."""

        def act() -> Outcome:
            from engine.launch.actions import resume

            started = resume(self.run_paths(run_id), **options)
            step = started.resumed_from_step
            told = (
                f"resumed {run_id} from step {format.count(step)}" if step else f"started {run_id} from the beginning"
            )
            return _with_warnings(told, (*started.passed_over, *started.warnings)), run_id

        self.do("resumes a run", act)

    def stop(self, run_id: str, *, now: bool) -> None:
        """Ask a run to end."""

        def act() -> Outcome:
            from engine.launch.actions import stop

            stop(self.run_paths(run_id), now=now)
            return (f"{run_id} ends now" if now else f"{run_id} saves a checkpoint and ends"), run_id

        self.do("stops a run", act)

    def run_paths(self, run_id: str) -> RunPaths:
        """Where a run lies."""
        return RunPaths(self.root.absolute() / run_id)

    def do(self, description: str, act: Callable[[], Outcome], then: Callable[[], None] | None = None) -> None:
        """Do something to the store in a thread, and tell its outcome in a toast.

        Args:
            description: what the part does, for the sentence when it fails ("stops a run").
            act: called in a thread; gives what to tell, and the run that it was about, if any.
            then: called in the app's own thread when it is over, well or not; the screen may have gone by then.
        """

        def work() -> None:
            try:
                told, run_id = act()
            except HeatsError as error:
                self.app.post_message(ActDone(str(error), failed=True, then=then))
            else:
                self.app.post_message(ActDone(told, run_id=run_id, then=then))

        self.app.run_worker(work, name="act", group="acts", description=description, exit_on_error=False, thread=True)


def _with_warnings(told: str, warnings: tuple[str, ...]) -> str:
    return "\n".join((told, *warnings))
