"""Where two effective histories part: for each metric the first step at which its values differ."""

from __future__ import annotations

import struct
from bisect import bisect_right
from dataclasses import dataclass
from typing import Any

from engine.store.files import encode_number
from engine.store.metrics import RunHistory, Series
from engine.store.paths import RunPaths


@dataclass(frozen=True)
class MetricDiff:
    """One metric of two runs. `first` and `second` are the values at the step where they part."""

    name: str
    shared: int
    """Steps at which both logged it."""
    step: int | None = None
    """The first shared step at which the values differ; None where they never do."""
    first: float | None = None
    second: float | None = None
    only_first: int = 0
    """Steps at which only the first run logged it."""
    only_second: int = 0
    last_first: tuple[int, float] | None = None
    """Step and value of the first run's last point."""
    last_second: tuple[int, float] | None = None

    @property
    def identical(self) -> bool:
        """Whether both have the same values at the same steps."""
        return self.step is None and not self.only_first and not self.only_second

    def to_json(self) -> dict[str, Any]:
        """The stable public form."""
        return {
            "name": self.name,
            "identical": self.identical,
            "first_step": self.step,
            "values": None if self.step is None else [_encoded(self.first), _encoded(self.second)],
            "shared_steps": self.shared,
            "only_first": self.only_first,
            "only_second": self.only_second,
            "last": [_point(self.last_first), _point(self.last_second)],
        }


def compare_histories(
    first: RunPaths, second: RunPaths, *, tolerance: float = 0.0, after_step: int = 0, up_to_step: int | None = None
) -> list[MetricDiff]:
    """Every metric of two runs, in the order in which they part; those that agree come last, by name.

    Args:
        first, second: the runs.
        tolerance: two values agree when they are at most this far apart, as a share of the greater of them or, where
            both are below 1, absolutely. 0: to the last bit (NaN agrees with NaN, 0.0 does not with -0.0).
        after_step: leave out what lies at or before this step.
        up_to_step: leave out what lies past this step.
    """
    histories = RunHistory(first), RunHistory(second)
    for history in histories:
        history.refresh()
    found = []
    for name in sorted(histories[0].series.keys() | histories[1].series.keys()):
        cut = [_cut(history.series.get(name), after_step, up_to_step) for history in histories]
        if cut[0].steps or cut[1].steps:
            found.append(_compare(name, cut[0], cut[1], tolerance))
    # What people know best stands first among those that part at one step.
    return sorted(found, key=lambda item: (item.step is None, item.step or 0, item.name != "train/loss", item.name))


def _compare(name: str, first: Series, second: Series, tolerance: float) -> MetricDiff:
    lasts = [(series.steps[-1], series.values[-1]) if series.steps else None for series in (first, second)]
    if first.steps == second.steps and first.values.tobytes() == second.values.tobytes():
        return MetricDiff(name, len(first), last_first=lasts[0], last_second=lasts[1])
    values = dict(zip(second.steps, second.values, strict=True))
    shared = 0
    parted: tuple[int, float, float] | None = None
    for step, value in zip(first.steps, first.values, strict=True):
        if step not in values:
            continue
        shared += 1
        if parted is None and not agree(value, values[step], tolerance):
            parted = step, value, values[step]
    at, one, other = parted or (None, None, None)
    return MetricDiff(
        name, shared, at, one, other, only_first=len(first) - shared, only_second=len(second) - shared,
        last_first=lasts[0], last_second=lasts[1],
    )  # fmt: skip


def agree(first: float, second: float, tolerance: float) -> bool:
    """Whether two values are the same, to the last bit or within a tolerance."""
    if struct.pack("d", first) == struct.pack("d", second) or (first != first and second != second):
        return True
    if not tolerance:
        return False
    return first == second or abs(first - second) <= tolerance * max(1.0, abs(first), abs(second)) < float("inf")


def _cut(series: Series | None, after: int, up_to: int | None) -> Series:
    if series is None:
        return Series()
    end = len(series) if up_to is None else bisect_right(series.steps, up_to)
    part = slice(bisect_right(series.steps, after), end)
    return Series(series.steps[part], series.values[part], series.times[part])


def _encoded(value: float | None) -> float | str | None:
    return None if value is None else encode_number(value)


def _point(point: tuple[int, float] | None) -> dict[str, Any] | None:
    return None if point is None else {"step": point[0], "value": encode_number(point[1])}
