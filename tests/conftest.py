"""No test touches a person's own caches, locks or store."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Two test processes with two spinning threads each would fight for two cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def _own_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "state"))
    monkeypatch.setenv("HEATS_LOCK_DIR", str(home / "locks"))
    monkeypatch.delenv("HEATS_RUNS_DIR", raising=False)


@pytest.fixture
def store_root(tmp_path: Path) -> Path:
    """Where a test's store goes; nothing is there yet."""
    return tmp_path / "runs"
