"""Figures reach both logs soon, whole, and to the last bit; a full disk loses none of them."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from engine.store.metrics import JsonLinesTail
from engine.train.metrics import MetricsWriter, encode_row
from tests.support import wait_until


def test_a_logged_step_is_readable_soon_without_a_flush(tmp_path: Path) -> None:
    writer = MetricsWriter(tmp_path / "metrics.jsonl", None)
    tail = JsonLinesTail(tmp_path / "metrics.jsonl")
    writer.log(1, {"train/loss": 0.5})
    found = wait_until(lambda: list(tail.read()))
    assert found[0]["train/loss"] == 0.5
    writer.close()


def test_every_float_survives_to_the_last_bit(tmp_path: Path) -> None:
    special = [math.nan, math.inf, -math.inf, 5e-324, 1.7976931348623157e308, -0.0]
    values = [*torch.randn(1000).tolist(), *special]
    writer = MetricsWriter(tmp_path / "metrics.jsonl", None)
    for step, value in enumerate(values, start=1):
        writer.log(step, {"x": value})
    writer.close()
    from engine.store.files import decode_number

    read = [decode_number(record["x"]) for record in JsonLinesTail(tmp_path / "metrics.jsonl").read()]
    assert [repr(value) for value in read] == [repr(value) for value in values]


def test_a_name_with_null_in_it_is_kept() -> None:
    assert b'"null/loss":0.25' in encode_row(1, 2.0, {"null/loss": 0.25})


@pytest.mark.filterwarnings("ignore")
def test_tensorboard_reads_our_events_and_purges_what_a_resume_replaced(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    first = MetricsWriter(tmp_path / "a.jsonl", tmp_path / "tb")
    for step in range(1, 11):
        first.log(step, {"train/loss": float(step)})
    first.close()
    time.sleep(1.1)  # event files are told apart and ordered by the second in their name
    second = MetricsWriter(tmp_path / "b.jsonl", tmp_path / "tb", resumed_from_step=6)
    for step in range(7, 9):
        second.log(step, {"train/loss": 100.0 + step, "val/loss": math.nan})
    second.close()
    accumulator = EventAccumulator(str(tmp_path / "tb"))
    accumulator.Reload()
    scalars = {event.step: event.value for event in accumulator.Scalars("train/loss")}
    assert scalars == {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 7: 107, 8: 108}
    assert all(math.isnan(event.value) for event in accumulator.Scalars("val/loss"))


_FILL = """
import resource, signal, sys
from pathlib import Path
from engine.train.appender import LineAppender
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
appender = LineAppender(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
for number in range(20):
    appender.append(b"line %04d\\n" % number)
assert appender.error is not None
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
appender.append(b"the end\\n")
assert appender.error is None
appender.close()
"""


def test_what_a_full_disk_refused_is_written_once_there_is_room(tmp_path: Path) -> None:
    path = tmp_path / "log"
    done = subprocess.run([sys.executable, "-c", _FILL, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    expected = [f"line {number:04d}" for number in range(20)] + ["the end"]
    assert path.read_text().splitlines() == expected
