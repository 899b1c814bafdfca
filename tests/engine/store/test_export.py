"""Exported tables: every bit of every float, and nothing that a resume shadowed."""

from __future__ import annotations

import csv
import io
import json
import math
import random
import struct
from pathlib import Path

import pytest

from engine.errors import HeatsError, MachineError
from engine.store.export import Table, check_format, history_table, stored_options, summary_table

from engine.store.export import write_csv, write_json, write_parquet  # isort: skip
from engine.store.files import encode_number
from engine.store.paths import RunPaths, Store
from engine.store.summary import summarize
from tests.engine.store.made import add_attempt, finished_run, log_steps, make_run, make_store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return make_store(tmp_path / "runs")


def _csv(table: Table) -> list[dict[str, str]]:
    file = io.BytesIO()
    count = write_csv(table, file)
    rows = list(csv.DictReader(io.StringIO(file.getvalue().decode())))
    assert len(rows) == count
    return rows


def _json(table: Table) -> list[dict[str, object]]:
    file = io.BytesIO()
    count = write_json(table, file)
    rows: list[dict[str, object]] = json.loads(file.getvalue())
    assert len(rows) == count
    return rows


def _with_values(store: Store, values: list[float], **more: float) -> RunPaths:
    run = make_run(store)
    attempt = add_attempt(run)
    with attempt.metrics.open("w") as file:
        for step, value in enumerate(values, start=1):
            record = {"step": step, "time": 1.5 + step, "v": encode_number(value), **more}
            file.write(json.dumps(record) + "\n")
    return run


def test_every_bit_of_every_float_comes_back(store: Store) -> None:
    draw = random.Random(7)
    values = [struct.unpack("<d", draw.randbytes(8))[0] for _ in range(2000)]
    values = [value for value in values if not math.isnan(value)] + [5e-324, -0.0, 0.1, math.inf, -math.inf]
    run = _with_values(store, values)
    for row, value in zip(_csv(history_table([run])), values, strict=True):
        assert struct.pack("<d", float(row["v"])) == struct.pack("<d", value)
    for line, value in zip(_json(history_table([run], long=True)), values, strict=True):
        assert struct.pack("<d", float(str(line["value"]))) == struct.pack("<d", value)


def test_numbers_that_are_none_are_spelled_out_and_missing_ones_are_empty(store: Store) -> None:
    run = _with_values(store, [math.nan, math.inf, -math.inf])
    log_steps(run.attempt(1), [9], loss=1.0)
    assert [row["v"] for row in _csv(history_table([run]))] == ["NaN", "Infinity", "-Infinity", ""]
    assert [row.get("v") for row in _json(history_table([run]))] == ["NaN", "Infinity", "-Infinity", None]


def test_what_a_resume_shadowed_is_left_out(store: Store) -> None:
    run = make_run(store)
    log_steps(add_attempt(run), range(1, 11))
    log_steps(add_attempt(run, resumed_from_step=6), range(7, 9))
    rows = _csv(history_table([run], long=True))
    assert [(int(row["step"]), float(row["value"])) for row in rows] == [
        *((step, 1 + step / 1000) for step in range(1, 7)), (7, 2.007), (8, 2.008),
    ]  # fmt: skip


def test_several_runs_share_their_columns(store: Store) -> None:
    first, second = _with_values(store, [1.0], other=2.0), _with_values(store, [3.0, 4.0])
    rows = _csv(history_table([first, second]))
    assert [(row["run"], row["step"], row["v"], row["other"]) for row in rows] == [
        (first.id, "1", "1.0", "2.0"), (second.id, "1", "3.0", ""), (second.id, "2", "4.0", ""),
    ]  # fmt: skip


def test_metrics_are_chosen_by_name_and_pattern(store: Store) -> None:
    run = _with_values(store, [1.0], **{"val/a": 2.0, "val/b": 3.0})
    assert list(history_table([run], metrics=["val/*", "v"]).columns) == ["run", "step", "time", "val/a", "val/b", "v"]
    with pytest.raises(HeatsError, match="did you mean `val/a`"):
        history_table([run], metrics=["val/aa"])


def test_a_metric_called_like_a_column_steps_aside(store: Store) -> None:
    (row,) = _csv(history_table([_with_values(store, [1.0], run=2.0)]))
    assert row["metric:run"] == "2.0"


def test_awkward_texts_stay_one_cell(store: Store) -> None:
    run = _with_values(store, [1.0], **{'a,"b"\nc': 2.0, " größe ": 3.0})
    (row,) = _csv(history_table([run]))
    assert (row['a,"b"\nc'], row[" größe "]) == ("2.0", "3.0")


def test_the_summary_has_a_row_a_run_with_options_and_figures(store: Store) -> None:
    run = finished_run(store)
    add_attempt(run, overrides={"model.d_model": {"from": 8, "to": 16}}, resumed_from_step=20)
    summary = summarize(run)
    assert summary is not None
    ((row,), (line,)) = (
        write(summary_table([(summary, stored_options(run))])) for write in (_csv, _json)
    )  # fmt: skip
    assert (row["id"], row["config.model.d_model"], row["best.val/loss"]) == (run.id, "16", "0.25")
    assert (line["config.model.d_model"], line["star"], line["metric.val/loss"]) == (16, False, 0.25)
    assert "left" not in line


def test_an_empty_history_is_a_table_without_rows(store: Store) -> None:
    run = make_run(store)
    assert _csv(history_table([run])) == []
    assert _json(history_table([run])) == []


def test_parquet_comes_back_as_it_was(store: Store) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    run = _with_values(store, [0.1, math.nan, math.inf])
    log_steps(run.attempt(1), [9], loss=1.0)
    file = io.BytesIO()
    assert write_parquet(history_table([run]), file) == 4
    rows = parquet.read_table(io.BytesIO(file.getvalue())).to_pylist()
    assert (rows[0]["v"], rows[2]["v"], rows[3]["v"]) == (0.1, math.inf, None)
    assert math.isnan(rows[1]["v"])


def test_without_pyarrow_parquet_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(MachineError, match=r"pyarrow"):
        check_format("parquet")
