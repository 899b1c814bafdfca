"""Checkpoints as rows of a table and as sentences: what the screens about them show. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.text import Text

from engine.store.checkpoint_report import CheckpointReport, RunReport
from tui import format
from tui.cli.terminal import safe
from tui.widgets.run_columns import coarse_age
from tui.widgets.small_table import Row

STEP, METRIC, SIZE, AGE, HOLDS, ATTEMPT, CHECK, KIND, RUN = (
    "step", "metric", "size", "age", "holds", "attempt", "check", "kind", "run",
)  # fmt: skip
_BY_WIDTH = ((76, (STEP, METRIC, SIZE, AGE, CHECK, HOLDS, KIND)), (56, (STEP, METRIC, SIZE, AGE, CHECK, KIND)))
_NARROW = (STEP, METRIC, CHECK, KIND)
_RIGHT = {STEP: 8, METRIC: 7, SIZE: 9, AGE: 4, ATTEMPT: 7}
BAD, GONE, GOOD = "red", "bright_black", "green"


def checkpoint_titles(width: int, *, run: bool = False) -> tuple[str, ...]:
    """The columns that fit.

    Args:
        width: cells.
        run: begin with the run, for a table of several.
    """
    room = width - 24 if run else width
    titles = next((titles for least, titles in _BY_WIDTH if room >= least), _NARROW)
    if room >= 100:
        titles = (*titles[:4], ATTEMPT, *titles[4:])
    return (RUN, *titles) if run else titles


def row_key(run_id: str, folder: str) -> str:
    """What a row stands for, over all refreshes: `<run id>/<checkpoint folder>`."""
    return f"{run_id}/{folder}"


def find_checkpoint(
    reports: Iterable[RunReport], key: str | None
) -> tuple[RunReport, CheckpointReport] | tuple[None, None]:
    """The checkpoint that a row stands for, with its run's report; twice None where it is gone."""
    run_id, _, folder = (key or "").partition("/")
    for report in reports:
        if report.run.id == run_id:
            for item in report.checkpoints:
                if item.checkpoint.folder.name == folder:
                    return report, item
    return None, None


def checkpoint_rows(
    report: RunReport, titles: Sequence[str], now: float, *, deep: bool = False, run_name: str = ""
) -> list[Row]:
    """The rows of a run, the newest checkpoint first.

    Args:
        report: what was found.
        titles: the columns, as checkpoint_titles gives them.
        now: seconds since 1970.
        deep: whether every byte was read for the report, so that its word on hashes counts.
        run_name: what the run's column says.
    """
    return [
        Row(
            row_key(report.run.id, item.checkpoint.folder.name),
            tuple(_cell(title, item, now, deep, run_name) for title in titles),
        )
        for item in reversed(report.checkpoints)
    ]


def check_word(item: CheckpointReport, *, deep: bool) -> str:
    """What is known of a checkpoint's bytes, in words."""
    if item.problems:
        return "broken"
    return "hashes fit" if deep else "sizes fit"


def _cell(title: str, item: CheckpointReport, now: float, deep: bool, run_name: str) -> Text:
    checkpoint = item.checkpoint
    style = BAD if item.problems else (GONE if checkpoint.shadowed else "")
    if title == RUN:
        return Text(safe(run_name), style=style)
    if title == CHECK:
        word = check_word(item, deep=deep)
        return Text(word, style=GOOD if word == "hashes fit" and not style else style)
    texts = {
        STEP: format.count(checkpoint.step),
        METRIC: format.number(checkpoint.metric),
        SIZE: format.size(checkpoint.bytes),
        AGE: coarse_age(checkpoint.created, now) if checkpoint.created else "-",
        ATTEMPT: str(checkpoint.attempt or "-"),
        HOLDS: holds(item),
        KIND: safe(", ".join(item.kinds)),
    }
    text = texts[title]
    return Text(text.rjust(_RIGHT[title]) if title in _RIGHT else text, style=style)


def holds(item: CheckpointReport) -> str:
    """What a resume would find in it beside the weights."""
    inside = item.contents
    parts = (("optimizer", inside.optimizer), ("scaler", inside.scaler), ("rng", inside.random))
    if all(there is None for _, there in parts):
        return "?"
    return " ".join(word for word, there in parts if there) or "-"


def checkpoint_sentence(item: CheckpointReport, *, deep: bool) -> str:
    """A checkpoint in one line: what it is and all that is wrong with it."""
    name = item.checkpoint.folder.name
    if item.problems:
        return f"{name}: " + safe("; ".join(item.problems))
    state = "every byte has its hash" if deep else "its files have their sizes; hashes not compared"
    left = "; left behind by a resume, so only `resume from here` uses it" if item.checkpoint.shadowed else ""
    return f"{name}: {state}{left}"


def report_sentence(reports: Sequence[RunReport], *, deep: bool) -> str:
    """Number, size and soundness of all checkpoints, and from where a single run would go on."""
    items = [item for report in reports for item in report.checkpoints]
    if not items and not any(report.problems for report in reports):
        return "no checkpoints yet"
    broken = sum(bool(item.problems) for item in items)
    size = format.size(sum(item.checkpoint.bytes for item in items))
    parts = [f"{len(items)} checkpoint{'s' if len(items) != 1 else ''}, {size}"]
    if len(reports) == 1:
        point = reports[0].resumes_from
        parts.append(f"goes on from step {format.count(point)}" if point else "goes on from the start")
    parts += [f"{broken} broken"] if broken else []
    parts += [safe(problem) for report in reports for problem in report.problems][:3]
    if not broken and len(parts) <= 2:
        parts.append("all hashes fit" if deep else "nothing wrong (hashes not compared)")
    return "; ".join(parts)
