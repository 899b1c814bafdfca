"""Figures that are logged by two things at once, as a grid."""

from __future__ import annotations

import math

from engine.study.maps import Grid, grid_of
from engine.study.plots import grid_figure, to_svg


def test_metrics_become_rows_and_columns_in_the_order_of_numbers() -> None:
    bases = {"b": 10, "a": 20}
    runs = [
        {f"val/ablated_{kind}_layer{layer}": bases[kind] + layer + extra for kind in bases for layer in (0, 10, 2)}
        for extra in (0.0, 1.0)
    ]
    del runs[0]["val/ablated_a_layer2"], runs[1]["val/ablated_a_layer2"]
    runs[0]["val/loss"] = 3.0
    grid = grid_of("val/ablated_*_layer*", runs)
    assert grid is not None
    assert (grid.rows, grid.columns) == (("b", "a"), ("0", "2", "10"))
    assert grid.values[0] == (10.5, 12.5, 20.5)
    assert math.isnan(grid.values[1][1])
    svg = to_svg(grid_figure(grid, "val/ablated"))
    assert all(text in svg for text in ("20.5", "12.5", "30.5"))


def test_nothing_that_fits_is_no_grid() -> None:
    assert grid_of("val/ablated_*_layer*", [{"val/loss": 1.0}]) is None
    assert isinstance(grid_of("a*b*", [{"axby": 1.0}]), Grid)
