"""What a study's screen says below its matrix: intervals, the verdict so far, what it still needs. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from rich.text import Text

from engine.study.verdict import LEAST_SEEDS, Comparison, Word
from tui import format
from tui.drawing import Bar, interval_plot
from tui.study_view import OPEN, StudyView, best_trial, trials

WORD_COLOURS = {"confirmed": "green", "rejected": "red", "inconclusive": "yellow", "identical": "cyan"}
_MOST_TRIALS = 15
_MOST_TROUBLES = 12


def findings(view: StudyView, width: int, *, ascii_only: bool = False) -> list[Text]:
    """All of it, for a pane of this width."""
    if view.problem or view.study is None:
        return [Text(view.problem, "red")]
    lines: list[Text] = []
    lines += _held(view)
    if view.study.spec.search is not None:
        lines += _trials(view, width)
    else:
        lines += _arms(view, width, ascii_only)
    for item in view.comparisons:
        lines += [Text(), *verdict_lines(view, item, width, ascii_only=ascii_only)]
    if not view.comparisons and view.study.spec.search is None:
        lines += [Text(), Text("It makes no claim: it only looks.")]
    troubles = trouble_lines(view)
    if troubles:
        lines += [Text(), *troubles]
    return lines[1:] if lines and not lines[0].plain else lines


def _held(view: StudyView) -> list[Text]:
    return [Text(f"Nothing more is started: {reason}", "yellow") for reason in view.held]


def _arms(view: StudyView, width: int, ascii_only: bool) -> list[Text]:
    """Each arm's mean with its interval, and the line that the margin asks for."""
    bars = arm_bars(view)
    marks = margins(view)
    assert view.study is not None
    drawn = interval_plot(bars, width, marks=marks, ascii_only=ascii_only)
    if not drawn:
        return []
    what = f"{view.study.metric}, {'best' if view.study.spec.value == 'best' else 'last'}"
    sign = "*" if ascii_only else "●"
    head = Text(f"{what}: {sign} mean and 95 % interval of the runs that finished", "bold")
    return [Text(), head, *drawn]


def arm_bars(view: StudyView) -> list[Bar]:
    """A bar for each arm that has a figure."""
    from engine.study.statistics import describe

    study = view.study
    if study is None or study.metric is None:
        return []
    values: dict[str, list[float]] = {}
    for state in view.states:
        value = state.value(study.metric, study.spec.value)
        if state.standing in ("finished", "suspect") and value is not None and math.isfinite(value):
            values.setdefault(state.cell.arm, []).append(value)
    bars = []
    for arm in dict.fromkeys(state.cell.arm for state in view.states):
        if arm not in values:
            continue
        sample = describe(values[arm])
        interval = sample.interval
        bars.append(
            Bar(
                arm, sample.mean, interval.lower if interval else None, interval.upper if interval else None,
                sample.values, f"{format.number(sample.mean)} n={len(sample.values)}",
            )
        )  # fmt: skip
    return bars


def margins(view: StudyView) -> dict[float, str]:
    """Where the better arm's mean would have to lie, by each rival and the margin asked for."""
    found = {}
    for item in view.comparisons:
        claim = item.hypothesis
        if claim.by and math.isfinite(item.than.mean):
            sign = 1 if claim.mode == "max" else -1
            found[item.than.mean + sign * claim.by] = f"{claim.than} {'+' if sign > 0 else '-'} {claim.by:g}"
    return found if len(found) == 1 else {}  # several lines without a name each would only confuse


def verdict_lines(view: StudyView, item: Comparison, width: int, *, ascii_only: bool = False) -> list[Text]:
    """A claim's word, why, its difference drawn, and what it still needs."""
    head = Text()
    head.append(item.word.upper(), f"bold {WORD_COLOURS[item.word]}")
    head.append(f" {item.hypothesis.sentence()}")
    lines = [head, Text(f"  {item.why}")]
    if item.mean is not None:
        lower, upper = (item.interval.lower, item.interval.upper) if item.interval else (None, None)
        pairs = "1 pair" if len(item.seeds) == 1 else f"{len(item.seeds)} pairs"
        bar = Bar("  difference", item.mean, lower, upper, item.differences, f"{format.number(item.mean)} {pairs}")
        marks = {0.0: "0"} | ({item.hypothesis.by: f"{item.hypothesis.by:g} asked for"} if item.hypothesis.by else {})
        lines += interval_plot([bar], width, marks=marks, ascii_only=ascii_only)
    lines += [Text(f"  needs: {text}", "bold") for text in still_needs(view, item)]
    return lines


