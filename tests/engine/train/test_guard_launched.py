"""What a person types after the guard has spoken."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from engine.launch.actions import stop
from engine.store.checkpoints import MANIFEST, STATE, choose, hash_file
from engine.store.paths import RunPaths
from engine.store.status import State
from tests.support import ENDLESS, look, start, wait_for_state, wait_for_step

pytestmark = pytest.mark.slow


def _heats(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tui.cli", *words, "--runs-dir", str(root)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def _kill_scale(run: RunPaths) -> None:
    """As months of skipped steps would."""
    newest = choose(run).checkpoint
    assert newest is not None
    state = json.loads((newest.folder / STATE).read_text())
    state["scaler"]["scale"] = (0.0).hex()
    (newest.folder / STATE).write_text(json.dumps(state))
    manifest = json.loads((newest.folder / MANIFEST).read_text())
    path = newest.folder / STATE
    manifest["files"][STATE] = {"bytes": path.stat().st_size, "sha256": hash_file(path)}
    (newest.folder / MANIFEST).write_text(json.dumps(manifest))


def test_a_dead_loss_scale_is_refused_with_the_way_out_which_works(store_root: Path) -> None:
    run = start(store_root, ENDLESS | {"precision.dtype": "fp16"}).run
    wait_for_step(run, 3)
    stop(run)
    step = wait_for_state(run, State.STOPPED).step
    _kill_scale(run)
    _heats(store_root, "resume", "last", "--detach")
    assert "--reset-scaler" in wait_for_state(run, State.FAILED).reason
    assert _heats(store_root, "resume", "last", "--detach", "--reset-scaler").returncode == 0
    wait_for_step(run, step + 3)
    stop(run)
    assert wait_for_state(run, State.STOPPED).step > step


def test_an_emergency_checkpoint_is_resumed_from_when_asked_for(store_root: Path) -> None:
    values = ENDLESS | {"optim.lr": 1.0, "guard.explosion": "stop"}
    run = start(store_root, values).run
    failed = wait_for_state(run, State.FAILED)
    assert "above its running level" in failed.reason
    done = _heats(store_root, "resume", "last", "--detach", "--emergency", "--override", "guard.explosion=ignore")
    assert done.returncode == 0, done.stderr
    wait_for_step(run, failed.step + 3)
    stop(run)
    wait_for_state(run, State.STOPPED)
    assert look(run).attempts == 2
