"""What every test on a cluster needs: profiles of its own, and answers that aren't kept for long."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.slurm_cluster import _session_cluster, cluster

__all__ = ["_session_cluster", "cluster"]

PROFILES = """
small:
  partition: main
  cpus: 1
  time: 1:00:00
  setup:
    - export HEATS_SET_UP=yes
big:
  cpus: 1
  options: {nodes: 2, exclusive: ""}
nowhere:
  partition: no-such-partition
default:
  cpus: 1
"""


@pytest.fixture(autouse=True)
def _own_profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "config" / "heats"
    folder.mkdir(parents=True)
    (folder / "slurm.yaml").write_text(PROFILES)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("HEATS_SLURM_POLL_SECONDS", "0.2")
