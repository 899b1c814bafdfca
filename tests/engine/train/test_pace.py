"""What a run says at its end of its speed and memory."""

from __future__ import annotations

import pytest

from engine.train.figures import Row
from engine.train.pace import Pace, peak_memory_bytes


def test_pauses_and_gaps_do_not_count() -> None:
    pace = Pace()
    moments = [0.0, 0.1, 0.2, 9.2, 9.3, 9.4, 9.5]  # an evaluation after the third step
    pace.take([Row(step, moment, {"train/tokens": 200.0}) for step, moment in enumerate(moments, start=1)])
    pace.take([Row(40, 99.0, {"train/tokens": 1e9})])
    found = pace.facts()
    assert found["step_seconds"] == pytest.approx(0.1)
    assert found["tokens_per_second"] == pytest.approx(2000)


def test_memory_is_always_known_and_speed_only_after_two_steps() -> None:
    pace = Pace()
    pace.take([Row(1, 0.0, {})])
    assert set(pace.facts()) == {"peak_memory_bytes"}
    assert 10 * 2**20 < peak_memory_bytes() < 2**40
