"""Which options are swept, and the curve over their values."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.study.expand import arms_of
from engine.study.search import Trial
from engine.study.sweep_figures import progress_figure, sweep_figure, trials_figure
from engine.study.sweeps import Row, Sweep, axis_scale, find_sweeps
from tests.engine.study.made import make_study


def sweeps(folder: Path, figures: dict[str, tuple[float, ...]] | None = None, **facts: Any) -> dict[str, Sweep]:
    """The sweeps of a study whose arms have these figures (0.5 and 0.6 unless told)."""
    study = make_study(folder, metric="val/exact_match", mode="max", **({"arms": {}} | facts))
    arms = arms_of(study)
    keys = dict.fromkeys(key for arm in arms for key in arm.values)
    rows = [
        Row(arm.name, {key: arm.values.get(key) for key in keys}, (figures or {}).get(arm.name, (0.5, 0.6)))
        for arm in arms
    ]
    return {sweep.option: sweep for sweep in find_sweeps(study, rows)}


def test_a_grid_gives_one_curve_for_each_setting_of_the_other_option(tmp_path: Path) -> None:
    factors = {"optim.lr": [0.001, 0.01, 0.1], "model.positions": ["learned", "abacus"]}
    found = sweeps(tmp_path, {"lr=0.01,positions=abacus": (0.9, 0.8), "lr=0.1,positions=abacus": ()}, factors=factors)
    assert set(found) == {"optim.lr"}  # the other is no number
    sweep = found["optim.lr"]
    assert {label: [point.value for point in points] for label, points in sweep.curves.items()} == {
        "positions=learned": [0.001, 0.01, 0.1], "positions=abacus": [0.001, 0.01, 0.1],
    }  # fmt: skip
    best = sweep.best("max")
    assert best is not None
    assert (best[0], best[1].value) == ("positions=abacus", 0.01)
    assert best[1].sample.mean == pytest.approx(0.85)
    assert sweep.curves["positions=abacus"][2].sample.values == ()  # it has no figure, and stays on the axis
    assert "model.positions" in sweep.note
    assert sweep.scale == "log"


def test_two_numbers_that_vary_together_say_so(tmp_path: Path) -> None:
    found = sweeps(tmp_path, zip={"optim.lr": [0.1, 0.2], "optim.weight_decay": [0.0, 0.1]})
    assert list(found["optim.lr"].curves) == [""]
    assert found["optim.lr"].note == "optim.weight_decay varies along with it."


def test_no_line_goes_through_what_is_no_scale(tmp_path: Path) -> None:
    """Each optimizer at its own rate: a line from one to the next reads as if the rate alone made the difference."""
    arms = {
        name: {"optim.name": name, "optim.lr": rate} for name, rate in (("adamw", 0.001), ("sgd", 0.1), ("lion", 0.01))
    }
    assert sweeps(tmp_path, arms=arms) == {}


def test_many_settings_of_other_options_are_taken_together(tmp_path: Path) -> None:
    found = sweeps(tmp_path, factors={"optim.lr": [0.1, 0.2], "model.num_layers": [1, 2, 3, 4, 5, 6, 7]})
    (points,) = found["optim.lr"].curves.values()
    assert [len(point.sample.values) for point in points] == [14, 14]
    assert "all settings of model.num_layers" in found["optim.lr"].note
    assert len(found["model.num_layers"].curves) == 2


def test_named_arms_are_a_curve_only_from_three_values_on(tmp_path: Path) -> None:
    def arms(*values: float) -> dict[str, Any]:
        return {f"w{value:g}": {"loss.column_sum_weight": value} for value in values}

    assert sweeps(tmp_path, arms=arms(0.0, 0.1)) == {}
    assert sweeps(tmp_path, arms=arms(0.0, 0.1, 10.0))["loss.column_sum_weight"].scale == "symlog"


@pytest.mark.parametrize(
    ("values", "scale"),
    [([1, 2, 5], "linear"), ([1, 10], "log"), ([0, 0.1, 1], "symlog"), ([-1, 100], "linear"), ([0, 0], "linear")],
)
def test_the_axis_is_logarithmic_where_values_span_a_decade(values: list[float], scale: str) -> None:
    assert axis_scale(values) == scale


def test_a_sweep_s_figure_marks_the_best_and_what_has_no_figure(tmp_path: Path) -> None:
    sweep = sweeps(tmp_path, {"lr=0.1": ()}, factors={"optim.lr": [0.001, 0.01, 0.1]})["optim.lr"]
    axes = sweep_figure(sweep, "val/exact_match", "max").axes[0]
    assert axes.get_xscale() == "log"
    assert {text.get_text() for text in axes.texts} == {"best: 0.001", "no figure"}


def test_a_search_s_figures_tell_pruned_trials_and_the_best_so_far() -> None:
    trials = [
        Trial(0, {"optim.lr": 0.1}, 3.0, "complete"), Trial(1, {"optim.lr": 0.01}, 0.5, "pruned"),
        Trial(2, {"optim.lr": 0.001}, 1.0, "complete"), Trial(3, {"optim.lr": 0.002}, None, "failed"),
        Trial(4, {"optim.lr": 0.003}, 2.0, "complete"),
    ]  # fmt: skip
    figure = trials_figure(trials, "optim.lr", "val/loss", "min", log=True)
    assert figure is not None
    named = {line.get_label(): np.asarray(line.get_ydata()).tolist() for line in figure.axes[0].lines}
    assert named["ended early (pruned)"] == [0.5]
    assert "best: 0.001" in {text.get_text() for text in figure.axes[0].texts}  # a pruned trial is never the best
    progress = progress_figure(trials, "val/loss", "min")
    assert progress is not None
    (line,) = [line for line in progress.axes[0].lines if line.get_label() == "best so far"]
    assert np.asarray(line.get_ydata()).tolist() == [3.0, 1.0, 1.0, 1.0]
    assert progress_figure([Trial(0, {}, math.nan, "failed")], "val/loss", "min") is None


def test_a_setting_that_is_no_number_is_scattered_by_name() -> None:
    trials = [Trial(index, {"kind": name}, float(index), "complete") for index, name in enumerate(["b", "a", "b"])]
    figure = trials_figure(trials, "kind", "val/loss", "min", log=False)
    assert figure is not None
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["a", "b"]
    assert "best: b" in {text.get_text() for text in figure.axes[0].texts}
