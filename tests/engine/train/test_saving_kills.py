"""Savers that are killed in mid-save: what they leave is never taken for a checkpoint."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pytest
import torch

from engine.store import checkpoints as stored
from engine.store.paths import RunPaths
from engine.train import checkpoint
from tests.engine.train.toy import make_run
from tests.forks import forks
from tests.support import wait_until

_SAVE_BESIDE = """
from pathlib import Path
from engine.store.paths import RunPaths
from engine.train import checkpoint
from tests.engine.train import savers
import torch

def work(folder, step):
    run = RunPaths(Path(folder))
    checkpoint.clear_leftovers(run)
    _, saver = savers.make_saver(run, {"checkpoint.keep_last": 3})
    state = savers.Stub()
    state.model = torch.nn.Linear(700, 700)
    state.step = int(step)
    while True:
        state.train()
        savers.save_stub(saver, state)
"""


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_kills_in_mid_save_beside_training_leave_nothing_that_a_resume_would_take(store_root: Path) -> None:
    run = make_run(store_root)
    kills = half_written = 0
    with forks(_SAVE_BESIDE) as saving:
        while kills < 3 or (not half_written and kills < 30):
            before = _newest(run)
            saving.start(run.folder, before)
            wait_until(partial(_is_in_mid_save_after, run, before + 2))
            assert saving.kill(), saving.errors()
            kills += 1
            half_written += _saving(run)
            found = stored.scan(run)
            assert [stored.verify(item) for item in found] == [()] * len(found), f"kill {kills}"
            chosen = stored.choose(run)
            assert chosen.passed_over == ()
            assert chosen.checkpoint is not None
            loaded = checkpoint.Loaded(chosen.checkpoint)
            assert torch.equal(loaded.model["weight"], torch.full((700, 700), float(loaded.step)))
    assert half_written  # some kill did fall into a save
    checkpoint.clear_leftovers(run)
    assert not list(run.checkpoints.glob(".*"))


def _is_in_mid_save_after(run: RunPaths, step: int) -> bool:
    return _newest(run) >= step and any(_saving(run) for _ in range(1000))


def _newest(run: RunPaths) -> int:
    return max((item.step for item in stored.scan(run)), default=0)


def _saving(run: RunPaths) -> bool:
    """Whether a save is half done."""
    names = os.listdir(run.checkpoints)
    return any(name.startswith(".step-") for name in names)
