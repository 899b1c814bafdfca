"""`heats plot`: what it writes, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

from engine.store.paths import Store
from tests.tui.cli.stores import finished_run, heats, log_event


def test_a_plot_is_written_once_and_replaced_only_when_told(store: Store, tmp_path: Path) -> None:
    run, out = finished_run(store), tmp_path / "curve.svg"
    assert heats("plot", run.id, "--out", str(out), store=store).returncode == 0
    assert b"train/loss" in out.read_bytes()
    again = heats("plot", run.id, "--out", str(out), store=store)
    assert (again.returncode, "--yes replaces it" in again.stderr) == (2, True)
    wrong = heats("plot", run.id, "--y", "train/los", "--out", str(out), "--yes", store=store)
    assert (wrong.returncode, "did you mean `train/loss`" in wrong.stderr) == (2, True)


def test_along_epochs_and_the_clock(store: Store, tmp_path: Path) -> None:
    run = finished_run(store)
    words = ("plot", run.id, "--out", str(tmp_path / "a.svg"), "--yes")
    assert "nothing says how long its epochs are" in heats(*words, "--x", "epoch", store=store).stderr
    log_event(run.attempts()[-1], "training", 0, batches_per_epoch=5)
    found = json.loads(heats(*words, "--x", "epoch", "--json", store=store).stdout)
    assert found["curves"] == [{"label": run.id, "runs": 1}]
    for axis, said in (("epoch", ">epoch<"), ("relative", "since the start, with pauses"), ("time", ">clock<")):
        assert heats(*words, "--x", axis, store=store).returncode == 0
        assert said in (tmp_path / "a.svg").read_text()
