"""Steps that come twice, late, or again after a restart."""

from __future__ import annotations

from engine.store.foreign.curves import Curves


def _curve(*points: tuple[int, float, int]) -> tuple[list[tuple[int, float]], Curves]:
    curves = Curves()
    for step, value, part in points:
        curves.add("m", step, 0.0, value, part)
    series = curves.series["m"]
    return list(zip(series.steps, series.values, strict=True)), curves


def test_of_a_doubled_step_the_later_value_counts() -> None:
    points, curves = _curve((1, 1.0, 0), (2, 2.0, 0), (2, 2.5, 0), (3, 3.0, 0))
    assert points == [(1, 1.0), (2, 2.5), (3, 3.0)]
    assert curves.doubled == 1


def test_going_back_onto_a_logged_step_is_a_restart() -> None:
    points, curves = _curve((1, 1.0, 0), (2, 2.0, 0), (3, 3.0, 0), (2, 9.0, 0))
    assert points == [(1, 1.0), (2, 9.0)]
    assert curves.superseded == 2


def test_going_back_in_a_later_file_is_a_restart() -> None:
    points, _ = _curve((10, 1.0, 0), (20, 2.0, 0), (30, 3.0, 0), (15, 9.0, 1), (25, 8.0, 1))
    assert points == [(10, 1.0), (15, 9.0), (25, 8.0)]


def test_a_late_point_of_the_same_file_finds_its_place() -> None:
    points, curves = _curve((1, 1.0, 0), (3, 3.0, 0), (2, 2.0, 0), (4, 4.0, 0))
    assert points == [(1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0)]
    assert curves.superseded == 0


def test_negative_steps_are_counted_and_left_out() -> None:
    points, curves = _curve((-1, 1.0, 0), (1, 1.0, 0))
    assert points == [(1, 1.0)]
    assert curves.bad_steps == 1