def still_needs(view: StudyView, item: Comparison) -> list[str]:
    """What stands between a claim and a verdict."""
    if item.word is not Word.INCONCLUSIVE:
        return []
    sides = (item.hypothesis.better, item.hypothesis.than)
    concerned = [state for state in view.states if state.cell.arm in sides]
    found = []
    to_train = [state for state in concerned if state.standing in OPEN]
    if to_train:
        going = sum(state.standing in ("live", "queued") for state in to_train)
        rest = len(to_train) - going
        words = [f"{going} under way" if going else "", f"{rest} not begun or stopped (`r`)" if rest else ""]
        found.append(f"{_cells(len(to_train))} to finish: {', '.join(word for word in words if word)}")
    for standing in ("failed", "suspect"):
        bad = [state.cell.name for state in concerned if state.standing == standing]
        allowed = view.study.spec.allow if view.study is not None else []
        if bad and standing not in allowed:
            names = ", ".join(bad[:3]) + (" ..." if len(bad) > 3 else "")
            found.append(f"{names} {standing}: train anew (`R`), or say `allow: [{standing}]` in the file")
    seeds = len(view.study.spec.seeds) if view.study is not None else 0
    if seeds < LEAST_SEEDS:
        more = LEAST_SEEDS - seeds
        found.append(f"{more} more {'seed' if more == 1 else 'seeds'} in the file: {LEAST_SEEDS} an arm are the least")
    elif item.seeds_needed is not None and item.seeds_needed > seeds:
        more = item.seeds_needed - seeds
        found.append(f"about {more} more seed{'s' if more > 1 else ''} in the file, {item.seeds_needed} an arm in all")
    return found


def _cells(count: int) -> str:
    return "1 cell" if count == 1 else f"{count} cells"


def _trials(view: StudyView, width: int) -> list[Text]:
    """The trials of a search, the best first."""
    study = view.study
    assert study is not None
    found = trials(view)
    if not found:
        return [Text(), Text("Nothing was tried yet: `r` begins the search.")]
    best = best_trial(found)
    lines = [Text()]
    if best is not None:
        line = Text()
        line.append("best so far ", "bold")
        line.append(f"{format.number(best.result)} ", "bold green")
        line.append(f"by {best.name}: {_values(best.values)}")
        lines.append(line)
    from engine.study.search import most_trials

    lines.append(Text(f"{len(found)} of {most_trials(study)} trials begun, by {study.spec.search.method}", "dim"))  # type: ignore[union-attr]
    for trial in found[:_MOST_TRIALS]:
        lines.append(
            Text(f"  {format.number(trial.result):>9}  {trial.name:<12} {_values(trial.values)}  {trial.standing}")
        )
    if len(found) > _MOST_TRIALS:
        lines.append(Text(f"  and {len(found) - _MOST_TRIALS} more", "dim"))
    return lines


def _values(values: Iterable[tuple[str, object]]) -> str:
    return "  ".join(f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}" for key, value in values)


def trouble_lines(view: StudyView) -> list[Text]:
    """The cells that need a person, each with its reason."""
    from tui.cli.terminal import safe

    lines = []
    for state in view.states:
        if state.standing in ("failed", "suspect", "stopped") and state.summary is not None:
            reason = state.summary.suspect if state.standing == "suspect" else state.summary.reason
            colour = "red" if state.standing == "failed" else "yellow"
            lines.append(Text(f"{state.cell.name} {state.standing}: {safe(reason or '')}", colour))
        elif state.standing == "waiting":
            lines.append(Text(f"{state.cell.name} waits for {', '.join(state.cell.needs)}"))
    more = len(lines) - _MOST_TROUBLES
    return [*lines[:_MOST_TROUBLES], *([Text(f"and {more} more", "dim")] if more > 0 else [])]


def info_line(states: Sequence[object], counts: dict[str, int], *, ascii_only: bool = False) -> str:
    """How many cells stand how, with the marks of the matrix."""
    from tui.cli.studies import MARKS

    if not states:
        return "no cells yet"
    return "  ".join(
        f"{MARKS[standing][1 if ascii_only else 0]} {counts[standing]} {standing}"
        for standing in MARKS
        if counts.get(standing)
    )
