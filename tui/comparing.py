"""Runs side by side: what the app's screen and `heats compare` share. Reading is one function, the rest is pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from engine.errors import HeatsError
from engine.store.summary import RunSummary, summarize

if TYPE_CHECKING:
    from engine.store.diff import RunDiff
    from engine.store.paths import RunPaths

Mode = Literal["min", "max"]
_MISSING = object()
_LESS = ("loss", "error", "perplexity", "ppl", "nll", "mse", "mae", "rmse", "cer", "wer")
_MORE = ("accuracy", "acc", "match", "f1", "bleu", "rouge", "precision", "recall", "auc", "reward", "score")


@dataclass(frozen=True)
class Compared:
    """One run of the comparison: its summary, every option in effect, and its seconds of training."""

    summary: RunSummary
    options: dict[str, Any]
    seconds: float
    lowest: Mapping[str, float] = field(default_factory=dict)
    """By metric, the least finite value that counts."""
    highest: Mapping[str, float] = field(default_factory=dict)
    as_stored: str = ""
    """Why its options are as its file has them, not as its task reads them; empty where they are."""


def read_compared(run: RunPaths) -> Compared:
    """Read one run for a comparison.

    Raises:
        HeatsError: it is just being made, or gone.
    """
    import numpy as np

    from engine.config.resolve import flatten, read_yaml_file
    from engine.store.stored_config import effective_config
    from engine.study.curves import history, training_seconds

    summary = summarize(run, events=False)
    if summary is None:
        raise HeatsError("is gone, or just being made", place=run.id)
    as_stored = ""
    try:
        options = flatten(effective_config(run).model_dump())
    except HeatsError as error:
        as_stored = error.message
        try:
            options = read_yaml_file(run.config)
        except HeatsError:
            options = {}
    told = history(run)
    lowest, highest = {}, {}
    for name, series in told.series.items():
        values = np.asarray(series.values, dtype=float)
        values = values[np.isfinite(values)]
        if len(values):
            lowest[name], highest[name] = float(values.min()), float(values.max())
    seconds = float(training_seconds(told, np.asarray([told.last_step]))[0])
    return Compared(summary, options, seconds, lowest, highest, as_stored)


def option_keys(options: Sequence[dict[str, Any]], *, everything: bool = False) -> list[str]:
    """The options in which runs differ, or all of them, in the order of the first run that has them."""
    keys = list(dict.fromkeys(key for values in options for key in values))
    differ = [key for key in keys if len({repr(values.get(key, _MISSING)) for values in options}) > 1]
    return keys if everything else differ


def letters(index: int) -> str:
    """A, B, ... Z, AA, AB, ...: what a run is called in a comparison."""
    name = ""
    while index >= 0:
        index, rest = divmod(index, 26)
        name = chr(ord("A") + rest) + name
        index -= 1
    return name


def mode_of(metric: str, compared: Sequence[Compared]) -> Mode | None:
    """Whether less or more of a metric is better: by the runs' own word, else by its name; None where neither tells."""
    for item in compared:
        if item.options.get("evaluation.best_metric") == metric:
            said = item.options.get("evaluation.best_mode")
            if said in ("min", "max"):
                return "max" if said == "max" else "min"
    words = set(metric.replace("/", " ").replace("_", " ").replace("-", " ").lower().split())
    if words & set(_LESS):
        return "min"
    return "max" if words & set(_MORE) else None


def best_of(item: Compared, metric: str, mode: Mode) -> float | None:
    """A run's best value of a metric, over all its steps that count."""
    return (item.highest if mode == "max" else item.lowest).get(metric)


def winners(values: Sequence[float | None], mode: Mode | None) -> set[int]:
    """The places of the best value; none where all are as good, or nobody knows what is better."""
    finite = [value for value in values if value is not None and math.isfinite(value)]
    if mode is None or len(finite) < 2 or len(set(finite)) == 1:
        return set()
    best = max(finite) if mode == "max" else min(finite)
    return {place for place, value in enumerate(values) if value == best}


def parting_text(found: RunDiff, metric: str) -> str:
    """Where a metric of two runs parts: a step, or that it never does."""
    item = next((item for item in found.metrics if item.name == metric), None)
    if item is None:
        return "-"
    if item.step is not None:
        return f"{item.step:,}"
    if item.identical:
        return "never"
    return "no step shared" if not item.shared else "other steps"
