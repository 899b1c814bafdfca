"""The tab of what the run stands on: its launch, its code with all that git lacks, the machine and the packages."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.widget import Widget
from textual.widgets import Static

from engine.store.summary import RunSummary
from tui.copying import Copyable, fixed
from tui.environment_lines import Environment, environment_lines, read_environment
from tui.screens.run_tabs.tab import RunTab
from tui.screens.runs import update_text
from tui.widgets.log_view import LogView, TextLines


class EnvironmentTab(RunTab):
    """What the run's attempts stand on."""

    NAME = "environment"

    def __init__(self) -> None:
        super().__init__()
        self.found: Environment | None = None
        self._attempt: int | None = None
        self._known = -1

    def compose(self) -> ComposeResult:
        yield Static(id="environment-head", classes="head", markup=False)
        yield LogView(id="environment-lines", empty_text="reading")

    @property
    def view(self) -> LogView:
        """The lines."""
        return self.query_one("#environment-lines", LogView)

    def panes(self) -> list[Widget]:
        return [self.view]

    def update_run(self, run: RunSummary | None) -> None:
        if run is not None and run.attempts != self._known:
            self._known = run.attempts
            self._read()

    def _read(self) -> None:
        run, attempt = self.run_paths, self._attempt
        self.run_screen.ask(
            "environment", "reads what the run stands on", lambda: read_environment(run, attempt), self._take
        )

    def _take(self, found: Environment) -> None:
        self.found = found
        self._show()

    def on_resize(self) -> None:
        self._show()

    def _show(self) -> None:
        found = self.found
        if found is None:
            return
        lines, kinds = environment_lines(found, self.size.width)
        fresh = TextLines(lines, kinds)
        if fresh != self.view.source:
            top = self.view.top
            self.view.show(fresh)
            self.view.move_by(top)
        which = f"attempt {found.attempt} of {found.attempts[-1]}; " if len(found.attempts) > 1 else ""
        patch = "v opens the patch in the pager" if found.patch.strip() else "the code is as committed"
        update_text(self.query_one("#environment-head", Static), f"{which}{patch}; Y copies")

    def do_attempt(self) -> None:
        """Of the next attempt."""
        self._turn(1)

    def do_attempt_back(self) -> None:
        """Of the attempt before."""
        self._turn(-1)

    def _turn(self, direction: int) -> None:
        found = self.found
        if found is None or len(found.attempts) < 2:
            self.heats.tell("it has only one attempt")
            return
        self._attempt = found.attempts[(found.attempts.index(found.attempt) + direction) % len(found.attempts)]
        self._read()

    # Taking away

    def copyables(self) -> Sequence[Copyable]:
        found = self.found
        if found is None:
            return ()
        name = self.run_paths.id
        commit = next((value for key, value in found.pairs if key == "commit"), "")
        packages = "\n".join(f"{key}=={value}" for key, value in found.packages)
        items = [
            fixed("w", "the command line", found.command, "command.txt"),
            fixed("m", "the commit", commit, "commit.txt"),
            fixed("p", "the packages as requirements", packages, "requirements.txt"),
        ]
        if found.patch.strip():
            items.append(fixed("d", "the patch", found.patch, f"{name}.patch"))
        return [*items, fixed("a", "all of it", "\n".join(environment_lines(found, 120)[0]), f"{name}-environment.txt")]

    def readable(self) -> tuple[Copyable | None, int]:
        found = self.found
        if found is None:
            return None, 1
        if found.patch.strip():
            return fixed("d", "the patch", found.patch, "code.diff"), 1
        text = "\n".join(environment_lines(found, 120)[0])
        return fixed("a", "what it stands on", text, "environment.txt"), 1
