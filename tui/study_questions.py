"""What a study's screen says of a cell and asks before it acts, and its report as lines. Pure functions."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markdown import Markdown
from rich.text import Text

from tui import format
from tui.screens.confirm import Choice, ConfirmScreen
from tui.study_acts import RunPlan
from tui.study_view import StudyView

if TYPE_CHECKING:
    from engine.study.cells import CellState

_NAMED = 4


def run_question(plan: RunPlan) -> ConfirmScreen:
    """What is asked before a study's missing cells are queued: how many runs, how long, and what is left alone."""
    choices = []
    if plan.runs or plan.trials or plan.needed:
        what = f"run {plan.runs}" if plan.runs else "run what it needs" if plan.needed else "go on searching"
        choices.append(Choice("y", what, "run"))
    text = list(plan.text()) if choices else []
    if plan.stopped:
        were = "1 run was" if plan.stopped == 1 else f"{plan.stopped} runs were"
        text.append(f"{were} stopped by a person, and {'stays' if plan.stopped == 1 else 'stay'} so unless you say.")
        also = "run these, and go on with the stopped ones" if choices else "go on with the stopped ones"
        choices.append(Choice("g", f"{also} from their checkpoints", "go_on"))
    choices.append(Choice("n", "not now", None))
    return ConfirmScreen(f"Run {plan.label}?", text, choices)


def cell_line(state: CellState, metric: str | None) -> str:
    """A cell in one line: how it stands and why, how far, its figure, its run."""
    run = state.summary
    if run is None:
        why = f"waits for {', '.join(state.cell.needs)}" if state.standing == "waiting" else "not trained yet"
        return f"{state.cell.name}: {why}"
    value = run.metrics.get(metric) if metric else None
    best = run.best.get(metric) if metric else None
    parts = [
        f"{state.cell.name}: {state.standing}",
        f"step {format.progress(run.step, run.total_steps)}",
        f"{metric} {format.number(value)}" if value is not None else "",
        f"best {format.number(best)}" if best is not None else "",
        f"{format.duration(run.left)} left" if run.left else "",
        run.reason if state.standing in ("failed", "stopped") else "",
        run.suspect or "",
        run.id[-4:],
        f"{len(state.older)} earlier" if state.older else "",
    ]
    return "  ".join(part for part in parts if part)


def redo_choices(view: StudyView, here: CellState | None, marked: Sequence[CellState]) -> list[Choice]:
    """What may be trained anew: the marked cells, the cell under the cursor, its arm, and all of a kind.

    Each result is the words for `redo`, a line each.
    """

    def free(state: CellState) -> bool:
        return state.standing not in ("queued", "live", "waiting", "missing")

    choices = []
    chosen = [state.cell.name for state in marked if free(state)]
    if chosen:
        choices.append(Choice("m", f"the marked cells that aren't live ({len(chosen)})", "\n".join(chosen)))
    if here is not None and free(here):
        choices.append(Choice("c", f"the cell {here.cell.name} ({here.standing})", here.cell.name))
    if here is not None:
        arm = [state for state in view.states if state.cell.arm == here.cell.arm and free(state)]
        if len(arm) > 1:
            choices.append(Choice("a", f"all of the arm {here.cell.arm} ({len(arm)} cells)", here.cell.arm))
    for key, standing in (("f", "failed"), ("u", "suspect"), ("t", "stopped")):
        count = sum(state.standing == standing for state in view.states)
        if count:
            choices.append(Choice(key, f"all that {_IS[standing]} ({count})", standing))
    return choices


_IS = {"failed": "failed", "suspect": "are suspect", "stopped": "were stopped"}


def stop_question(view: StudyView) -> ConfirmScreen | None:
    """What is asked before a study is stopped; None where nothing of it runs or waits."""
    live = [state for state in view.states if state.standing == "live"]
    queued = [state for state in view.states if state.standing == "queued"]
    if not live and not queued:
        return None
    lines = []
    if live:
        places = [
            f"{state.cell.name} at {format.progress(state.summary.step, state.summary.total_steps)}"
            for state in live[:_NAMED]
            if state.summary is not None
        ]
        more = f" and {len(live) - _NAMED} more" if len(live) > _NAMED else ""
        lines.append(f"Live: {', '.join(places)}{more}. Each saves a checkpoint and ends.")
    if queued:
        lines.append(f"Waiting: {len(queued)}. They leave the queue; runs that never began go to the trash.")
    lines.append("`r` runs what is missing again and offers to go on with what was stopped.")
    choices = [Choice("y", f"stop {len(live)} and take out {len(queued)}", "stop", destructive=True)]
    if live:
        lines.append("Ended at once they lose what came after their last checkpoints.")
        choices.append(Choice("x", "end at once, without checkpoints", "now", destructive=True))
    choices.append(Choice("n", "let them run", None))
    return ConfirmScreen(f"Stop all of {view.source.label}?", lines, choices)


def report_lines(markdown: str, width: int, *, ascii_only: bool = False) -> list[Text]:
    """A report's Markdown as styled lines of this width; its pictures are left to the HTML page."""
    kept = "\n".join(line for line in markdown.splitlines() if not line.startswith("!["))
    console = Console(width=max(20, width), file=io.StringIO(), force_terminal=True, color_system="truecolor")
    options = console.options.update(width=max(20, width))
    if ascii_only:
        options.encoding = "ascii"
    lines = []
    for segments in console.render_lines(Markdown(kept, hyperlinks=False), options, pad=False):
        text = Text(no_wrap=True)
        for segment in segments:
            text.append(_ascii(segment.text) if ascii_only else segment.text, segment.style)
        text.rstrip()
        lines.append(text)
    return [*lines, Text(), Text("W writes report.html, which has the pictures.", "dim")]


_PLAIN = str.maketrans({"•": "*", "–": "-", "—": "-", "│": "|", "─": "-", "━": "=", "▌": "|", "…": "~", "’": "'"})


def _ascii(text: str) -> str:
    return text.translate(_PLAIN).encode("ascii", "replace").decode()
