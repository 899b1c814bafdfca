"""The tab of charts, with the end of the log below where there is room."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual.app import ComposeResult
from textual.widget import Widget
from textual.widgets import Static

from engine.store.log_places import Jump, attempt_with
from engine.store.summary import RunSummary
from tui.copying import Copyable
from tui.messages import RunView
from tui.screens.run_tabs.tab import RunTab
from tui.screens.runs import update_text
from tui.widgets.chart_grid import ChartGrid
from tui.widgets.log_view import LogView
from tui.widgets.scale import AXIS_NAMES


class ChartsTab(RunTab):
    """The run's curves."""

    NAME = "charts"

    def compose(self) -> ComposeResult:
        yield Static(id="info", markup=False)
        yield ChartGrid(id="curves", ascii_only=self.ascii_only)
        yield LogView(id="chart-log", follow=self.heats.state.follow, empty_text="reading the log")

    @property
    def grid(self) -> ChartGrid:
        """The charts."""
        return self.query_one(ChartGrid)

    def opened(self) -> None:
        super().opened()
        self.call_after_refresh(self.tick)

    def tick(self) -> None:
        self.run_screen.read_charts((self.run_paths.id,))

    def do_open(self) -> None:
        """The chosen chart over the whole screen."""
        self.run_screen.action_open_chart()

    def do_jump(self) -> None:
        """What was printed at the crosshair's place."""
        place, run = self.grid.place(), self.run_paths
        if place is None:
            self.heats.tell("the crosshair says where: . and , move it")
            return
        axis, value = place
        if axis not in ("step", "time"):
            self.heats.tell(
                f"the log knows steps and the clock, not {AXIS_NAMES[axis]}: x changes the axis", failed=True
            )
            return
        jump = Jump("step" if axis == "step" else "time", value)
        show = self.run_screen.show_in_log
        self.run_screen.ask(
            "place", "looks for the attempt", lambda: attempt_with(run, jump), lambda at: show(jump, at)
        )

    def leave(self) -> bool:
        return self.grid.back()

    def update_run(self, run: RunSummary | None) -> None:
        if run is not None:
            text = f"{run.id}  {run.note.splitlines()[0]}" if run.note else run.id
            update_text(self.query_one("#info", Static), text)

    def show_view(self, view: RunView) -> None:
        """News of the run: the end of its log."""
        log = self.query_one("#chart-log", LogView)
        if view.log is not None and view.log is not log.source:
            log.show(view.log)
            log.set_empty_text("nothing printed yet")

    def panes(self) -> list[Widget]:
        log = self.query_one("#chart-log")
        return [self.grid, *([log] if self.screen.has_class("tall") else [])]

    def copyables(self) -> Sequence[Copyable]:
        run = self.run_paths
        return (
            Copyable("m", "the curves as CSV", csv_of(self.run_screen), f"{run.id}.csv"),
            Copyable("p", "the path of the run's folder", lambda: str(run.folder), "path.txt"),
        )


def csv_of(screen: object) -> Callable[[], str]:
    """All curves of the screen's run, a row a step, as text."""
    run = screen.run_paths  # type: ignore[attr-defined]

    def text() -> str:
        import io

        from engine.store.export import history_table, write_csv

        stream = io.BytesIO()
        write_csv(history_table([run]), stream)
        return stream.getvalue().decode()

    return text
