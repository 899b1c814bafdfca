"""Figures: they are valid files, and what matters is drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engine.study import plots
from engine.study.curves import Points


def test_a_spike_in_a_million_points_is_drawn() -> None:
    values = np.zeros(1_000_000)
    values[654_321] = 9.0
    figure = plots.curves_figure({"run": [Points(np.arange(1e6), values)]}, metric="loss", x_label="step")
    drawn = np.asarray(figure.axes[0].lines[0].get_ydata())
    assert drawn.max() == 9.0
    assert len(drawn) < 10_000


def test_figures_have_their_labels_and_are_valid_files(tmp_path: Path) -> None:
    points = Points(np.arange(5.0), np.asarray([1.0, 2.0, np.nan, 3.0, 4.0]))
    figure = plots.curves_figure({"a": [points], "b": [points, points]}, metric="val/x", x_label="step")
    assert (figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()) == ("step", "val/x")
    for name, start in (("f.png", b"\x89PNG"), ("f.pdf", b"%PDF"), ("f.svg", b"<?xml")):
        plots.save(figure, tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(start)
