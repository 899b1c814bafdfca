"""Which pictures a study's report has, with what each shows said beneath it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.study import curves
from engine.study.expand import Arm, arms_of
from engine.study.results import ArmRow, Report
from engine.study.sweeps import Row, find_sweeps
from engine.study.trials import trials_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Add = Callable[[str, "Figure | None", str], None]
"""Takes a picture's name, its figure (None: there is nothing to draw) and its caption."""
_MOST_CURVES = 8
_MOST_ARMS = 40


@dataclass(frozen=True)
class Picture:
    """One figure: a name that can be a file's, the SVG, and a caption for somebody who hasn't seen such a figure."""

    name: str
    svg: str
    caption: str


def pictures(report: Report) -> list[Picture]:
    """All pictures of a report, the most telling first."""
    from engine.study import plots

    found: list[Picture] = []

    def add(name: str, figure: Figure | None, caption: str) -> None:
        if figure is not None:
            found.append(Picture(name, plots.to_svg(figure), caption))

    metric, comparisons = report.study.metric, report.conclusion.comparisons
    if any(item.differences for item in comparisons):
        add(
            "differences",
            plots.intervals_figure(comparisons),
            "Each dot is one pair of runs with the same seed; the diamond is their mean, the bar its 95 % interval. A "
            "claim is confirmed when the whole bar lies to the right of its margin (or of zero, where no margin is "
            "asked for).",
        )
    if metric is None:
        return found
    if report.study.spec.search is not None:
        _add_trials(report, metric, add)
    for sweep in find_sweeps(report.study, [Row(row.name, row.options, row.sample.values) for row in report.arms]):
        from engine.study.sweep_figures import sweep_figure

        if sweep.best(report.study.mode) is not None:
            add(
                f"sweep-{sweep.option}",
                sweep_figure(sweep, metric, report.study.mode),
                f"{metric} by {sweep.option}: a dot a run, the mean at each value with its 95 % interval over runs; "
                f"{_direction(report.study.mode)} is better and the best mean is circled.{_after(sweep.note)}",
            )
    _add_arms(report, metric, add)
    _add_maps(report, add)
    _add_curves(report, metric, add)
    return found


def _direction(mode: str) -> str:
    return "higher" if mode == "max" else "lower"


def _after(sentence: str) -> str:
    return f" {sentence}" if sentence else ""


def _add_trials(report: Report, metric: str, add: Add) -> None:
    from engine.study.sweep_figures import progress_figure, trials_figure

    study = report.study
    assert study.spec.search is not None
    homes = arms_of(study) or [Arm("", {})]
    for arm in homes:
        trials = trials_of(study, arm.name, report.conclusion.states)
        own = f" of {arm.name}" if arm.name else ""
        suffix = f"-{arm.name}" if arm.name else ""
        for option, space in study.spec.search.space.items():
            add(
                f"trials-{option}{suffix}",
                trials_figure(trials, option, metric, study.mode, space.log),
                f"Every trial{own}: its {metric} by {option}, {_direction(study.mode)} is better. Crosses were ended "
                "early and show the last figure they had; the best whole trial is circled.",
            )
        add(
            f"trials-in-order{suffix}",
            progress_figure(trials, metric, study.mode),
            f"The trials{own} in the order in which they were begun. The line is the best of the whole ones so far: "
            "once it is flat for long, more trials hardly help.",
        )


def _add_arms(report: Report, metric: str, add: Add) -> None:
    from engine.study import plots

    known = [row for row in report.arms if row.sample.values]
    if report.study.spec.search is not None or len(known) < 1:
        return
    shown = known if len(known) <= _MOST_ARMS else chosen(report, _MOST_ARMS)
    left_out = f" The {len(shown)} best of {len(known)} arms are shown." if len(shown) < len(known) else ""
    add(
        "arms",
        plots.arms_figure(
            {row.name: row.sample.values for row in shown}, metric, colors=_colors(report), references=report.references
        ),
        f"Each arm: a dot a run, the diamond their mean, the bar its 95 % interval; {_direction(report.study.mode)} is "
        f"better.{left_out}{_lines(report)}",
    )


def _lines(report: Report) -> str:
    """What the lines beside the arms are."""
    if not report.references:
        return ""
    named = ", ".join(f"{name} {value:.4g}" for name, value in report.references.items())
    return f" The lines: {named}."


