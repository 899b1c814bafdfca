"""The tab of the config: by section, with what differs from the defaults and what attempts changed."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.widget import Widget
from textual.widgets import Static

from engine.errors import HeatsError
from engine.store.summary import RunSummary
from tui import outside
from tui.config_lines import Config, Entry, config_lines, entry_text, read_config, summary, value_text
from tui.copying import Copyable
from tui.screens.run_tabs.tab import RunTab
from tui.screens.runs import update_text
from tui.widgets.cursor_view import CursorView


class ConfigTab(RunTab):
    """The run's options."""

    NAME = "config"

    def __init__(self) -> None:
        super().__init__()
        self.config: Config | None = None
        self.only_changed = False
        self._about: list[Entry | None] = []
        self._attempts = -1

    def compose(self) -> ComposeResult:
        yield Static(id="config-head", classes="head", markup=False)
        yield CursorView(id="config-lines", empty_text="reading the config")
        yield Static(id="config-foot", classes="foot", markup=False)

    def on_mount(self) -> None:
        self.only_changed = self.heats.state.only_changed

    @property
    def view(self) -> CursorView:
        """The options."""
        return self.query_one("#config-lines", CursorView)

    def panes(self) -> list[Widget]:
        return [self.view]

    def update_run(self, run: RunSummary | None) -> None:
        if run is not None and run.attempts != self._attempts:  # only a new attempt changes what it trains by
            self._attempts = run.attempts
            paths = self.run_paths
            self.run_screen.ask("config", "reads the config", lambda: read_config(paths), self._take)

    def _take(self, config: Config) -> None:
        self.config = config
        self._show()

    def on_resize(self) -> None:
        self._show()

    def _show(self) -> None:
        config = self.config
        if config is None:
            return
        only = self.only_changed and any(entry.differs for entry in config.entries)
        lines, kinds, self._about = config_lines(config, self.size.width, only_changed=only, ascii_only=self.ascii_only)
        stops = [number for number, entry in enumerate(self._about) if entry is not None]
        self.view.empty_text = config.problem or "no options"
        self.view.show_lines(lines, kinds, stops=stops or None)
        if self.view.pattern:
            self.view.search(self.view.pattern)
        update_text(self.query_one("#config-head", Static), summary(config, only_changed=only))
        self._show_entry()

    def on_cursor_view_moved(self, message: CursorView.Moved) -> None:
        """Say what the option under the cursor is."""
        message.stop()
        self._show_entry()

    def _show_entry(self) -> None:
        at = self.view.cursor
        entry = self._about[at] if at < len(self._about) else None
        update_text(self.query_one("#config-foot", Static), entry_text(entry) if entry is not None else "")

    def do_only_changed(self) -> None:
        """Only what differs from the defaults, or all."""
        if self.config is not None and not any(entry.differs for entry in self.config.entries):
            self.heats.tell(self.config.problem or "every option is as its default")
            return
        self.only_changed = not self.only_changed
        self.heats.change_state(only_changed=self.only_changed)
        self._show()

    def edit_copy(self) -> None:
        """A copy in the editor; changed, it is kept for a launch."""
        item, _ = self.readable()
        if item is None:
            return
        try:
            path = outside.edit_copy(self.heats, item)
        except HeatsError as error:
            self.heats.tell(str(error), failed=True)
            return
        run = self.run_screen.selected_run()
        task = run.task if run is not None else "TASK"
        if path is None:
            self.heats.tell("the copy is as it was; the run's own config never changes")
        else:
            self.heats.tell(f"the run keeps its config; heats launch {task} --config {path} trains by the copy")

    # Taking away

    def copyables(self) -> Sequence[Copyable]:
        config = self.config
        if config is None:
            return ()
        at = self.view.cursor
        entry = self._about[at] if at < len(self._about) else None
        name = f"{self.run_paths.id}.yaml"
        items = [Copyable("a", "the config as YAML, attempts' changes in it", lambda: config.effective, name)]
        if config.effective != config.text:
            items.append(Copyable("f", "config.yaml as it was at the start", lambda: config.text, name))
        if entry is not None:
            one, all_of_it = f"{entry.key}={value_text(entry.value)}", entry_text(entry)
            items.insert(0, Copyable("o", f"{entry.key}=..., as commands take it", lambda: one, "option.txt"))
            items.insert(1, Copyable("h", "what the option is", lambda: all_of_it, "option.txt"))
        return items

    def readable(self) -> tuple[Copyable | None, int]:
        config = self.config
        if config is None:
            return None, 1
        return Copyable("a", "the config", lambda: config.effective, f"{self.run_paths.id}.yaml"), 1
