"""Runs in groups: by study, arm, task, any option of the config, or all seeds of the same options. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tui.widgets.run_columns import best, option_text, value_of

if TYPE_CHECKING:
    from engine.store.summary import RunSummary
    from tui.messages import Facts

WAYS = {
    "study": "the study that they belong to",
    "arm": "the arm of their study",
    "task": "their task",
    "seeds": "all options the same, but for the seed",
}
"""What runs can be grouped by, beside any option of the config."""
FOLD_ABOVE = 8
"""Groups of more runs are folded until somebody opens them: arrays of seeds would fill the screen."""
_LESS_IS_BETTER = ("loss", "error", "perplexity", "entropy", "mse", "mae")


@dataclass(frozen=True)
class Group:
    """The head of a group of runs, as one line of the table."""

    key: str
    """What it stands for, over all refreshes: never the id of a run."""
    title: str
    run_ids: tuple[str, ...]
    live: int
    failed: int
    loss: float | None
    """The lowest there is."""
    best: float | None
    newest: float
    folded: bool


if TYPE_CHECKING:
    Entry = RunSummary | Group
else:
    Entry = Any


def order(
    runs: Sequence[RunSummary],
    by: str,
    facts: Facts,
    *,
    pinned: Collection[str] = (),
    folded: Collection[str] = (),
    opened: Collection[str] = (),
) -> list[Entry]:
    """The lines of the table: pinned runs first, then the runs, or their groups in the order of their first runs.

    Args:
        runs: filtered and sorted.
        by: one of `WAYS` or an option's dotted key; empty for no groups.
        facts: the options of the runs.
        pinned: ids of the runs that stay on top.
        folded, opened: keys of the groups that somebody has folded or opened; others fold by their size.
    """
    top = [run for run in runs if run.id in pinned] if pinned else []
    rest = [run for run in runs if run.id not in pinned] if top else runs
    if not by:
        return [*top, *rest]
    members: dict[str, list[RunSummary]] = {}
    titles: dict[str, str] = {}
    for run in rest:
        value, title = _belongs(run, by, facts)
        members.setdefault(value, []).append(run)
        titles.setdefault(value, title)
    lines: list[Entry] = [*top]
    for value, found in members.items():
        if by == "seeds" and len(found) == 1:
            lines += found
            continue
        key = f"{by}={value}"
        big = len(found) > FOLD_ABOVE and len(members) > 1
        is_folded = key in folded or (big and key not in opened)
        lines.append(_group(key, titles[value], found, facts, is_folded))
        if not is_folded:
            lines += found
    return lines


def group_of(lines: Iterable[Entry], run_id: str) -> Group | None:
    """The group that a run is in."""
    return next((line for line in lines if isinstance(line, Group) and run_id in line.run_ids), None)


def less_is_better(metric: str) -> bool:
    """Whether a metric falls as things go well, by its name."""
    return any(word in metric for word in _LESS_IS_BETTER)


def _belongs(run: RunSummary, by: str, facts: Facts) -> tuple[str, str]:
    """A run's group: what tells it from others, and its title."""
    if by == "study":
        return run.study or "", run.study or "no study"
    if by == "arm":
        title = f"{run.study} / {run.arm or '-'}" if run.study else run.arm or "no arm"
        return f"{run.study or ''}/{run.arm or ''}", title
    if by == "task":
        return run.task, run.task or "no task"
    if by == "seeds":
        config = facts.configs.get(run.id, {})
        # Until the options are known, and for runs without any, the name and the arm stand for them.
        options = repr(sorted((key, str(value)) for key, value in config.items() if key != "seed")) if config else ""
        value = "\n".join((run.task, run.study or "", run.arm or "", run.name, options))
        return value, f"{run.name}, seeds"
    value = option_text(value_of(run, by, facts))
    return value, f"{by} = {value}" if value else f"no {by}"


def _group(key: str, title: str, runs: list[RunSummary], facts: Facts, folded: bool) -> Group:
    losses = [run.loss for run in runs if run.loss is not None and not math.isnan(run.loss)]
    name = next((metric for run in runs for metric in run.best if metric != "step"), "")
    bests = [value for run in runs if (value := best(run)) is not None and not math.isnan(value)]
    mode = facts.configs.get(runs[0].id, {}).get("evaluation.best_mode")
    falls = mode == "min" if mode in ("min", "max") else less_is_better(name)
    return Group(
        key=key,
        title=title,
        run_ids=tuple(run.id for run in runs),
        live=sum(run.status.is_live for run in runs),
        failed=sum(str(run.status) in ("failed", "killed", "lost") for run in runs),
        loss=min(losses, default=None),
        best=(min if falls else max)(bests, default=None),
        newest=max(run.created for run in runs),
        folded=folded,
    )
