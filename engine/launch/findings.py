"""All that is wrong with a store's runs, its queue and this machine: what `heats doctor` and its screen show."""

from __future__ import annotations

from collections.abc import Sequence

from engine.launch import queue
from engine.launch.linger import logout_warning
from engine.store.checkup import check_up
from engine.store.doctor import Finding, Severity
from engine.store.paths import Store
from engine.store.summary import RunSummary


def find(
    store: Store,
    every: Sequence[RunSummary],
    chosen: Sequence[RunSummary] | None = None,
    *,
    everything: bool = False,
    machine: bool = True,
) -> list[Finding]:
    """Everything that is wrong, the worst first.

    Args:
        store: which store.
        every: all its runs.
        chosen: the runs to look at; else all that aren't archived.
        everything: archived runs too.
        machine: also say what keeps the queue from going on until a person says so.
    """
    current = [summary for summary in every if everything or not summary.archived]
    looked_at = current if chosen is None else list(chosen)
    known = {summary.id for summary in current}
    # Twins of a run are looked for among all that aren't archived: archiving one is how a person says "I know".
    crowd = [*current, *(summary for summary in looked_at if summary.id not in known)]
    found = check_up(store, looked_at, crowd, logout_warning=logout_warning())
    return [*_queue(store), *found] if machine else found


def _queue(store: Store) -> list[Finding]:
    """What keeps the queue from going on until a person says so."""
    held: dict[str, int] = {}
    for item in queue.waiting(store):
        if item.for_person:
            held[item.why] = held.get(item.why, 0) + 1
    return [
        Finding(
            None, Severity.ACT, "queue", f"{count} run{'' if count == 1 else 's'} waiting for a person: {why}",
            None, "`heats queue resume` goes on, `heats queue list` says what waits",
        )
        for why, count in held.items()
    ]  # fmt: skip
