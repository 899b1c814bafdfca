"""The checkpoints of any number of runs: a head for each run, and a line for each of its checkpoints."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.style import Style
from textual.strip import Strip

from engine.store.checkpoint_report import CheckpointReport, RunReport
from engine.store.summary import RunSummary
from tui import format
from tui.checkpoint_rows import BAD, GONE, GOOD, check_word, holds, row_key
from tui.cli.terminal import safe
from tui.widgets.run_columns import coarse_age, fit_text
from tui.widgets.virtual_table import Looks, Segments, VirtualTable

_COLUMNS = (
    ("step", 11, True, 0), ("metric", 9, True, 1), ("size", 10, True, 2), ("age", 4, True, 4), ("check", 10, False, 0),
    ("holds", 20, False, 5), ("kind", 24, False, 3),
)  # fmt: skip
"""Title, width, whether to the right, and which goes first where it is narrow."""


@dataclass(frozen=True)
class RunLine:
    """The head of a run's checkpoints."""

    report: RunReport
    name: str
    status: RunSummary | None
    deep: bool


@dataclass(frozen=True)
class CheckpointLine:
    """One checkpoint."""

    report: RunReport
    item: CheckpointReport
    deep: bool


Line = RunLine | CheckpointLine


def lines_of(
    reports: Iterable[RunReport], runs: dict[str, RunSummary], deep: Collection[str], *, problems_first: bool = False
) -> list[Line]:
    """The lines of a table.

    Args:
        reports: in their order.
        runs: the newest summaries, by run id.
        deep: ids of the runs whose every byte was read for their report.
        problems_first: runs with something wrong before all others.
    """
    ordered = sorted(reports, key=lambda report: report.is_sound) if problems_first else reports
    lines: list[Line] = []
    for report in ordered:
        run, is_deep = runs.get(report.run.id), report.run.id in deep
        name = f"{run.name} {run.id[-4:]}" if run is not None else report.run.id
        lines.append(RunLine(report, safe(name), run, is_deep))
        items = list(reversed(report.checkpoints))
        if problems_first:
            items.sort(key=lambda item: not item.problems)
        lines += [CheckpointLine(report, item, is_deep) for item in items]
    return lines


class CheckpointTable(VirtualTable):
    """Heads and checkpoints. Lines are keyed by run id, or run id and folder."""

    GUTTER = 2

    def __init__(self, *, ascii_only: bool = False, id: str | None = None) -> None:
        super().__init__(ascii_only=ascii_only, id=id)
        self.marked: frozenset[str] = frozenset()
        self._now = 0.0

    @property
    def report(self) -> RunReport | None:
        """The report of the run under the cursor."""
        line = self.selected_line
        return line.report if line is not None else None

    @property
    def item(self) -> CheckpointReport | None:
        """The checkpoint under the cursor; None on a head."""
        line = self.selected_line
        return line.item if isinstance(line, CheckpointLine) else None

    def show(self, lines: Sequence[Line], marked: Collection[str], now: float) -> None:
        """Show these lines, the cursor where it was."""
        self.marked, self._now = frozenset(marked), now
        self.set_lines(lines)

    def line_key(self, line: Any) -> str:
        run_id = str(line.report.run.id)
        return row_key(run_id, line.item.checkpoint.folder.name) if isinstance(line, CheckpointLine) else run_id

    def looks_of(self, line: Any) -> Looks:
        if isinstance(line, RunLine):
            status = line.status.status if line.status is not None else None
            return (line.report, line.name, status, line.deep, line.report.run.id in self.marked)
        return (line.item, line.deep, coarse_age(line.item.checkpoint.created, self._now))

    def columns(self) -> list[tuple[str, int, bool]]:
        """The columns that fit: title, width, whether to the right. The last takes what is left over."""
        room, chosen = self.row_width - self.GUTTER - 2, list(_COLUMNS)
        while len(chosen) > 2 and sum(width + 1 for _, width, _, _ in chosen) > room:
            chosen.remove(max(chosen, key=lambda column: column[3]))
        spare = max(0, room - sum(width + 1 for _, width, _, _ in chosen))
        found = [(title, width, right) for title, width, right, _ in chosen]
        title, width, right = found[-1]
        return [*found[:-1], (title, width + spare, right)]

    def draw_head(self, width: int, style: Style) -> Strip:
        line = Segments(style)
        line.add("    " + " ".join(fit_text(title, size, right=right) for title, size, right in self.columns()))
        return line.strip(width)

    def draw(self, line: Any, style: Style, *, under_cursor: bool, width: int) -> Strip:
        drawn = Segments(style)
        if isinstance(line, RunLine):
            self._draw_run(line, drawn, under_cursor, width)
        else:
            self._draw_checkpoint(line, drawn, under_cursor)
        return drawn.strip(width, self.ellipsis)

    def _draw_run(self, line: RunLine, drawn: Segments, under_cursor: bool, width: int) -> None:
        report = line.report
        if report.run.id in self.marked:
            marked = (
                None if under_cursor else drawn.style + self.get_component_rich_style("table--marked", partial=True)
            )
            drawn.add("x " if self.ascii_only else "◆ ", marked)
        else:
            drawn.add("  ")
        broken = sum(bool(item.problems) for item in report.checkpoints)
        words = [f"{len(report.checkpoints)} checkpoint{'s' if len(report.checkpoints) != 1 else ''}"]
        words.append(format.size(sum(item.checkpoint.bytes for item in report.checkpoints)))
        point = report.resumes_from
        words.append(f"goes on from step {point:,}" if point else "goes on from the start")
        wrong = [f"{broken} broken"] if broken else []
        wrong += [safe(problem) for problem in report.problems[:1]]
        state = ""
        if line.status is not None:
            state = f"{format.state_label(line.status.status, ascii_only=self.ascii_only)}  "
        style = None if under_cursor else drawn.style + self.get_component_rich_style("table--group", partial=True)
        head = fit_text(f"{state}{line.name}", min(46, max(20, width // 2 - 4)), ellipsis=self.ellipsis)
        colour = Style(color=format.STATE_COLORS[line.status.status]) if line.status is not None else Style()
        drawn.add(head[: len(state)], None if under_cursor else drawn.style + colour)
        drawn.add(head[len(state) :], style)
        drawn.add(f"  {', '.join(words)}")
        if wrong:
            drawn.add(f"  {'; '.join(wrong)}", None if under_cursor else drawn.style + Style(color=BAD))

    def _draw_checkpoint(self, line: CheckpointLine, drawn: Segments, under_cursor: bool) -> None:
        item, checkpoint = line.item, line.item.checkpoint
        word = check_word(item, deep=line.deep)
        texts = {
            "step": format.count(checkpoint.step),
            "metric": format.number(checkpoint.metric),
            "size": format.size(checkpoint.bytes),
            "age": coarse_age(checkpoint.created, self._now) if checkpoint.created else "-",
            "check": word,
            "holds": holds(item),
            "kind": safe(", ".join(item.kinds)),
        }
        color = BAD if item.problems else GONE if checkpoint.shadowed else None
        style = drawn.style + Style(color=color) if color and not under_cursor else None
        good = drawn.style + Style(color=GOOD) if word == "hashes fit" and not under_cursor and style is None else style
        drawn.add("    ")
        for title, size, right in self.columns():
            cell = fit_text(texts[title], size, right=right, ellipsis=self.ellipsis)
            drawn.add(f"{cell} ", good if title == "check" else style)
