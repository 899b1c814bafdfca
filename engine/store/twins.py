"""Twins: runs whose configs differ but whose figures are equal to the last bit, so that what differs had no effect.

Found in two looks: a digest of each run's first figures, of a few kilobytes a run, and then, only among runs with
equal digests, the whole series.
"""

from __future__ import annotations

import math
import os
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from engine.store.files import decode_number
from engine.store.metrics import RunHistory, Series
from engine.store.paths import RunPaths
from engine.store.records import read_run

LEAST_POINTS = 20
_LEAST_VALUES = 10
_LEAST_EVALUATIONS = 5
_LEAST_FIRST_VALUES = 3
_HEAD_BYTES = 1 << 15
IDENTICAL_TAG = "identical"
"""Runs with this tag are meant to be equal to others."""

NEUTRAL_SECTIONS = ("checkpoint", "evaluation", "guard", "data")
"""Sections whose options decide what is kept, measured, watched and loaded by whom, not what is trained."""
NEUTRAL_OPTIONS = frozenset(
    f"train.{name}"
    for name in (
        "save_every", "log_every", "max_steps", "device", "deterministic", "gradient_checkpointing", "compile",
        "num_threads",
    )
) | {"optim.fused", "precision.tf32"}  # fmt: skip
"""Options that say how and how long to train: where they alone differ, equal figures are no surprise."""


@dataclass(frozen=True)
class Twins:
    """Two runs with an equal series: over how many points, and in which options their configs differ."""

    first: str
    second: str
    metric: str
    points: int
    differing: tuple[str, ...]


@dataclass(frozen=True)
class _Candidate:
    run: RunPaths
    config_hash: str
    study: str | None


def find_twins(
    runs: Iterable[tuple[RunPaths, Sequence[str]]], *, exempt_studies: frozenset[str] = frozenset()
) -> list[Twins]:
    """The twins among runs; of several that are all equal, each with the first.

    Args:
        runs: the runs, each with its tags; one tagged `identical` is left out.
        exempt_studies: studies that compare their arms for identity: two runs of one such study are no twins.
    """
    groups: dict[tuple[str, bytes], dict[str, _Candidate]] = {}
    for run, tags in runs:
        if IDENTICAL_TAG in tags:
            continue
        record = read_run(run.record)
        if record is None or record.config_hash is None:
            continue
        candidate = _Candidate(run, record.config_hash, record.study)
        for metric, digest in _digests(run).items():
            # Of runs with one config, which are equal as they should be, one is enough.
            groups.setdefault((metric, digest), {}).setdefault(candidate.config_hash, candidate)
    found: dict[tuple[str, str], Twins] = {}
    for (metric, _), members in groups.items():
        first, *others = members.values()
        series = None
        for other in others:
            pair = (first.run.id, other.run.id)
            if pair in found or (first.study == other.study and first.study in exempt_studies):
                continue
            differing = differing_options(first.run, other.run)
            if differing is not None and all(is_neutral(key) for key in differing):
                continue
            series = _series(first.run, metric) if series is None else series
            points = telling_points(metric, series, _series(other.run, metric))
            if points:
                found[pair] = Twins(*pair, metric, points, tuple(differing or ()))
    return sorted(found.values(), key=lambda twins: (twins.first, twins.second))


def _digests(run: RunPaths) -> dict[str, bytes]:
    """By metric, its first points as bytes: of train/loss so many as make a series, of evaluations the first few."""
    head = _head(run)
    digests = {}
    for metric, points in head.items():
        training = metric == "train/loss"
        least, least_values = (LEAST_POINTS, _LEAST_VALUES) if training else (_LEAST_EVALUATIONS, _LEAST_FIRST_VALUES)
        # An accuracy that is 0 at first is so in thousands of runs: comparing all of them would take minutes.
        if len(points) >= least and len({value for _, value in points[:least]}) >= least_values:
            steps = array("q", [step for step, _ in points[:least]])
            values = array("d", [value for _, value in points[:least]])
            digests[metric] = steps.tobytes() + values.tobytes()
    return digests


def _head(run: RunPaths) -> dict[str, list[tuple[int, float]]]:
    """The first points of the telling metrics, by the first attempt: later ones repeat or continue it."""
    points: dict[str, list[tuple[int, float]]] = {}
    attempts = run.attempts()
    if not attempts:
        return points
    for line in _first_lines(attempts[0].metrics)[:LEAST_POINTS]:
        record = _parse(line)
        step = record.get("step")
        if type(step) is int and 0 <= step < 2**63:
            _add(points, "train/loss", step, record.get("train/loss"))
    evaluations = 0
    for line in _first_lines(attempts[0].events):
        if b'"evaluated"' not in line or evaluations == _LEAST_EVALUATIONS:
            continue
        record = _parse(line)
        step, metrics = record.get("step"), record.get("metrics")
        if record.get("event") == "evaluated" and type(step) is int and 0 <= step < 2**63 and isinstance(metrics, dict):
            evaluations += 1
            for metric, value in metrics.items():
                if metric.startswith(("val/", "test/")):
                    _add(points, metric, step, value)
    return points


def _add(points: dict[str, list[tuple[int, float]]], metric: str, step: int, raw: Any) -> None:
    value = decode_number(raw)
    if value is not None:
        points.setdefault(metric, []).append((step, value))


def _first_lines(path: os.PathLike[str]) -> list[bytes]:
    try:
        with open(path, "rb") as file:
            block = file.read(_HEAD_BYTES)
    except OSError:
        return []
    return block[: block.rfind(b"\n") + 1].splitlines()


def _parse(line: bytes) -> dict[str, Any]:
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        return {}
    return record if isinstance(record, dict) else {}


def _series(run: RunPaths, metric: str) -> Series:
    history = RunHistory(run)
    history.refresh()
    return history.series.get(metric, Series())


def telling_points(metric: str, first: Series, second: Series) -> int:
    """Over how many points two series are equal; 0 where they differ, or where too little varies to mean anything."""
    points = equal_points(first, second)
    training = metric == "train/loss"
    least, least_values = (LEAST_POINTS, _LEAST_VALUES) if training else (_LEAST_EVALUATIONS, _LEAST_EVALUATIONS)
    varied = {value for value in first.values[:points] if not math.isnan(value)}
    return points if points >= least and len(varied) >= least_values else 0


def equal_points(first: Series, second: Series) -> int:
    """Over how many points two series are equal to the last bit, as far as both go; 0 where any differs."""
    if not len(first) or not len(second):
        return 0
    last = min(first.steps[-1], second.steps[-1])
    ends = [bisect_right(series.steps, last) for series in (first, second)]
    same = all(
        getattr(first, name)[: ends[0]].tobytes() == getattr(second, name)[: ends[1]].tobytes()
        for name in ("steps", "values")
    )
    return ends[0] if same else 0


def is_neutral(key: str) -> bool:
    """Whether runs that differ in this option alone may well have equal figures."""
    return key in NEUTRAL_OPTIONS or key.partition(".")[0] in NEUTRAL_SECTIONS


def differing_options(first: RunPaths, second: RunPaths) -> list[str] | None:
    """The options in which two stored configs differ; None where one can't be read."""
    from engine.config.resolve import read_yaml_file
    from engine.errors import HeatsError

    try:
        one, two = read_yaml_file(first.config), read_yaml_file(second.config)
    except HeatsError:
        return None
    return sorted(key for key in one.keys() | two.keys() if one.get(key) != two.get(key))
