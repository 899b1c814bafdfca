"""The thread beside training: a loader that hangs and a disk that fills are told while training can't."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.config.sections import GuardSection
from engine.store.records import Event, read_events
from engine.train.watch import EVALUATION, SAVE, Watch
from tests.engine.train import toy
from tests.engine.train.told import alerts, events
from tests.engine.train.toy import make_run, train_toy
from tests.support import wait_until


def test_a_hung_loader_is_told_while_it_hangs_and_when_it_is_over(
    store_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(store_root)

    def told() -> list[Event]:
        # On a busy machine another step may have taken too long as well.
        found = [event for event in alerts(run, "stall") if event.step == 14]
        return [event for event in found if "the data loader gives no batch" in event.facts["message"]]

    monkeypatch.setattr(toy, "hang", lambda seconds: wait_until(told))
    train_toy(run, {"toy.hang_at": 14, "guard.stall_seconds": 0.7, "train.log_every": 1})
    (alert,) = told()
    assert events(run, "alert_over")[-1].time > alert.time


_HANG = """
import sys
from pathlib import Path
from tests.engine.train.toy import make_run, train_toy
run = make_run(Path(sys.argv[1]))
print(run.folder, flush=True)
train_toy(run, {"toy.hang_at": 14, "toy.hang_seconds": 600.0, "guard.stall_seconds": 0.7, "guard.stall": "stop"})
"""


@pytest.mark.slow
def test_a_stall_may_end_the_run_as_failed(store_root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _HANG, str(store_root)], capture_output=True, text=True, timeout=250, check=False
    )
    assert done.returncode == 1
    last = read_events(Path(done.stdout.split()[0]) / "attempts" / "001" / "events.jsonl")[0][-1]
    assert last.name == "failed"
    assert "no step was completed" in last.facts["error"]


class _Told:
    def __init__(self) -> None:
        self.said: list[tuple[str, str, str]] = []

    def __call__(self, event: str, cause: str, message: str, **facts: Any) -> None:
        self.said.append((event, cause, message))


def _watch(folder: Path, told: _Told, **options: Any) -> Watch:
    return Watch(GuardSection.model_validate(options), folder, told, lambda reason: None, poll_seconds=0.01)


def test_a_long_evaluation_or_save_is_no_stall(tmp_path: Path) -> None:
    told = _Told()
    watch = _watch(tmp_path, told, stall_seconds=100.0)
    watch.start()
    try:
        for place in (EVALUATION, SAVE):
            with watch.doing(place):
                watch._since -= 600.0  # it has taken ten minutes so far
                threading.Event().wait(0.3)
        assert told.said == []
        watch._since -= 600.0
        wait_until(lambda: told.said)  # whereas nothing at all is one
    finally:
        watch.close()
    assert told.said[0][:2] == ("alert", "stall")


def test_a_stall_that_ends_right_before_the_run_does_is_over(tmp_path: Path) -> None:
    told = _Told()
    watch = Watch(
        GuardSection(stall_seconds=4.0), tmp_path, told, lambda reason: None, poll_seconds=600.0
    )  # looks once a second at most, as it always does: at stall_seconds / 4
    watch.start()
    watch._since -= 60.0  # the first step is a minute late
    wait_until(lambda: told.said)
    watch.step += 1  # the last step, and the end of training before the next look
    watch.close()
    assert [item[:2] for item in told.said] == [("alert", "stall"), ("alert_over", "stall")]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True)
    if done.returncode:
        pytest.skip(f"mounting isn't allowed here: {done.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_disk_that_fills_is_told_before_a_save_fails_once_and_when_there_is_room(small_disk: Path) -> None:
    told = _Told()
    watch = _watch(small_disk, told)
    watch.needed_bytes = 300_000
    watch.start()
    try:
        watch.look_at_disk_soon()
        (small_disk / "filling").write_bytes(bytes(700_000))  # 348,000 are left: a save would still go through
        watch.look_at_disk_soon()
        wait_until(lambda: told.said)
        watch.look_at_disk_soon()
        (small_disk / "filling").unlink()
        watch.look_at_disk_soon()
        wait_until(lambda: len(told.said) == 2)
    finally:
        watch.close()
    assert [item[:2] for item in told.said] == [("alert", "disk"), ("alert_over", "disk")]
    assert "a checkpoint needs 0.5 MB" in told.said[0][2]
