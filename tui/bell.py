"""When the terminal's bell is worth ringing, the same in the app and on the command line."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.store.summary import RunSummary


def wants_bell() -> bool:
    """Whether this person always wants the bell: HEATS_BELL is set, and not to 0."""
    return os.environ.get("HEATS_BELL", "0") not in ("", "0")


def is_news(before: RunSummary | None, now: RunSummary) -> bool:
    """Whether a run that was live has ended, or has a new alert. A run that is seen for the first time is no news."""
    if before is None:
        return False
    return (before.status.is_live and now.status.is_final) or len(now.alerts) > len(before.alerts)


def any_news(before: Sequence[RunSummary] | None, now: Sequence[RunSummary]) -> bool:
    """Whether any run of a list has news since an earlier look at that list."""
    known = {run.id: run for run in before or ()}
    return any(is_news(known.get(run.id), run) for run in now)
