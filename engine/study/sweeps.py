"""How a study's metric depends on one numeric option: which options are swept, and the curve over values. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from engine.study import statistics
from engine.study.expand import short_key
from engine.study.spec import Study

_LEAST_VALUES = 3
"""Two named arms that differ in a number are a comparison, not a curve."""
_MOST_CURVES = 6
_DECADE = 10.0

Scale = Literal["linear", "log", "symlog"]


@dataclass(frozen=True)
class Row:
    """What a sweep needs to know of an arm: its options that differ between arms, and its finite figures."""

    name: str
    options: Mapping[str, Any]
    figures: tuple[float, ...]


@dataclass(frozen=True)
class SweepPoint:
    """All finite figures of the runs with one value of the option; there may be none."""

    value: float
    sample: statistics.Sample


@dataclass(frozen=True)
class Sweep:
    """A metric against one numeric option: one curve, or one for each setting of the other options."""

    option: str
    curves: Mapping[str, tuple[SweepPoint, ...]]
    note: str
    """What became of the other options, as a sentence; empty where there are none."""

    def best(self, mode: str) -> tuple[str, SweepPoint] | None:
        """The curve and the point with the best mean; None where nothing has finished."""
        found = [(label, point) for label, points in self.curves.items() for point in points if point.sample.values]
        sign = 1.0 if mode == "max" else -1.0
        return max(found, key=lambda item: sign * item[1].sample.mean, default=None)

    @property
    def scale(self) -> Scale:
        """Of the option's axis."""
        return axis_scale(point.value for points in self.curves.values() for point in points)


def axis_scale(values: Iterable[float]) -> Scale:
    """Logarithmic where values span a decade or more; a zero among them keeps its place beside the others."""
    found = sorted(set(values))
    positive = [value for value in found if value > 0]
    if not found or found[0] < 0 or not positive or positive[-1] / positive[0] < _DECADE:
        return "linear"
    return "log" if found[0] > 0 else "symlog"


def is_numeric(value: Any) -> bool:
    """Whether a value of an option can stand on an axis."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def find_sweeps(study: Study, rows: Sequence[Row]) -> list[Sweep]:
    """One sweep for each numeric option that the arms of a study vary; none for a search, whose trials are scattered.

    Args:
        study: whose arms they are.
        rows: its arms.
    """
    if study.spec.search is not None or len(rows) < 2:
        return []
    declared = {*study.spec.factors, *study.spec.zip}
    found = []
    for key in rows[0].options:
        values = {row.options.get(key) for row in rows if is_numeric(row.options.get(key))}
        wanted = 2 if key in declared else _LEAST_VALUES
        if len(values) >= wanted and all(is_numeric(row.options.get(key)) for row in rows):
            sweep = _sweep(study, key, rows)
            found += [sweep] if sweep is not None else []
    return found


def _sweep(study: Study, key: str, rows: Sequence[Row]) -> Sweep | None:
    """The sweep along an option; None where each value has another setting of what is no number, as each optimizer
    has a rate of its own: a line through them would mean nothing."""
    others = [other for other in rows[0].options if other != key]
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(
            ", ".join(f"{_leaf(other, others)}={_text(row.options[other])}" for other in others), []
        ).append(row)
    names = ", ".join(others)
    values = {row.options[key] for row in rows}
    if all(len(group) == 1 for group in groups.values()) and len(groups) == len(values):
        if not all(is_numeric(row.options[other]) for row in rows for other in others):
            return None
        note = f"{names} {'varies' if len(others) == 1 else 'vary'} along with it." if others else ""
        return Sweep(key, {"": _points(key, rows)}, note)
    if len(groups) > _MOST_CURVES:
        return Sweep(key, {"": _points(key, rows)}, f"Each point takes in all settings of {names}.")
    named = {_name(study, key, group) or label: _points(key, group) for label, group in groups.items()}
    if len(named) < len(groups):
        named = {label: _points(key, group) for label, group in groups.items()}
    return Sweep(key, named, f"One curve for each setting of {names}." if len(groups) > 1 else "")


def _points(key: str, rows: Sequence[Row]) -> tuple[SweepPoint, ...]:
    figures: dict[float, list[float]] = {}
    for row in rows:
        figures.setdefault(row.options[key], []).extend(row.figures)
    return tuple(SweepPoint(value, statistics.describe(figures[value])) for value in sorted(figures))


def _name(study: Study, key: str, group: Sequence[Row]) -> str:
    """The arms' common name without this option, as `latent` of `latent,lr=0.1`; empty where they have none."""
    own = f"{short_key(key, study.spec.factors)}=" if key in study.spec.factors else None
    names = {",".join(part for part in row.name.split(",") if own is None or not part.startswith(own)) for row in group}
    return names.pop() if len(names) == 1 else ""


def _leaf(key: str, keys: Sequence[str]) -> str:
    return short_key(key, dict.fromkeys(keys))


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
