"""What every test of the command line needs: a store of its own, and no trace in this user's cache."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.store import create
from engine.store.paths import Store
from tests.tui.cli.stores import make_store


@pytest.fixture(autouse=True)
def _here_and_fast(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    # Listing every installed package takes 100 ms a run, and no test here reads it.
    monkeypatch.setattr(create, "environment", lambda: {"schema": 1})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store."""
    return make_store(tmp_path)


# Stands for supervisor and trainer in one: asked to end, it says so in its events, as the engine does.
_ACTOR = """
import json, signal, sys, time
def end(number, frame):
    with open(sys.stdin.readline().strip(), "a") as file:
        file.write(json.dumps({"event": "stopped", "time": time.time(), "step": 50, "reason": "asked to"}) + "\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
while True:
    time.sleep(600)
"""


@pytest.fixture
def actor() -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Starts processes that end at SIGTERM, writing `stopped` into the file named on their stdin."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-S", "-c", _ACTOR], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        started.append(process)
        assert process.stdout is not None
        process.stdout.readline()
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
