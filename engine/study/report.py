"""A study's report: one self-contained HTML page and a Markdown file, for somebody who knows nothing of the runs."""

from __future__ import annotations

import base64
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.config.resolve import flatten
from engine.store.files import read_json, write_atomic
from engine.store.metrics import RunHistory
from engine.store.paths import Store
from engine.study import curves, statistics
from engine.study.cells import CellState, counts, study_folder
from engine.study.conclude import Conclusion
from engine.study.spec import Study
from engine.study.verdict import Comparison, Word

_MOST_CURVE_ARMS = 8


@dataclass(frozen=True)
class ArmRow:
    """One arm's line in the table of results."""

    name: str
    options: dict[str, Any]
    sample: statistics.Sample
    finished: int
    planned: int
    parameters: int | None
    reached: int
    steps_to_target: float | None
    seconds_to_target: float | None
    seconds: float | None
    """Of training, a run; the mean."""


@dataclass(frozen=True)
class Report:
    """Everything that the page says, before it is written down."""

    conclusion: Conclusion
    arms: tuple[ArmRow, ...]
    histories: dict[str, RunHistory]

    @property
    def study(self) -> Study:
        return self.conclusion.study


def gather(conclusion: Conclusion) -> Report:
    """Read the histories of a study's runs and sum them up arm by arm."""
    histories = {state.run.id: curves.history(state.run) for state in conclusion.states if state.run is not None}
    study = conclusion.study
    names = list(dict.fromkeys(state.cell.arm for state in conclusion.states))
    rows = tuple(
        _arm(study, name, [state for state in conclusion.states if state.cell.arm == name], histories)
        for name in names
    )  # fmt: skip
    return Report(conclusion, _only_what_differs(rows), histories)


def _arm(study: Study, name: str, states: Sequence[CellState], histories: dict[str, RunHistory]) -> ArmRow:
    metric, target = study.metric, study.spec.target
    finished = [state for state in states if state.standing == "finished" and state.run is not None]
    values = [value for state in finished if metric and (value := state.value(metric, study.spec.value)) is not None]
    steps, seconds, spent = [], [], []
    for state in finished:
        assert state.run is not None
        found = histories[state.run.id]
        last = curves.training_seconds(found, np.asarray([found.last_step]))
        spent.append(float(last[0]))
        if metric and target is not None:
            step = curves.first_reaching(curves.points(found, metric), target, study.mode)
            if step is not None:
                steps.append(step)
                seconds.append(float(curves.training_seconds(found, np.asarray([step]))[0]))
    return ArmRow(
        name=name,
        options=flatten(states[0].cell.config.model_dump()),
        sample=statistics.describe([value for value in values if math.isfinite(value)]),
        finished=len(finished),
        planned=len(states),
        parameters=_parameters(finished),
        reached=len(steps),
        steps_to_target=_mean(steps),
        seconds_to_target=_mean(seconds),
        seconds=_mean(spent),
    )


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _parameters(states: Sequence[CellState]) -> int | None:
    """How many weights the model has, by the engine's own word in the `training` event."""
    from engine.store.records import read_events

    for state in states:
        for attempt in state.run.attempts() if state.run else []:
            for event in read_events(attempt.events)[0]:
                found = event.facts.get("parameters")
                if event.name == "training" and isinstance(found, int):
                    return found
    return None


def _only_what_differs(rows: Sequence[ArmRow]) -> tuple[ArmRow, ...]:
    """Of each arm's options only those in which the arms differ."""
    from dataclasses import replace

    keys = [key for key in (rows[0].options if rows else {}) if len({repr(row.options.get(key)) for row in rows}) > 1]
    return tuple(replace(row, options={key: row.options.get(key) for key in keys if key != "seed"}) for row in rows)


def write(store: Store, conclusion: Conclusion, folder: Path | None = None) -> tuple[Path, Path]:
    """Write report.html and report.md; the paths.

    Args:
        store: the store of the study's runs.
        conclusion: the verdicts to report.
        folder: where to; by default the study's folder in the store.

    Raises:
        MachineError: the folder can't be written.
    """
    folder = folder or study_folder(store, conclusion.study)
    folder.mkdir(parents=True, exist_ok=True)
    report = gather(conclusion)
    pictures = figures(report)
    facts = _facts(store, report)
    page, text = folder / "report.html", folder / "report.md"
    for name, svg in pictures.items():
        write_atomic(folder / f"{name}.svg", svg.encode())
    write_atomic(page, render("report.html.j2", facts | {"pictures": _inline(pictures)}).encode())
    write_atomic(text, render("report.md.j2", facts | {"pictures": pictures}).encode())
    return page, text


def figures(report: Report) -> dict[str, str]:
    """The report's pictures as SVG, by name."""
    from engine.study import plots

    study, metric = report.study, report.study.metric
    found: dict[str, str] = {}
    if any(item.differences for item in report.conclusion.comparisons):
        found["differences"] = plots.to_svg(plots.intervals_figure(report.conclusion.comparisons))
    values = {row.name: row.sample.values for row in report.arms if row.sample.values}
    if metric and values:
        found["arms"] = plots.to_svg(plots.arms_figure(values, metric))
    for name, wanted in (("metric", metric), ("loss", "train/loss")):
        for axis, label in (("step", "optimizer step"), ("seconds", "seconds of training")):
            if wanted is None or (name == "loss" and axis == "seconds"):
                continue
            groups = _groups(report, wanted, axis)
            if groups:
                target = study.spec.target if name == "metric" else None
                figure = plots.curves_figure(
                    groups, metric=wanted, x_label=label, target=target, smoothing=0.9 if name == "loss" else 0.0,
                    scale="log" if name == "loss" else "linear",
                )  # fmt: skip
                found[f"{name}-by-{axis}"] = plots.to_svg(figure)
    return found


