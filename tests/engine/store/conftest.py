"""Property tests draw the same cases in every run, and never fail because a shared machine is slow; and a run."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from engine.store.paths import RunPaths
from tests.engine.store.made import add_attempt, make_run, make_store

settings.register_profile(
    "steady", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("steady")


@pytest.fixture
def run(store_root: Path) -> RunPaths:
    """A run with one attempt, of which nothing is saved or logged yet; tests that want more make their own."""
    run = make_run(make_store(store_root))
    add_attempt(run)
    return run
