"""`heats plot`: what it writes, and what it refuses."""

from __future__ import annotations

from pathlib import Path

from engine.store.paths import Store
from tests.tui.cli.stores import finished_run, heats


def test_a_plot_is_written_once_and_replaced_only_when_told(store: Store, tmp_path: Path) -> None:
    run, out = finished_run(store), tmp_path / "curve.svg"
    assert heats("plot", run.id, "--out", str(out), store=store).returncode == 0
    assert b"train/loss" in out.read_bytes()
    again = heats("plot", run.id, "--out", str(out), store=store)
    assert (again.returncode, "--yes replaces it" in again.stderr) == (2, True)
    wrong = heats("plot", run.id, "--y", "train/los", "--out", str(out), "--yes", store=store)
    assert (wrong.returncode, "did you mean `train/loss`" in wrong.stderr) == (2, True)