def _groups(report: Report, metric: str, axis: Any) -> dict[str, list[curves.Points]]:
    groups: dict[str, list[curves.Points]] = {}
    shown = [row.name for row in report.arms[:_MOST_CURVE_ARMS]]
    for state in report.conclusion.states:
        if state.run is None or state.cell.arm not in shown or not state.done:
            continue
        found = curves.points(report.histories[state.run.id], metric, axis)
        if found is not None:
            groups.setdefault(state.cell.arm, []).append(found)
    return groups


def _inline(pictures: dict[str, str]) -> dict[str, str]:
    """As addresses that hold the picture itself: two pictures in one page would share the ids of their clip paths."""
    encoded = {name: base64.b64encode(svg.encode()).decode() for name, svg in pictures.items()}
    return {name: f"data:image/svg+xml;base64,{text}" for name, text in encoded.items()}


def render(template: str, facts: dict[str, Any]) -> str:
    """Fill in one of the templates; text is escaped in HTML."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("engine.study"), autoescape=template.endswith(".html.j2"),
        trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    environment.filters |= {"figure": number, "seconds": duration, "cell": _table_cell, "sentence": _sentence}
    return environment.get_template(template).render(facts)


def number(value: float | None, digits: int = 4) -> str:
    """A number for people; a dash where there is none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    return f"{value:.{digits}g}"


def duration(seconds: float | None) -> str:
    """Seconds as `45 s`, `12 min` or `3.4 h`."""
    if seconds is None:
        return "–"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _table_cell(value: Any) -> str:
    """Text that can't break a Markdown table."""
    return str(value).replace("|", "\\|").replace("\n", " ")


def _facts(store: Store, report: Report) -> dict[str, Any]:
    study, conclusion = report.study, report.conclusion
    environment: dict[str, Any] = {}
    for state in conclusion.states:
        if state.run is not None:
            environment = read_json(state.run.environment) or {}
            break
    packages = environment.get("packages")
    as_run, now = _text(study_folder(store, study) / "study.yaml"), _text(study.file)
    preset = f" --preset {study.preset}" if study.preset else ""
    return {
        "study": study,
        "spec": study.spec,
        "headline": headline(conclusion),
        "comparisons": [(item, explain(item)) for item in conclusion.comparisons],
        "arms": report.arms,
        "option_keys": list(report.arms[0].options) if report.arms else [],
        "states": conclusion.states,
        "counts": counts(conclusion.states),
        "metric": study.metric,
        "commits": conclusion.commits,
        "when": time.strftime("%Y-%m-%d %H:%M", time.localtime(conclusion.time)),
        "environment": environment,
        "torch": packages.get("torch") if isinstance(packages, dict) else None,
        "command": f"heats study run {study.file.name}{preset}",
        "file_text": as_run if as_run is not None else now or "",
        "file_changed": as_run is not None and now is not None and as_run != now,
        "store": store.root.name,
        "least_seeds": 3,
        "value_of": lambda state: state.value(study.metric, study.spec.value) if study.metric else None,
    }


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def headline(conclusion: Conclusion) -> str:
    """The answer in one sentence."""
    if not conclusion.comparisons:
        return "This study only looks: it makes no claim that could be confirmed or rejected."
    if len(conclusion.comparisons) == 1:
        item = conclusion.comparisons[0]
        return f"{item.word.capitalize()}: {item.why}."
    words = [str(item.word) for item in conclusion.comparisons]
    return ", ".join(f"{words.count(word)} {word}" for word in dict.fromkeys(words)).capitalize() + "."


def explain(item: Comparison) -> str:
    """What a verdict means, for somebody who has never seen one."""
    claim = item.hypothesis
    if item.word is Word.CONFIRMED:
        margin = f", which is beyond the margin of {claim.by:g}" if claim.by else ""
        return f"The data support the claim: {_difference(item)}{margin}, and chance alone hardly explains that."
    if item.word is Word.REJECTED:
        if item.interval is not None and item.interval.upper < 0:
            return f"The data speak against the claim: {_difference(item)}, the opposite of what was claimed."
        return (
            f"The data speak against the claim: {_difference(item)}, and an advantage of {claim.by:g} or more is "
            "hardly to be reconciled with that."
        )
    if item.word is Word.IDENTICAL:
        return (
            f"The runs of {claim.better} and {claim.than} are the same to the last bit: the setting in which they "
            "differ changes nothing at all."
        )
    return "The data don't settle the question. That is no proof that there is no difference."


def _difference(item: Comparison) -> str:
    """The mean difference as a sentence that says which arm was better, whichever way the metric counts."""
    claim, mean = item.hypothesis, item.mean or 0.0
    pairs = f"over {len(item.seeds)} pairs of runs"
    if mean == 0:
        return f"{pairs} {claim.better} and {claim.than} were equally good on average"
    better, worse = (claim.better, claim.than) if mean > 0 else (claim.than, claim.better)
    way = "higher" if claim.mode == "max" else "lower"
    return (
        f"{pairs} {better} had a {claim.metric} that was {way} than that of {worse} by {number(abs(mean))} on average"
    )


def _sentence(text: str) -> str:
    """With a capital at its start; names inside keep theirs."""
    return text[:1].upper() + text[1:]
