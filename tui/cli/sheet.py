"""The sheet that `heats show` prints."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from engine.store.checkpoint_report import kinds_of, newest_usable, resumes_from
from engine.store.checkpoints import Checkpoint
from engine.store.paths import RunPaths
from engine.store.records import read_run
from engine.store.status import State
from engine.store.summary import RunSummary
from tui import format as form
from tui.cli.attempts import AttemptView
from tui.cli.figure_sources import describe
from tui.cli.table import Cell, Column, render
from tui.cli.terminal import columns, glyphs, label, paint, safe

_INDENT = "  "
_FIRST = 10


def print_sheet(
    run: RunPaths,
    summary: RunSummary,
    attempts: Sequence[AttemptView],
    saved: Sequence[Checkpoint],
    options: dict[str, dict[str, Any]],
    trouble: str | None,
) -> None:
    """Everything about a run, at most as wide as the terminal where words can be wrapped."""
    print(f"{label(summary.status)}  {paint(safe(summary.id), 'bold')}")
    _print_facts(run, summary, attempts[-1].processes if attempts else 1)
    _print_list("alerts", summary.alerts, "yellow")
    _print_list("problems", summary.problems, "red")
    _print_metrics(summary)
    _print_list("figures from", describe(run), "dim")
    _print_attempts(attempts)
    _print_checkpoints(run, saved)
    _print_options(options, trouble)
    print(f"\n{paint('folder', 'dim')}  {safe(str(run.folder))}")
    if attempts:
        print(f"{paint('log', 'dim')}     {safe(str(run.attempt(attempts[-1].number).output))}")
        if attempts[-1].processes > 1:
            others = run.attempt(attempts[-1].number).folder / "output-rank-*.log"
            print(f"{paint('ranks', 'dim')}   {safe(str(others))}")


def _print_facts(run: RunPaths, summary: RunSummary, processes: int) -> None:
    record = read_run(run.record)
    since = f" ({form.ago(summary.since)})" if summary.since is not None else ""
    pace = [form.progress(summary.step, summary.total_steps)]
    if summary.total_steps:
        pace.append(f"{summary.step / summary.total_steps:.0%}")
    if summary.rate:
        pace.append(form.rate(summary.rate))
    if summary.left is not None:
        pace.append(f"{form.duration(summary.left)} left")
    made = f"{form.clock(summary.created)} ({form.ago(summary.created)} ago)" if summary.created else "-"
    facts = {
        "why": f"{summary.reason}{since}",
        "name": summary.name if summary.name not in summary.id else "",
        "task": summary.task,
        "progress": "  ".join(pace),
        "created": made,
        "host": summary.host or "",
        "job": summary.job or "",
        "processes": f"{processes}, under torchrun" if processes > 1 else "",
        "seed": "" if summary.seed is None else str(summary.seed),
        "study": " / ".join(part for part in (summary.study, summary.arm) if part),
        "parent": (record.parent if record else None) or "",
        "commit": (record.git_commit if record else None) or "",
        "works in": (record.folder if record else None) or "",
        "tags": ", ".join(summary.tags),
        "note": summary.note,
        "marks": ", ".join(word for word, on in (("star", summary.star), ("archived", summary.archived)) if on),
    }
    for name, text in facts.items():
        if text:
            print(_wrapped(safe(text), f"{_INDENT}{paint(name.ljust(_FIRST), 'dim')}", len(_INDENT) + _FIRST))


def _print_list(title: str, texts: Sequence[str], colour: str) -> None:
    if not texts:
        return
    print(f"\n{paint(title, colour)}")
    for text in texts:
        print(_wrapped(safe(text), _INDENT, len(_INDENT)))


def _wrapped(text: str, first: str, indent: int) -> str:
    width = columns()
    if width is None or indent + len(text) <= width:
        return first + text
    import textwrap

    lines = textwrap.wrap(text, max(20, width - indent), break_on_hyphens=False)
    return first + ("\n" + " " * indent).join(lines)


def _print_metrics(summary: RunSummary) -> None:
    best = {name: value for name, value in summary.best.items() if name != "step"}
    names = sorted({*summary.metrics, *best})
    if not names:
        return
    table = [Column("metric", flexible=True, head=12), Column("last", right=True)]
    rows = [[Cell(safe(name)), Cell(form.number(summary.metrics.get(name)))] for name in names]
    if best:
        at = summary.best.get("step")
        table.append(Column("best" if at is None else f"best, at step {at:,.0f}", right=True))
        for name, row in zip(names, rows, strict=True):
            row.append(Cell(form.number(best[name]) if name in best else ""))
    print(f"\n{render(table, rows, indent=_INDENT)}")


def _print_attempts(attempts: Sequence[AttemptView]) -> None:
    if not attempts:
        return
    table = [
        Column("attempt", right=True), Column("started"), Column("took", right=True), Column("from", right=True),
        Column("ended", flexible=True),
    ]  # fmt: skip
    rows = []
    for view in attempts:
        state = State(view.state)
        took = (view.ended or time.time()) - view.started if view.started and (view.ended or state.is_live) else None
        words = form.state_label(state, ascii_only=not glyphs())
        reason = safe(view.reason).removeprefix(view.state).lstrip(": ")
        rows.append([
            Cell(str(view.number)),
            Cell(form.clock(view.started)),
            Cell(form.duration(took)),
            Cell("start" if not view.resumed_from_step else f"step {view.resumed_from_step:,}"),
            Cell(f"{words}  {reason}".rstrip(), form.STATE_COLORS[state]),
        ])  # fmt: skip
    print(f"\n{render(table, rows, indent=_INDENT)}")
    for view in attempts:
        for key, change in view.overrides.items():
            shown = f"{change.get('from')!r} -> {change.get('to')!r}" if isinstance(change, dict) else repr(change)
            print(f"{_INDENT}attempt {view.number} changed {safe(key)}: {safe(shown)}")


def _print_checkpoints(run: RunPaths, saved: Sequence[Checkpoint]) -> None:
    if not saved:
        return
    latest, point = newest_usable(saved), resumes_from(run, saved)
    table = [
        Column("checkpoint", right=True), Column("metric", right=True), Column("size", right=True),
        Column("age", right=True), Column("why", flexible=True),
    ]  # fmt: skip
    rows = []
    for item in saved:
        words = (["can't be used"] if item.problems else []) + list(kinds_of(item, latest, point))
        rows.append([
            Cell(f"step {item.step:,}"),
            Cell(form.number(item.metric)),
            Cell(form.size(item.bytes)),
            Cell(form.ago(item.created or None)),
            Cell(safe(", ".join(words)), "red" if item.problems else None),
        ])  # fmt: skip
    print(f"\n{render(table, rows, indent=_INDENT)}")
    for item in saved:
        for problem in item.problems:
            print(_wrapped(safe(f"step {item.step:,}: {problem}"), _INDENT, len(_INDENT)))
    print(f"{_INDENT}{len(saved)} in all, {form.size(sum(item.bytes for item in saved))}")


def _print_options(options: dict[str, dict[str, Any]], trouble: str | None) -> None:
    if trouble:
        print(f"\n{_INDENT}{paint('options unknown: ' + safe(trouble), 'yellow')}")
    if not options:
        return
    table = [Column("option", flexible=True, head=12), Column("value"), Column("default", flexible=True)]
    rows = [
        [Cell(safe(key)), Cell(safe(_word(change["value"]))), Cell(safe(_word(change["default"])), "dim")]
        for key, change in options.items()
    ]
    print(f"\n{render(table, rows, indent=_INDENT)}")


def _word(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)
