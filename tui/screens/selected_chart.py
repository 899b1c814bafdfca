"""The acts on the one chart beside a table of runs: which metric it shows, and how."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.screens.base import RunActsScreen
from tui.widgets.chart import Chart, Line, Look
from tui.widgets.smoothing import nearest_weight

if TYPE_CHECKING:
    from engine.store.summary import RunSummary
    from tui.messages import RunView


class SelectedChartActs(RunActsScreen):
    """A screen with one `Chart`, of the selected run."""

    @property
    def look(self) -> Look:
        """How curves are shown."""
        return Look(self.heats.state.log_y, self.heats.state.smoothing)

    def action_log_y(self) -> None:
        """Logarithmic axis, on or off."""
        self.heats.change_state(log_y=not self.heats.state.log_y)
        self.query_one(Chart).set_look(self.look)

    def action_smooth(self, direction: int) -> None:
        """Smooth more or less."""
        self.heats.change_state(smoothing=nearest_weight(self.heats.state.smoothing, direction))
        self.query_one(Chart).set_look(self.look)

    def action_next_metric(self) -> None:
        """The curves of the next metric."""
        self._turn_metric(1)

    def action_previous_metric(self) -> None:
        """The curves of the metric before."""
        self._turn_metric(-1)

    def _turn_metric(self, direction: int) -> None:
        view, run = self.heats.tracker.view, self.selected_run()
        if view is None or run is None or not view.groups:
            return
        at = view.groups.index(view.group) if view.group in view.groups else -direction
        group = view.groups[(at + direction) % len(view.groups)]
        self.heats.change_state(metric=group)
        self.heats.tracker.watch(run.id, group)

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


def _label(name: str, group: str) -> str:
    """`train` for train/loss among the curves of `loss`."""
    return name[: -len(group) - 1] if name.endswith(f"/{group}") else name