def _add_maps(report: Report, add: Add) -> None:
    """One grid a pattern and arm, of arms that logged it."""
    from engine.study import plots
    from engine.study.maps import grid_of

    for pattern in report.study.spec.maps:
        for row in report.arms[:_MOST_ARMS]:
            runs = [
                state.summary.metrics
                for state in report.conclusion.states
                if state.cell.arm == row.name and state.done and state.summary is not None
            ]
            grid = grid_of(pattern, runs)
            if grid is not None:
                add(
                    f"map-{pattern.replace('*', 'x')}-{row.name}",
                    plots.grid_figure(grid, pattern.split("*")[0].rstrip("_/ ")),
                    f"{pattern} of {row.name}: the first * down, the second across; means over {len(runs)} "
                    f"run{'s' if len(runs) > 1 else ''}.",
                )


def _add_curves(report: Report, metric: str, add: Add) -> None:
    from engine.study import plots

    shown = [row.name for row in chosen(report, _MOST_CURVES)]
    left_out = ""
    if len(shown) < len(report.arms):
        which = "trials" if report.study.spec.search is not None else "arms"
        claims = " and those of the claims" if report.conclusion.comparisons else ""
        left_out = f" {len(shown)} of {len(report.arms)} {which} are drawn: those with the best means{claims}."
    wanted: list[tuple[str, str, curves.Axis, str]] = [
        ("metric-by-step", metric, "step", "Means over seeds with 95 % intervals, by optimizer step."),
        ("metric-by-seconds", metric, "seconds", "The same by seconds of training, pauses left out."),
        ("loss-by-step", "train/loss", "step", "The training loss, smoothed, on a logarithmic scale."),
    ]
    for name, what, axis, caption in wanted:
        if name == "loss-by-step" and what == metric:
            continue
        what, groups = _over_time(report, shown, what, axis)
        if not groups:
            continue
        caption = caption if what in (metric, "train/loss") else f"{caption} Of {what}: {metric} is known at the end."
        loss = name == "loss-by-step"
        figure = plots.curves_figure(
            groups, metric=what, x_label=curves.AXIS_LABELS[axis], target=None if loss else report.study.spec.target,
            smoothing=0.9 if loss else 0.0, scale="log" if loss else "linear", size=(plots.WIDTH, 3.4),
            colors=_colors(report), axis=axis,
        )  # fmt: skip
        add(name, figure, caption + left_out)


def _over_time(
    report: Report, shown: Sequence[str], metric: str, axis: curves.Axis
) -> tuple[str, dict[str, list[curves.Points]]]:
    """The curves of a metric; of its like in validation where it was measured once, as a test figure is."""
    for name in dict.fromkeys((metric, metric.replace("test/", "val/", 1))):
        groups = _groups(report, shown, name, axis)
        if any(len(points.x) > 1 for found in groups.values() for points in found):
            return name, groups
    return metric, {}


def chosen(report: Report, most: int) -> list[ArmRow]:
    """The arms to draw where there are too many: those of the claims, then the best; in the order of the study."""
    if len(report.arms) <= most:
        return list(report.arms)
    claims = {name for item in report.study.hypotheses() for name in (item.better, item.than)}
    sign = 1.0 if report.study.mode == "max" else -1.0

    def rank(row: ArmRow) -> tuple[bool, float]:
        return (row.name not in claims, -sign * row.sample.mean if row.sample.values else float("inf"))

    best = {row.name for row in sorted(report.arms, key=rank)[:most]}
    return [row for row in report.arms if row.name in best]


def _colors(report: Report) -> dict[str, int]:
    """By arm its colour, the same in every picture; arms that aren't drawn as curves have none."""
    return {row.name: index for index, row in enumerate(chosen(report, _MOST_CURVES))}


def _groups(report: Report, shown: Sequence[str], metric: str, axis: curves.Axis) -> dict[str, list[curves.Points]]:
    groups: dict[str, list[curves.Points]] = {}
    for state in report.conclusion.states:
        if state.run is None or state.cell.arm not in shown or not state.done:
            continue
        found = curves.points(report.histories[state.run.id], metric, axis)
        if found is not None:
            groups.setdefault(state.cell.arm, []).append(found)
    return {name: groups[name] for name in shown if name in groups}
