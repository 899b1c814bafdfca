"""`heats hooks`: a table for people, and its mistakes before anything is loaded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine.tasks.finetune.made import trained


def _heats(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "tui.cli", *words], capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_command_shows_what_is_hooked_and_what_goes_through(tmp_path: Path) -> None:
    run, _ = trained(tmp_path, {"ablation.kind": "delete", "train.max_steps": 4})
    store = ("--runs-dir", str(run.folder.parent))
    wrong = _heats("hooks", run.id, "--gradients", "--on", "val", *store)
    assert wrong.returncode == 2
    assert "an evaluation has no gradients" in wrong.stderr
    done = _heats("hooks", run.id, "--module", "transformer.h.*.attn", *store)
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["transformer.h.0.attn", "forward", "hook", "delete", "(training)", "what", "comes", "out", "0"] in rows
    recorded = next(row for row in rows if row[1:2] == ["activation"] and row[0].endswith("h.1.attn"))
    assert recorded[2:5] == ["4x16x64", "0", "0"], "deleted"
