"""Checking a run while it saves, rewinding it, and going on: with real runs that are killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import HeatsError
from engine.launch.actions import resume
from engine.store.checkpoint_moves import apply_moves, plan_rewind
from engine.store.checkpoint_report import inspect
from engine.store.checkpoints import scan
from engine.store.paths import RunPaths
from engine.store.status import State
from tests.support import ENDLESS, exists, kill, launched, start, wait_for_state, wait_until

pytestmark = pytest.mark.slow


def kill_all(run: RunPaths) -> None:
    record = launched(run)
    kill(record.supervisor_pid)
    kill(record.trainer_pid)
    wait_until(lambda: not exists(record.trainer_pid))
    wait_for_state(run, State.LOST)


def newest(run: RunPaths) -> int:
    return max((item.step for item in scan(run) if item.usable), default=0)


def test_a_rewound_run_goes_on_from_there_and_after_a_kill_from_where_it_had_come(store_root: Path) -> None:
    values = ENDLESS | {"train.save_every": 20, "checkpoint.keep_last": 3}
    run = start(store_root, values).run
    wait_until(lambda: newest(run) >= 100, 120)
    for _ in range(4):  # it saves and lets go all the while
        report = inspect(run)
        assert report.live
        assert report.is_sound, report.to_json()
    with pytest.raises(HeatsError, match="stop it first"):
        plan_rewind(run, "100")
    kill_all(run)
    # A kill may fall into a save; what it leaves is named, and no more than that is wrong.
    assert all("left behind" in problem for problem in inspect(run, deep=True).problems)
    assert not any(item.problems for item in inspect(run, deep=True).checkpoints)

    oldest = min(item.step for item in scan(run) if item.usable)
    last = newest(run)
    apply_moves(plan_rewind(run, str(oldest)))
    assert resume(run).resumed_from_step == oldest < last
    wait_until(lambda: newest(run) > oldest, 120)
    kill_all(run)
    came_to = newest(run)
    assert came_to > oldest
    assert resume(run).resumed_from_step == came_to
    kill_all(run)
