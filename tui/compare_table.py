"""What the screen that compares runs shows: its table, and how two runs differ in lines. Reading is one function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from engine.errors import HeatsError
from engine.store.diff import AS_STORED
from engine.store.paths import open_store
from engine.store.summary import RunSummary
from tui import format
from tui.comparing import Compared, best_of, letters, mode_of, option_keys, parting_text, read_compared, winners
from tui.widgets.grid import GridRow

if TYPE_CHECKING:
    from engine.store.diff import RunDiff


@dataclass(frozen=True)
class Table:
    """What was read of the runs of a comparison; what can't be compared is named."""

    compared: tuple[Compared, ...]
    problems: tuple[str, ...] = ()
    alone: str = ""
    """Why there is nothing to compare with."""


def read_table(root: Path, run_ids: Sequence[str]) -> Table:
    """Read the runs of a comparison; a run that can't be read is left out and named.

    Raises:
        HeatsError: there is no store.
    """
    from engine.store.records import read_run

    store = open_store(root)
    known = set(store.run_ids())
    wanted = list(run_ids)
    alone = ""
    if len(wanted) == 1:
        record = read_run(store.run(wanted[0]).record)
        parent = record.parent if record is not None else None
        if parent in known and parent is not None:
            wanted = [parent, *wanted]
        else:
            why = f"the run it was made from, {parent}, isn't in this store" if parent else "it was made from no other"
            alone = (
                f"{wanted[0]} has nothing to be compared with: {why}. Mark two runs with space in Runs, then press d."
            )
    compared, problems = [], []
    for run_id in wanted:
        try:
            if run_id not in known:
                raise HeatsError("is not in the store any more", place=run_id)
            compared.append(read_compared(store.run(run_id)))
        except HeatsError as error:
            problems.append(str(error))
    return Table(tuple(compared), tuple(problems), alone)


def table_rows(
    compared: Sequence[Compared],
    diffs: Mapping[str, RunDiff | str],
    *,
    everything: bool = False,
    ascii_only: bool = False,
) -> list[GridRow]:
    """The table: what each run is, the options that differ, the metrics with the best marked, where they part.

    Args:
        compared: the runs, the one that the others are compared with first.
        diffs: by run id, how it differs from the first; those still missing are being read.
        everything: also the options that all have in common.
        ascii_only: no glyphs beyond ASCII.
    """
    from tui.cli.changes import word
    from tui.cli.terminal import safe

    runs = [item.summary for item in compared]
    rows = [
        GridRow("status", "status", tuple(Text(str(run.status), format.STATE_COLORS[run.status]) for run in runs)),
        GridRow("steps", "steps", tuple(_steps(run, short=len(runs) > 4) for run in runs)),
        GridRow("time", "time trained", tuple(format.duration(item.seconds) for item in compared)),
    ]
    if any(run.study for run in runs):
        rows.append(GridRow("study", "study", tuple(safe(run.study or "-") for run in runs)))
        rows.append(GridRow("arm", "arm", tuple(safe(run.arm or "-") for run in runs)))
    options = [item.options for item in compared]
    different, keys = option_keys(options), option_keys(options, everything=everything)
    total = len({key for values in options for key in values})
    rows.append(GridRow("options", f"options: {len(different)} of {total} differ", heading=True))
    for key in keys:
        style = "bold" if everything and key in different else ""
        cells = tuple(Text(safe(word(item.options[key])) if key in item.options else "-", style) for item in compared)
        rows.append(GridRow(f"option {key}", key, cells))
    metrics = sorted({name for item in compared for name in (*item.summary.metrics, *item.lowest)})
    rows.append(GridRow("metrics", "metrics: last, and best where it is known which way is better", heading=True))
    for name in metrics:
        mode = mode_of(name, compared)
        rows.append(_figures(f"last {name}", name, [item.summary.metrics.get(name) for item in compared], mode))
        if mode is not None:
            which = "highest" if mode == "max" else "lowest"
            rows.append(_figures(f"best {name}", f"  {which}", [best_of(item, name, mode) for item in compared], mode))
    rows.append(GridRow("apart", "first step apart from A", heading=True))
    wait = "..." if ascii_only else "…"
    for name in metrics:
        apart = tuple(_apart(diffs.get(run.id), name, wait) if at else "" for at, run in enumerate(runs))
        rows.append(GridRow(f"parts {name}", name, apart))
    weights = tuple(_weights(diffs.get(run.id), wait) if at else "" for at, run in enumerate(runs))
    rows.append(GridRow("weights", "final weights", weights))
    return rows


