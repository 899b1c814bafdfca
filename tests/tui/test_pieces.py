"""The pure parts: ticks, braille, sparklines, smoothing, columns, order, filter, view state."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from engine.store.buckets import curve
from engine.store.filter import parse
from engine.store.status import State
from tests.tui.made import summary
from tui import format, view_state
from tui.run_curves import group_of, groups_of
from tui.view_state import ViewState
from tui.widgets import raster, scale
from tui.widgets.chart_signs import row_labels
from tui.widgets.run_columns import COLUMNS, coarse_age, filter_runs, fit_columns, fit_text, sort_runs
from tui.widgets.scale import Domain
from tui.widgets.smoothing import Smoother, usual_distance
from tui.widgets.sparkline import spark_buckets, sparkline


def test_nice_ticks() -> None:
    assert scale.nice_ticks(0, 10, 5) == [0, 2, 4, 6, 8, 10]
    assert scale.nice_ticks(0.1, 0.4, 3) == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert scale.nice_ticks(1, 2, 10, whole=True) == [1, 2]
    assert scale.log_ticks(0.001, 10, 5) == pytest.approx([0.001, 0.01, 0.1, 1, 10])
    assert scale.log_ticks(0.1, 1, 5) == pytest.approx([0.1, 0.2, 0.5, 1])


def test_the_steps_shown_move_in_leaps() -> None:
    """A domain that moved with each point would redraw the whole chart each second."""
    ends = [scale.x_domain(1, last)[1] for last in range(1000, 2000)]
    assert all(end >= last for end, last in zip(ends, range(1000, 2000), strict=True))
    assert len(set(ends)) <= 8


@pytest.mark.parametrize(("low", "high"), [(0.0, 0.0), (3.0, 3.0), (-1e-12, 1e-12), (math.nan, math.nan), (1e30, 2e30)])
@pytest.mark.parametrize("log", [False, True])
def test_any_values_have_a_domain(low: float, high: float, log: bool) -> None:
    if log and not low > 0:
        low = high = math.nan
    bottom, top = scale.value_domain(low, high, log=log)
    assert bottom < top
    if low == low:
        assert bottom <= low
        assert high <= top * 1.000001


def test_braille_of_a_diagonal() -> None:
    line = curve(range(8), [float(value) for value in range(8)])
    cells = raster.draw([line.buckets(0, 7, 8)], Domain(0, 7, 0, 7), 4, 2)
    assert [raster.text_of(row) for row in cells.codes] == ["  ⡠⠊", "⡠⠊  "]
    assert (cells.layers >= 0).sum() == 4


def test_ascii_has_no_glyphs() -> None:
    line = curve(range(40), [math.sin(value / 5) for value in range(40)])
    cells = raster.draw([line.buckets(0, 39, 20)], Domain(0, 39, -1, 1), 20, 4, ascii_only=True)
    text = "".join(raster.text_of(row) for row in cells.codes)
    assert text.isascii()
    assert text.strip()


def test_every_spike_of_a_million_points_is_drawn() -> None:
    values = np.full(1_000_000, 0.1)
    places = np.linspace(1234, 990_000, 20).astype(int)
    values[places] = 5.0
    line = curve(np.arange(1_000_000), values)
    cells = raster.draw([line.buckets(0, 1e6, 240)], Domain(0, 1e6, 0, 5), 120, 20)
    assert (cells.codes[0] != ord(" ")).sum() == 20


def test_sparkline() -> None:
    falling = curve(range(100), [1 / (1 + value) for value in range(100)])
    line = sparkline(spark_buckets(falling, 12))
    assert len(line) == 12
    assert line[0] != line[-1]
    assert sparkline(spark_buckets(falling, 12), ascii_only=True).isascii()
    assert sparkline(spark_buckets(curve([], []), 12)) == " " * 12
    assert len(sparkline(spark_buckets(curve([5], [math.nan]), 12))) == 12
    assert sparkline(spark_buckets(curve([5], [1.0]), 12)).strip()


@pytest.mark.parametrize("weight", [0.6, 0.99])
def test_smoothing_equals_a_plain_loop(weight: float) -> None:
    chance = np.random.default_rng(0)
    values = chance.normal(size=1500)
    values[[0, 700, 701]] = np.nan
    for steps in (np.arange(1500), np.cumsum(chance.integers(1, 40, 1500))):
        expected, mean, known, before = [], 0.0, 0.0, None
        for step, value in zip(steps, values, strict=True):
            if math.isfinite(value):
                decay = weight ** (1 if before is None else step - before)
                mean, known, before = decay * mean + (1 - decay) * value, decay * known + 1 - decay, step
                expected.append(mean / known)
            else:
                expected.append(math.nan)
        smoother = Smoother(weight)
        for end in (10, 11, 900, 1500):  # as it grows
            found = smoother.smooth(curve(steps[:end], values[:end]))
        np.testing.assert_allclose(found.values, expected, rtol=1e-9)
        shorter = smoother.smooth(curve(steps[:5], values[:5]))  # points were taken back
        np.testing.assert_allclose(shorter.values, expected[:5], rtol=1e-9)


def test_even_distances_are_smoothed_as_if_by_count_and_sparse_points_are_left_alone() -> None:
    values = np.random.default_rng(0).normal(size=300)
    dense = curve(range(0, 3000, 10), values)
    sparse = curve(range(0, 3000, 1000), values[:3])
    unit = usual_distance([sparse, dense])
    assert unit == 10
    by_count = Smoother(0.9).smooth(curve(range(300), values)).values
    np.testing.assert_allclose(Smoother(0.9, unit).smooth(dense).values, by_count)
    np.testing.assert_allclose(Smoother(0.9, unit).smooth(sparse).values, sparse.values, rtol=1e-3)


@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e300])
def test_smoothing_of_any_size_of_number(scale: float) -> None:
    found = Smoother(0.6).smooth(curve([1, 2, 10**9, 10**9 + 1], [scale, scale, scale, -scale]))
    assert found.values[:3] == pytest.approx([scale] * 3)
    assert abs(found.values[3]) <= scale


def test_columns_fit_any_width() -> None:
    for width in range(24, 260):
        columns = fit_columns(width)
        assert sum(size for _, size in columns) + len(columns) - 1 <= width
        assert {"status", "name"} <= {column.id for column, _ in columns}
    assert "live" in {column.id for column, _ in fit_columns(80)}
    assert {"study", "arm", "seed", "reason"} <= {column.id for column, _ in fit_columns(260)}


def test_text_fits_its_cells() -> None:
    assert fit_text("abc", 5) == "abc  "
    assert fit_text("abc", 5, right=True) == "  abc"
    assert fit_text("latent-d384-l4-n8 a3f9", 14, keep_end=True) == "latent-d… a3f9"
    assert fit_text("乘法乘法", 5) == "乘法…"


def test_order() -> None:
    runs = [
        summary(1, metrics={"train/loss": 0.5}),
        summary(2, metrics={"train/loss": math.nan}),
        summary(3, metrics={"train/loss": 0.1}),
        summary(4),
    ]
    ids = {run.id: number for number, run in enumerate(runs, 1)}
    by_loss = [ids[run.id] for run in sort_runs(runs, "loss", reverse=False)]
    assert by_loss == [3, 1, 2, 4]
    assert [ids[run.id] for run in sort_runs(runs, "loss", reverse=True)] == [1, 3, 2, 4]
    assert [ids[run.id] for run in sort_runs(runs, "age", reverse=True)] == [4, 3, 2, 1]
    assert len(sort_runs(runs, "no such column", reverse=True)) == 4


def test_what_trains_stands_above_what_waits_and_what_is_over() -> None:
    states = [State.FINISHED, State.RUNNING, State.QUEUED, State.STALLED, State.QUEUED, State.FAILED]
    runs = [summary(number, status=state) for number, state in enumerate(states)]
    assert [int(run.created) for run in sort_runs(runs, "age", reverse=True)] == [3, 1, 4, 2, 5, 0]


def test_filter() -> None:
    runs = [
        summary(1, name="Alpha", tags=("paper",)),
        summary(2, name="beta", status=State.RUNNING),
        summary(3, name="alphabet", status=State.FAILED),
    ]
    names = {
        text: [run.name for run in filter_runs(runs, parse(text))] for text in ("alpha", "running", "alpha failed", "x")
    }
    assert names == {"alpha": ["Alpha", "alphabet"], "running": ["beta"], "alpha failed": ["alphabet"], "x": []}
    assert filter_runs(runs, parse("PAPER")) == [runs[0]]
    assert filter_runs(runs, parse(" ")) == runs


def test_small_words() -> None:
    assert [coarse_age(0, age) for age in (5, 65, 7300, 200_000)] == ["now", "1m", "2h", "2d"]
    assert [format.short(value) for value in (0, 0.05, 1500, 2e6, 1e-5)] == ["0", "0.05", "1.5k", "2M", "1e-5"]
    assert group_of("train/loss") == group_of("val/loss") == "loss"
    assert groups_of(["train/lr", "val/loss", "train/grad_norm"]) == ("loss", "grad_norm", "lr")


def test_a_number_never_loses_its_exponent_to_a_narrow_column() -> None:
    values = (28673.6, 9999.6, 99999.6, 1e7, -1e7, 123.456, 0.00012, -12345.6, 1e-12)
    assert all(len(format.number(value)) <= 8 for value in values)
    assert [format.number(value) for value in values[:4]] == ["28674", "10000", "1.00e+05", "1.00e+07"]
    run = summary(1, step=13_260, total_steps=1_000_000)
    column = next(column for column in COLUMNS if column.id == "step")
    assert column.cell(run, 0.0) == "13,260/1M", "half a number is a wrong one"


def test_labels_of_an_axis_never_say_one_number_twice() -> None:
    for low, high in ((0.9999991, 1.0), (0.99991, 1.0), (1e6, 1e6 + 1)):
        labels = list(row_labels(Domain(0, 1, low, high), 9).values())
        assert labels
        assert len(set(labels)) == len(labels)


def test_view_state_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "state.json"
    state = ViewState(selected="x", sort="loss", reverse=False, filter="a", log_y=True, smoothing=0.9)
    view_state.save(path, state)
    assert view_state.load(path) == state
    path.write_text('{"sort": 7, "reverse": "yes", "smoothing": 5, "filter": "kept"}')
    assert view_state.load(path) == ViewState(filter="kept")
    path.write_text("{damaged")
    assert view_state.load(path) == ViewState()
    view_state.save(Path("/proc/no/such/place"), state)
