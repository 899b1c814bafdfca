"""No test touches a person's own caches, locks or store."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.store.host import process_state
from engine.store.records import read_launch

# Two test processes with two spinning threads each would fight for two cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Programs that tests start import the code under test, whatever is installed.
_CHECKOUT = str(Path(__file__).parent.parent)
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (_CHECKOUT, os.environ.get("PYTHONPATH"))))


@pytest.fixture(autouse=True)
def _own_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "state"))
    monkeypatch.setenv("HEATS_LOCK_DIR", str(home / "locks"))
    monkeypatch.delenv("HEATS_RUNS_DIR", raising=False)


@pytest.fixture
def store_root(tmp_path: Path) -> Iterator[Path]:
    """Where a test's store goes; nothing is there yet. What a failing test leaves running is ended."""
    root = tmp_path / "runs"
    yield root
    for path in root.glob("*/attempts/*/launch.json"):
        record = read_launch(path)
        if record is None:
            continue
        for pid, ticks in (
            (record.supervisor_pid, record.supervisor_ticks),
            (record.trainer_pid, record.trainer_ticks),
        ):
            if pid is not None and ticks is not None and process_state(pid, ticks) == "alive" and _is_ours(pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def _is_ours(pid: int) -> bool:
    """Whether a process is a trainer or a supervisor. Made-up records name other processes, this one among them."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return b"engine.train" in words or b"engine.launch.supervisor" in words
