"""CSV and JSON lines: which column is the step, and values of every spelling."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from engine.errors import HeatsError
from engine.store.foreign.curves import ForeignRun
from engine.store.foreign.tables import read_csv, read_jsonl


def _read(path: Path, text: str, step_column: str | None = None) -> ForeignRun:
    path.write_text(text, encoding="utf-8")
    run = ForeignRun("x", "csv", path, "")
    (read_csv if path.suffix == ".csv" else read_jsonl)(run, path, step_column)
    return run


def _points(run: ForeignRun, name: str) -> list[tuple[int, float]]:
    series = run.curves.series[name]
    return list(zip(series.steps, series.values, strict=True))


@pytest.mark.parametrize(
    ("titles", "chosen"),
    [
        ("epoch,global_step,loss", "global_step"),
        ("Step,loss,epoch", "Step"),
        ("loss,epoch", "epoch"),
        ("loss,trainer/global_step", "trainer/global_step"),
    ],
)
def test_the_step_column_is_guessed_and_said(tmp_path: Path, titles: str, chosen: str) -> None:
    run = _read(tmp_path / "a.csv", f"{titles}\n" + ",".join("3" for _ in titles.split(",")) + "\n")
    assert _points(run, "loss") == [(3, 3.0)]
    assert f"steps from the column `{chosen}`" in run.remarks[0]


def test_a_step_column_may_be_named(tmp_path: Path) -> None:
    run = _read(tmp_path / "a.csv", "step,batch,loss\n1,10,0.5\n", "batch")
    assert (_points(run, "loss"), _points(run, "logged/step")) == ([(10, 0.5)], [(10, 1.0)])
    with pytest.raises(HeatsError, match="there are: step, batch, loss"):
        _read(tmp_path / "a.csv", "step,batch,loss\n1,10,0.5\n", "nosuch")
    with pytest.raises(HeatsError, match="more than whole numbers"):
        _read(tmp_path / "a.csv", "step,loss\n1,0.5\n", "loss")


def test_rows_are_counted_where_no_column_is_a_step(tmp_path: Path) -> None:
    run = _read(tmp_path / "a.csv", "epoch,loss\n0.5,1\n0.75,2\n")
    assert _points(run, "loss") == [(1, 1.0), (2, 2.0)]
    assert "row numbers" in run.remarks[0]


def test_values_that_are_no_numbers(tmp_path: Path) -> None:
    run = _read(tmp_path / "a.csv", "step,a,word\n1,nan,x\n2,inf,\n3,-Infinity,y\n4,,\nx,1,z\n")
    (first, second, third) = _points(run, "a")
    assert math.isnan(first[1])
    assert (second, third) == ((2, math.inf), (3, -math.inf))
    assert "word" in run.remarks[-1]


def test_a_step_that_is_missing_in_a_row(tmp_path: Path) -> None:
    run = _read(tmp_path / "a.csv", "step,a\n1,5\n,6\n")
    assert _points(run, "a") == [(1, 5.0)]
    assert "1 rows without a step left out" in run.remarks


def test_other_separators_and_a_byte_order_mark(tmp_path: Path) -> None:
    assert _points(_read(tmp_path / "a.csv", "\ufeffstep;größe\n1;2.5\n"), "größe") == [(1, 2.5)]
    assert _points(_read(tmp_path / "a.csv", "step\tloss\n1\t2.5\n"), "loss") == [(1, 2.5)]


def test_what_tensorboard_downloads(tmp_path: Path) -> None:
    run = _read(tmp_path / "a.csv", "Wall time,Step,Value\n1700000000.5,10,0.25\n")
    assert _points(run, "Value") == [(10, 0.25)]
    assert run.created == 1700000000.5


def test_json_lines_with_nested_objects_and_damage(tmp_path: Path) -> None:
    run = _read(
        tmp_path / "a.jsonl",
        '{"step": 1, "time": "2023-11-14T22:13:20+00:00", "train": {"loss": 0.5}, "ok": true}\n'
        '{"step": 2, "train": {"loss": NaN}}\n{"step": 3, "tra\n[1]\n\n',
    )
    assert _points(run, "train/loss")[0] == (1, 0.5)
    assert math.isnan(_points(run, "train/loss")[1][1])
    assert run.created == 1.7e9
    assert "2 damaged lines left out" in run.remarks
