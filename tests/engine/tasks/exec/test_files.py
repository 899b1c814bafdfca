"""Following files that a script writes, while it writes them; and bringing several sources together."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from engine.store.metrics import ROLLED_BACK
from engine.tasks.exec.files import FollowedFile
from engine.tasks.exec.finding import Finder, open_for_writing
from engine.tasks.exec.ledger import Ledger
from engine.train.tensorboard import EventWriter


def append(path: Path, text: str) -> None:
    with open(path, "a") as file:
        file.write(text)


def points(followed: FollowedFile, **options: Any) -> list[tuple[int, dict[str, float]]]:
    return [(row.step, row.values) for row in followed.read(**options)]


def test_json_lines_are_read_once_and_a_torn_line_waits(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    followed = FollowedFile(path, "jsonl")
    assert points(followed) == []
    append(path, '{"step": 1, "loss": 2.0, "note": "x"}\nnot json\n{"step": 2, "lo')
    assert points(followed) == [(1, {"train/loss": 2.0})]
    append(path, 'ss": 1.5}\n{"step": 3, "loss": 1.0}')
    assert points(followed) == [(2, {"train/loss": 1.5})]
    assert points(followed, last=True) == [(3, {"train/loss": 1.0})]


def test_a_csv_that_is_written_anew_with_more_columns_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("epoch,step,train_loss\n0,10,2.0\n")
    followed = FollowedFile(path, "csv")
    assert points(followed) == [(10, {"epoch": 0.0, "train/loss": 2.0})]
    path.write_text("epoch,step,train_loss,val_loss\n0,10,2.0,\n0,20,,1.5\n")
    assert points(followed) == [(10, {"epoch": 0.0, "train/loss": 2.0}), (20, {"epoch": 0.0, "val/loss": 1.5})]


def test_a_table_without_a_known_step_is_left_out_unless_it_was_named(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    path.write_text("id,score\n17,0.5\n18,0.6\n")
    followed = FollowedFile(path, "csv")
    assert points(followed) == []
    assert "exec.step_key" in followed.remark
    assert [step for step, _ in points(FollowedFile(path, "csv", must_name_step=False))] == [1, 2]
    assert [step for step, _ in points(FollowedFile(path, "csv", step_key="id"))] == [17, 18]


def test_event_files_are_followed_record_by_record(tmp_path: Path) -> None:
    writer = EventWriter(tmp_path / "written", None)
    for step in (1, 2, 3):
        writer.write(step, 1.7e9 + step, {"train/loss": float(step), "eval/loss": 0.5})
    writer.close()
    (written,) = (tmp_path / "written").iterdir()
    data, path = written.read_bytes(), tmp_path / "events.out.tfevents.1.host"
    path.write_bytes(data[: len(data) // 2])
    followed = FollowedFile(path, "tensorboard")
    first = points(followed)
    assert 0 < len(first) < 6
    path.write_bytes(data)
    found = first + points(followed)
    assert [step for step, _ in found] == [1, 1, 2, 2, 3, 3]
    assert {name for _, values in found for name in values} == {"train/loss", "val/loss"}
    append(path, "damage that is longer than a record's head")
    assert points(followed) == []
    assert "damaged" in followed.remark


def test_what_stood_in_a_file_before_the_script_began_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text('{"step": 1, "loss": 9}\n')
    finder = Finder(tmp_path, tmp_path / "own", tmp_path / "runs", ["*.jsonl"])
    assert finder.look([]) == []
    append(tmp_path / "log.jsonl", '{"step": 2, "loss": 1}\n')
    (found,) = finder.look([])
    assert points(FollowedFile(found.path, found.kind, found.offset)) == [(2, {"train/loss": 1.0})]
    assert finder.look([]) == []


def test_new_files_below_the_working_folder_count_while_nobody_else_works_there(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("step,x\n1,2\n")
    store = tmp_path / "runs"
    first = Finder(tmp_path, store / "a" / "script", store)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "new.csv").write_text("step,x\n1,2\n")
    (store / "b" / "attempts").mkdir(parents=True)
    (store / "b" / "attempts" / "metrics.jsonl").write_text("{}\n")
    assert [found.path.name for found in first.look([])] == ["new.csv"]
    second = Finder(tmp_path, store / "c" / "script", store)
    (tmp_path / "whose.csv").write_text("step,x\n")
    assert first.look([]) == []
    assert "other runs" in first.note
    second.close()
    (tmp_path / "mine.csv").write_text("step,x\n")
    assert [found.path.name for found in first.look([])] == ["mine.csv"]


def test_a_file_that_a_process_holds_open_for_writing_is_its_own(tmp_path: Path) -> None:
    written, read = tmp_path / "out.jsonl", tmp_path / "in.jsonl"
    read.write_text("{}\n")
    with open(written, "w"), open(read):
        assert [path for path in open_for_writing([os.getpid()]) if path.parent == tmp_path] == [written]


def test_files_tell_the_steps_and_lines_are_set_among_them() -> None:
    ledger = Ledger()
    assert ledger.take_line(640, 10.0, {"train/loss": 2.0}) == [(640, 10.0, {"train/loss": 2.0})]
    ledger.take_line(1280, 20.0, {"train/loss": 1.0, "test/accuracy": 0.5})
    written = ledger.take("tb", [(1, 9.0, {"train/loss": 2.5}), (2, 19.0, {"train/loss": 1.5})])
    assert written[0] == (639, 0.0, {ROLLED_BACK: 1280.0})
    assert [step for step, _, _ in written[1:]] == [1, 2]
    assert ledger.settle() == []  # the files haven't come that far
    ledger.take("tb", [(3, 29.0, {"train/loss": 0.5})])
    assert ledger.settle() == [(2, 20.0, {"test/accuracy": 0.5})]
    assert ledger.last_step == 3


def test_lines_wait_for_the_steps_of_a_script_that_tells_them() -> None:
    ledger = Ledger(earlier_step=500, expects_own_steps=True)
    assert ledger.take_line(1, 10.0, {"train/loss": 2.0, "speed": 1.0}) == []
    assert ledger.settle() == []
    assert ledger.take("track", [(501, 11.0, {"train/loss": 2.0})]) == [(501, 11.0, {"train/loss": 2.0})]
    assert ledger.settle() == [(501, 10.0, {"speed": 1.0})]
    alone = Ledger(expects_own_steps=True)
    alone.take_line(1, 10.0, {"x": 1.0})
    assert alone.settle(last=True) == [(1, 10.0, {"x": 1.0})]


def test_a_metric_has_one_source_and_ignored_ones_none() -> None:
    ledger = Ledger(["gpu/*"])
    assert ledger.take("a", [(1, 1.0, {"x": 1.0, "gpu/temp": 60.0})]) == [(1, 1.0, {"x": 1.0})]
    assert ledger.take("b", [(1, 1.0, {"x": 2.0})]) == []


def test_a_later_attempt_shadows_what_lies_past_its_first_step() -> None:
    ledger = Ledger(earlier_step=500)
    rows = ledger.take("track", [(301, 1.0, {"x": 1.0})])
    assert rows == [(300, 1.0, {ROLLED_BACK: 500.0}), (301, 1.0, {"x": 1.0})]
    assert Ledger(earlier_step=500).take("track", [(501, 1.0, {"x": 1.0})]) == [(501, 1.0, {"x": 1.0})]


def test_json_of_any_shape_is_survived(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    shapes: list[Any] = [
        [1],
        "x",
        None,
        {"step": 1e300, "a": 1},
        {"step": -1, "a": 1},
        {"a": {"b": {}}},
        {"step": True},
    ]
    for content in shapes:
        append(path, json.dumps(content) + "\n")
    append(path, '{"step": 4, "a": {"b": 1}}\n')
    assert points(FollowedFile(path, "jsonl", must_name_step=False))[-1] == (4, {"a/b": 1.0})
