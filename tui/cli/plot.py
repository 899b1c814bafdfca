"""`heats plot`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from engine.errors import HeatsError
from tui.cli.options import AsJson, RunsDir, the_store
from tui.cli.terminal import print_json

if TYPE_CHECKING:
    from engine.store.paths import Store
    from engine.study.curves import Axis, Points


def command(
    what: Annotated[list[str], typer.Argument(metavar="RUN|STUDY...", help="Runs, or studies: an arm a curve.")],
    y: Annotated[
        str | None, typer.Option("--y", metavar="METRIC", help="What to plot; else the loss, or the study's metric.")
    ] = None,
    x: Annotated[
        Literal["step", "epoch", "seconds", "relative", "time"],
        typer.Option(
            "--x",
            help="Along what: steps, epochs, seconds of training, seconds since the start with pauses, the clock.",
        ),
    ] = "step",
    smooth: Annotated[
        float, typer.Option("--smooth", min=0.0, max=0.9999, help="Exponential smoothing, from 0 to below 1.")
    ] = 0.0,
    band: Annotated[
        Literal["interval", "range", "deviation", "none"],
        typer.Option("--band", help="What the band over seeds shows."),
    ] = "interval",
    log: Annotated[bool, typer.Option("--log", help="Logarithmic y axis.")] = False,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="A .png, .svg or .pdf file.")] = Path("plot.png"),
    yes: Annotated[bool, typer.Option("--yes", help="Replace FILE if it is there.")] = False,
    preset: Annotated[str | None, typer.Option("--preset", metavar="NAME", help="Which variant of a study.")] = None,
    as_json: AsJson = False,
    runs_dir: RunsDir = None,
) -> None:
    """Draw curves from the record into a file: one a run, or one an arm of a study with a band over its seeds.

    Along the clock every run of an arm is a curve of its own. What a run logged and later took back isn't drawn.
    """
    from engine.config.options import nearest
    from engine.study import plots
    from engine.study.curves import AXIS_LABELS, first_metric

    if out.suffix.removeprefix(".").lower() not in plots.FORMATS:
        raise HeatsError(f"`{out.name}` says no format", remedy=f"end it in .{', .'.join(plots.FORMATS)}")
    if os.path.lexists(out) and not yes:
        raise HeatsError("is there already", place=str(out), remedy="--yes replaces it")
    store = the_store(runs_dir)
    groups: dict[str, list[Points]] = {}
    target = None
    for word in what:
        found, metric, goal = _groups(store, word, preset, y, x)
        y = y or metric
        target = goal if goal is not None else target
        for label, runs in found.items():
            groups.setdefault(label, []).extend(runs)
    if not any(groups.values()):
        known = first_metric(store, what)
        if x == "epoch" and y in known:
            raise HeatsError("nothing says how long its epochs are", remedy="plot it by step")
        near = nearest(y or "", known)
        remedy = f"did you mean `{near}`?" if near else f"there are {', '.join(known[:12])}" if known else None
        raise HeatsError(f"nothing has a metric `{y}`", remedy=remedy)
    figure = plots.curves_figure(
        groups, metric=y or "", x_label=AXIS_LABELS[x], smoothing=smooth, band_kind=band,
        scale="log" if log else "linear", target=target, axis=x,
    )  # fmt: skip
    plots.save(figure, out)
    if as_json:
        curves = [{"label": label, "runs": len(runs)} for label, runs in groups.items()]
        print_json({"file": str(out), "x": x, "y": y, "curves": curves})
    else:
        print(out)


def _groups(
    store: Store, word: str, preset: str | None, y: str | None, x: Axis
) -> tuple[dict[str, list[Points]], str, float | None]:
    """The curves that a word means, the metric, and the target of its study."""
    from engine.store.names import find_run
    from engine.study.cells import find_cells
    from engine.study.curves import history, points
    from tui.cli.studies import study_files, the_study

    stems = {path.stem for path in study_files()}
    if word in stems or word.rpartition(".")[0] in stems or word.endswith((".yaml", ".yml")):
        study = the_study(word, preset)
        metric = y or study.metric or "train/loss"
        groups: dict[str, list[Points]] = {}
        for state in find_cells(store, study):
            found = points(history(state.run), metric, x) if state.run is not None else None
            if found is not None:
                groups.setdefault(state.cell.arm, []).append(found)
        return groups, metric, study.spec.target if metric == study.metric else None
    run = find_run(store, word)
    metric = y or "train/loss"
    one = points(history(run), metric, x)
    return ({run.id: [one]} if one is not None else {}), metric, None
