"""Figures as lines of JSON, and the few statistics that they need."""

from __future__ import annotations

import json
import statistics
from importlib.util import find_spec
from typing import Any


def emit(
    figure: str,
    value: float,
    unit: str,
    peer: str | None = None,
    peer_value: float | None = None,
    ratio: float | None = None,
    **facts: Any,
) -> None:
    """Print one figure. `ratio` is value / peer_value unless given (as the median of paired ratios, say)."""
    if ratio is None and peer_value:
        ratio = value / peer_value
    line = {"figure": figure, "value": value, "unit": unit, "peer": peer, "peer_value": peer_value, "ratio": ratio}
    print(json.dumps(_rounded(line | facts)), flush=True)


def skip(figure: str, why: str) -> None:
    """Say that a figure can't be had here."""
    print(json.dumps({"figure": figure, "skipped": why}), flush=True)


def missing(module: str) -> str | None:
    """Why a peer can't be measured, or None if it is installed."""
    return None if find_spec(module) else f"{module} is not installed (see tests/bench/README.md)"


def median(values: list[float]) -> float:
    """The median."""
    return statistics.median(values)


def quiet(values: list[float]) -> float:
    """The first decile: what something costs when nobody else on the machine is computing."""
    return sorted(values)[len(values) // 10]


def quartiles(values: list[float]) -> list[float]:
    """The first and third quartiles: the spread beside a median."""
    if len(values) < 2:
        return [values[0], values[0]]
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    return [first, third]


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_rounded(inner) for inner in value]
    return value
