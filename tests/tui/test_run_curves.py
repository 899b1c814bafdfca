"""Which charts there are, which lines they hold, and how they are called and coloured. Pure functions."""

from __future__ import annotations

import numpy as np
import pytest

from engine.store.buckets import Curve, curve
from tui.chart_choice import Choice, grid_shape, limits_in, limits_out, parse_limits
from tui.run_curves import ChartsView, RunCurves, lines_of, run_colors, unique_labels


def run(name: str, *metrics: str, arm: str | None = None, values: float = 1.0, length: int = 5) -> RunCurves:
    found: dict[str, Curve] = {metric: curve(range(length), [values] * length) for metric in metrics}
    return RunCurves(f"id-{name}", name, found, {}, arm)


def test_train_and_val_share_a_chart() -> None:
    view = ChartsView((run("a", "val/loss", "train/loss", "train/lr", "accuracy"),))
    assert view.groups == ("loss", "accuracy", "lr")
    lines = lines_of(view, "loss")
    assert [(line.label, line.color) for line in lines] == [("train", 0), ("val", 1)]
    assert [line.label for line in lines_of(view, "accuracy")] == ["accuracy"]


def test_several_runs_have_a_colour_each_and_keep_it() -> None:
    runs = tuple(run(name, "train/loss", "val/loss") for name in "abcdefgh")
    lines = lines_of(ChartsView(runs), "loss")
    assert [line.label for line in lines[:3]] == ["a train", "a val", "b train"]
    assert lines[0].color == lines[1].color
    assert lines[0].dash != lines[1].dash
    assert len({line.color for line in lines}) == 8
    hidden = lines_of(ChartsView(runs), "loss", hidden=frozenset({lines[0].name}))
    assert [line.color for line in hidden] == [line.color for line in lines]
    assert [line.hidden for line in hidden][:2] == [True, False]


def test_colours_do_not_depend_on_the_order() -> None:
    ids = [f"run-{number}" for number in range(6)]
    assert run_colors(ids) == run_colors(list(reversed(ids)))
    assert len(run_colors([f"run-{number}" for number in range(50)])) == 50


def test_runs_of_one_arm_as_a_band() -> None:
    runs = (
        run("a", "val/loss", arm="latent", values=1.0, length=9),
        run("b", "val/loss", arm="latent", values=3.0),
        run("c", "val/loss", arm="simple"),
        run("d", "val/loss"),
    )
    lines = lines_of(ChartsView(runs), "loss", bands=True)
    assert [line.label for line in lines] == ["latent (mean of 2)", "c", "d"]
    mean = lines[0]
    np.testing.assert_array_equal(mean.curve.values, [2.0] * 5)  # as far as both go
    assert mean.band is not None
    np.testing.assert_array_equal(mean.band[0].values, [1.0] * 5)
    np.testing.assert_array_equal(mean.band[1].values, [3.0] * 5)
    assert [line.band for line in lines[1:]] == [None, None]


def test_runs_of_one_name_are_told_apart() -> None:
    assert unique_labels([("x_0001", "a"), ("x_0002", "b"), ("x_0003", "a")]) == ["a 0001", "b", "a 0003"]


def test_pins_moves_hides_and_filters() -> None:
    groups = ["loss", "acc", "lr", "norm"]
    metrics = ["train/loss", "val/loss", "val/acc", "train/lr", "train/norm"]
    choice = Choice().toggle_pin("lr")
    assert choice.arrange(groups) == ["lr", "loss", "acc", "norm"]
    choice = choice.move("acc", -1, choice.arrange(groups))
    assert choice.arrange(groups) == ["lr", "acc", "loss", "norm"]
    assert choice.move("acc", -1, choice.arrange(groups)) == choice, "not past what is pinned"
    assert [*choice.arrange([*groups, "aaa"])][-1] == "aaa", "what comes later stays behind"
    assert Choice(filter="val/").arrange(groups, metrics) == ["loss", "acc"]
    assert Choice(filter="train/l*").arrange(groups, metrics) == ["loss", "lr"]
    assert Choice(hidden=frozenset({"loss"}), filter="L").arrange(groups, metrics) == ["acc", "lr"]
    assert choice.toggle_pin("lr").pinned == ()


@pytest.mark.parametrize("charts", [0, 1, 2, 3, 7, 400])
@pytest.mark.parametrize("size", [(1, 1), (40, 8), (80, 22), (160, 43), (200, 58)])
def test_a_page_fits(charts: int, size: tuple[int, int]) -> None:
    columns, rows = grid_shape(*size, charts)
    assert columns >= 1
    assert rows >= 1
    assert columns == 1 or size[0] // columns >= 30
    assert rows == 1 or size[1] // rows >= 9
    assert columns * rows <= max(columns, charts + columns)
    asked = grid_shape(*size, charts, 9, 9)
    assert asked[0] <= max(1, size[0] // 14)
    assert asked[1] <= max(1, size[1] // 4)


def test_limits_as_people_type_them() -> None:
    assert parse_limits("0 2") == (0, 2)
    assert parse_limits("..2e-1") == (None, 0.2)
    assert parse_limits("-1..") == (-1, None)
    assert parse_limits(" ") == (None, None)
    for wrong in ("1", "2 1", "a b", "0 nan", "1 2 3"):
        with pytest.raises(ValueError, match=r".+"):
            parse_limits(wrong)
    limits = {"loss": (0.1, None), "lr": (None, 3.0)}
    assert limits_in(limits_out(limits)) == limits
    assert limits_in("loss\tx\ty\n\t1\t2\nnothing") == {}
