"""What a chart shows of its curves: axes, trimming, limits, readings, gaps, marks without colour."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest

from engine.store.buckets import Buckets, Curve, curve
from engine.store.elapsed import training_time
from tui.widgets import raster, scale
from tui.widgets.plot import Line, Look, Plot, Window
from tui.widgets.raster import Layer
from tui.widgets.scale import Domain


def plot(*lines: Line, **look: object) -> Plot:
    found = Plot()
    found.set_look(Look(**look))  # type: ignore[arg-type]
    found.show(lines)
    return found


def timed(values: list[float], times: list[float]) -> Curve:
    plain = curve(range(1, len(values) + 1), values)
    return Curve(plain.steps, plain.values, np.array(times), (), plain.broken)


def domain_of(found: Plot) -> Domain:
    reduced = found.reduce(80)
    assert reduced is not None
    return reduced[0]


def test_trimming_says_how_many_points_are_outside() -> None:
    values = [1 + math.sin(step) / 10 for step in range(1000)]
    values[500] = 1e6
    line = Line("a", curve(range(1000), values))
    whole, trimmed = plot(line), plot(line, clip=True)
    assert domain_of(whole).y1 >= 1e6
    assert domain_of(trimmed).y1 < 2
    assert (whole.outside, trimmed.outside) == (0, 1)


def test_limits_hold_and_points_outside_are_counted() -> None:
    found = plot(Line("a", curve(range(10), range(10))), low=2.0, high=5.0)
    domain = domain_of(found)
    assert (domain.y0, domain.y1) == (2, 5)
    assert found.outside == 6


def test_log_log() -> None:
    found = plot(Line("a", curve(range(0, 100_001, 10), [1 / (1 + s) for s in range(10_001)])), log_y=True, log_x=True)
    domain = domain_of(found)
    assert (domain.log, domain.log_x) == (True, True)
    assert domain.x0 == 10, "a step of 0 has no logarithm"
    assert domain.share(domain.place(0.3)) == pytest.approx(0.3)
    edges = domain.edges(4)
    np.testing.assert_allclose(edges[1:] / edges[:-1], edges[1] / edges[0])


def test_a_line_without_times_brings_all_back_to_steps_and_it_is_said() -> None:
    known = Line("known", curve([1, 2], [1, 2]), places=np.array([0.5, 1.0]))
    lost = Line("lost", curve([1, 2], [1, 2]))
    assert plot(known, axis="elapsed").axis == "elapsed"
    both = plot(known, lost, axis="elapsed")
    assert (both.axis, both.lacking) == ("step", "lost")


def test_readings_at_the_crosshair() -> None:
    line = Line("a", timed([5.0, 4.0, math.nan, 2.0], [10, 20, 30, 40]))
    found = plot(line, smoothing=0.6)
    assert found.read(line, None).value == 2.0
    at = found.read(line, 1.9)
    assert (at.step, at.value, at.moment) == (2, 4.0, 20)
    assert at.smoothed == pytest.approx((0.4 * 4 + 0.6 * 0.4 * 5) / (0.4 + 0.6 * 0.4))
    assert math.isnan(found.read(line, 3.0).value or 0)
    assert found.read(line, 9.0).value is None, "beyond its end it says nothing"
    assert found.read(line, 4.5, slack=1.0).step == 4


def test_a_zoomed_window_goes_on_with_the_tail_in_leaps() -> None:
    found = plot(Line("a", curve(range(1001), range(1001))))
    found.window = Window(900, 1000, tail=True)
    assert found.x_range() == (900, 1000)
    found.show([Line("a", curve(range(1003), range(1003)))])
    assert found.x_range() == (925, 1025)
    found.window = Window(900, 1000)
    assert found.x_range() == (900, 1000)


def test_pauses_are_no_training() -> None:
    times = np.array([0.0, 1, 2, 3, 40_000, 40_001])
    np.testing.assert_allclose(training_time(times), [1, 2, 3, 4, 5, 6])


@pytest.mark.parametrize("axis", scale.AXES)
@pytest.mark.parametrize("span", [1e-3, 0.5, 59.0, 4000.0, 90_000.0, 1e7])
def test_x_axes_have_round_bounds_and_labels(axis: str, span: float) -> None:
    low = time.mktime((2026, 3, 1, 11, 59, 3, 0, 0, -1)) if axis == "time" else 0.0
    start, end = scale.x_domain(low, low + span, axis)
    assert start <= low < low + span <= end
    ticks = scale.x_ticks(Domain(start, end, 0, 1), 8, axis)
    assert 1 <= len(ticks) <= 20
    assert all(start - 1e-6 <= place <= end + 1e-6 for place, _ in ticks)
    assert len({label for _, label in ticks}) == len(ticks)


def test_a_line_is_broken_where_values_are_no_numbers() -> None:
    values = [1.0, 1, 1, math.nan, math.nan, 1, 1]
    wide = curve(range(0, 70, 10), values).buckets(0, 60, 62)
    row = raster.text_of(raster.draw([wide], Domain(0, 60, 0, 2), 31, 1).codes[0])
    assert row[11:25].strip() == "", "neither into the gap nor out of it"
    assert row[5] != " "


def test_what_lies_outside_is_at_the_rim_of_a_sparkline_and_nowhere_in_a_chart() -> None:
    high = Buckets(np.full(8, 9.0), np.full(8, 9.0), np.zeros(8, np.bool_))
    assert raster.text_of(raster.draw([high], Domain(0, 8, 0, 1), 4, 1).codes[0]).strip()
    assert not raster.text_of(raster.draw([high], Domain(0, 8, 0, 1), 4, 1, rim=False).codes[0]).strip()


@pytest.mark.parametrize("ascii_only", [False, True])
def test_letters_tell_lines_apart_without_colour(ascii_only: bool) -> None:
    count = raster.pixels(60, ascii_only=ascii_only)
    layers = [
        Layer(curve(range(100), [value] * 100).buckets(0, 99, count), letter=letter)
        for value, letter in ((1.0, "a"), (3.0, "b"))
    ]
    cells = raster.draw(layers, Domain(0, 99, 0, 4), 60, 8, ascii_only=ascii_only)
    rows = [raster.text_of(row) for row in cells.codes]
    assert sum("a" in row for row in rows) == 1
    assert sum("b" in row for row in rows) == 1


def test_dashes_and_areas() -> None:
    flat = curve(range(100), [1.0] * 100).buckets(0, 99, 40)
    dashed = raster.text_of(raster.draw([Layer(flat, dash=2)], Domain(0, 99, 0, 2), 20, 1).codes[0])
    assert set(dashed) == {"⠒", " "} or dashed.count(" ") == 10
    area = Buckets(np.zeros(40), np.full(40, 2.0), np.zeros(40, np.bool_))
    cells = raster.draw([Layer(area, filled=True), Layer(flat)], Domain(0, 99, 0, 2), 20, 2)
    assert (cells.layers == 1).any()
    assert (cells.layers == 0).any()
    assert "⣿" not in raster.text_of(cells.codes[0]), "an area isn't a block"
