"""What people do to runs: launch, resume, stop. The command line and the app are two faces of these functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.store.paths import AttemptPaths, RunPaths


@dataclass(frozen=True)
class LaunchRequest:
    """A run to be made. `values` are by dotted key, as text or as typed values."""

    task: str
    values: Mapping[str, Any] = field(default_factory=dict)
    place: str | None = None
    """Where the values come from, for messages."""
    name: str | None = None
    tags: tuple[str, ...] = ()
    note: str = ""
    seed: int | None = None
    command: tuple[str, ...] = ()


@dataclass(frozen=True)
class Started:
    """An attempt under way: its run, its folder, and what was passed over to find its checkpoint."""

    run: RunPaths
    attempt: AttemptPaths
    resumed_from_step: int | None = None
    passed_over: tuple[str, ...] = ()


def launch(root: Path, request: LaunchRequest) -> Started:
    """Make a run in the store at `root` (made if needed) and start its first attempt under a supervisor.

    Raises:
        HeatsError: a bad config, or a folder that is no store.
        MachineError: the store can't be written, or no process can be started.
    """
    raise NotImplementedError


def resume(
    run: RunPaths,
    *,
    overrides: Mapping[str, str] | None = None,
    from_step: int | None = None,
    accept_settings: bool = False,
) -> Started:
    """Start a new attempt of a run from its newest valid checkpoint, or from the one of `from_step`.

    Raises:
        HeatsError: it is still running, already finished, or the checkpoint asked for can't be used.
        MachineError: the run's folder can't be written, or no process can be started.
    """
    raise NotImplementedError


def stop(run: RunPaths, *, now: bool = False) -> None:
    """Ask a live run to stop: request file and SIGTERM; the supervisor walks the rest of the ladder. Returns at once.

    Args:
        run: which run.
        now: leave without a last checkpoint.

    Raises:
        HeatsError: it isn't running (its status is said), or runs on another host that can't be signalled.
    """
    raise NotImplementedError