def _steps(run: RunSummary, *, short: bool) -> str:
    """How far a run is; in few characters where columns are narrow."""
    if not short or not run.total_steps:
        return format.progress(run.step, run.total_steps)
    return f"{format.short(run.step)}/{format.short(run.total_steps)}"


def _figures(key: str, title: str, values: Sequence[float | None], mode: str | None) -> GridRow:
    """A row of numbers; the best has a star."""
    best = winners(values, "max" if mode == "max" else "min" if mode == "min" else None)
    star = bool(best)
    cells = [
        Text(f"{format.number(value)}{'*' if at in best else ' ' if star else ''}", "bold green" if at in best else "")
        for at, value in enumerate(values)
    ]
    return GridRow(key, title, tuple(cells))


def _apart(found: RunDiff | str | None, metric: str, wait: str) -> Text | str:
    if found is None:
        return wait
    if isinstance(found, str):
        return "?"
    text = parting_text(found, metric)
    return Text(text, "yellow") if text[:1].isdigit() else text


def _weights(found: RunDiff | str | None, wait: str) -> str:
    if found is None:
        return wait
    if isinstance(found, str):
        return "?"
    return {True: "same", False: "differ", None: "-"}[found.weights]


def stored_lines(compared: Sequence[Compared]) -> list[Text]:
    """Which runs' options are as their files have them, a line for each reason."""
    reasons: dict[str, list[str]] = {}
    for at, item in enumerate(compared):
        if item.as_stored:
            reasons.setdefault(item.as_stored, []).append(letters(at))
    return [
        Text(f"options of {', '.join(names)} are {AS_STORED}: {reason}", "yellow") for reason, names in reasons.items()
    ]


def _problems(found: RunDiff) -> list[Text]:
    """What else the comparison says of two runs: `stored_lines` says the same of all of them."""
    return [Text(problem, "yellow") for problem in found.problems if AS_STORED not in problem]


def detail_lines(found: RunDiff | str | None, names: tuple[str, str], titles: tuple[str, str]) -> list[Text]:
    """How one run differs from the first: in a sentence, then code and environment, line by line."""
    from tui.cli.changes import word
    from tui.cli.diff import verdict
    from tui.cli.terminal import safe

    first, second = names
    head = Text(f"{first} {titles[0]} and {second} {titles[1]}", "bold")
    if found is None:
        return [head, Text("comparing")]
    if isinstance(found, str):
        return [head, Text(f"they can't be compared: {found}", "red")]
    told = verdict(found).replace(" in B", f" in {second}").replace(" of B only", f" of {second} only")
    lines = [head, Text(told), *_problems(found)]
    code = found.code
    if code.same:
        lines.append(Text("code: the same" if code.commits[0] else "code: nothing is known of it"))
    else:
        commits = [(commit or "none")[:12] for commit in code.commits]
        said = f"commit {commits[0]} in {first}, {commits[1]} in {second}"
        lines.append(
            Text(f"code: {said if commits[0] != commits[1] else f'commit {commits[0]}, other changes on top'}")
        )
        lines += [Text(f"  {safe(line)}", no_wrap=True) for line in code.stat]
        for line in code.patch:
            style = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")
            lines.append(Text(f"  {safe(line)}", style, no_wrap=True))
    if not found.environment:
        lines.append(Text("environment: the same"))
    else:
        lines.append(Text(f"environment: {len(found.environment)} differ"))
        for change in found.environment:
            was, now = safe(word(change.to_json()["first"])), safe(word(change.to_json()["second"]))
            lines.append(Text(f"  {safe(change.key)}: {was} in {first}, {now} in {second}"))
    return lines


def name_of(item: Compared) -> str:
    """A run's name and the four characters that tell it from others of that name."""
    from tui.cli.terminal import safe

    return f"{safe(item.summary.name)} {item.summary.id[-4:]}"


def short_name(text: str, size: int) -> str:
    """Cut in the middle: the four characters at the end tell runs of one name apart."""
    return text if len(text) <= size else f"{text[: max(1, size - 5)]} {text[-4:]}"
