"""The queue of one store on one machine. It needs no daemon: whoever ends a run, or looks, starts the next."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from engine.errors import HeatsError, MachineError
from engine.launch import actions, slots
from engine.store import host, lock, queue
from engine.store.index import list_runs
from engine.store.paths import Store
from engine.store.queue import Entry, QueueState
from engine.store.status import State
from engine.store.summary import RunSummary

_EARLY_SHARE = 0.1
_EARLY_STEPS = 20
_NO_SLOT = "every slot of this machine is taken"


@dataclass(frozen=True)
class Waiting:
    """A run in the queue, and what becomes of it now: it may start, or waits for something."""

    run: str
    entry: Entry
    study: str | None
    act: Literal["start", "wait"]
    why: str
    for_person: bool = False
    """Whether it starts only once a person does something."""
    for_slot: bool = False
    """Whether it starts once there are enough free slots."""


def plan(
    entries: Mapping[str, Entry],
    runs: Mapping[str, RunSummary],
    state: QueueState,
    free_slots: int,
    this_host: str,
) -> list[Waiting]:
    """Who may start now, in the order of the queue, and what the others wait for. Pure.

    Args:
        entries: by run id, all that wait.
        runs: by id, all runs of the store.
        state: of this machine's queue.
        free_slots: how many runs this machine has room for.
        this_host: its name; what was queued elsewhere waits there.
    """
    live: dict[str | None, int] = {}
    for run in runs.values():
        if run.status.is_live:
            live[run.study] = live.get(run.study, 0) + 1
    halted: dict[str, str | None] = {}
    found = []
    for run_id, entry in sorted(entries.items(), key=lambda item: (item[1].order, item[0])):
        study = runs[run_id].study if run_id in runs else None
        if study is not None and study not in halted:
            halted[study] = halted_because(list(runs.values()), study, entry.stop_after, state.resumed)
        act: Literal["start", "wait"] = "wait"
        ended_badly = [other for other in entry.after if other in runs and _ended_badly(runs[other])]
        open_runs = [other for other in entry.after if other not in runs or runs[other].status is not State.FINISHED]
        for_person = for_slot = False
        if entry.host != this_host:
            why = f"it was queued on {entry.host}"
        elif state.paused:
            why, for_person = f"the queue is paused{f': {state.reason}' if state.reason else ''}", True
        elif ended_badly:
            why, for_person = f"{ended_badly[0]}, which must finish first, is {runs[ended_badly[0]].status}", True
        elif open_runs:
            why = f"{open_runs[0]} must finish first"
        elif study is not None and halted[study]:
            why, for_person = str(halted[study]), True
        elif study is not None and entry.most is not None and live.get(study, 0) >= entry.most:
            why = f"{live[study]} runs of {study} are live, which is its most"
        elif free_slots < entry.slots:
            why, for_slot = _NO_SLOT, True
            if entry.slots > 1:
                why = f"it needs {entry.slots} slots of this machine, {max(0, free_slots)} are free"
                free_slots = 0  # those behind it that need fewer would keep it waiting forever
        else:
            act, why = "start", "it may start"
            free_slots -= entry.slots
            live[study] = live.get(study, 0) + 1
        found.append(Waiting(run_id, entry, study, act, why, for_person, for_slot))
    return found


def _ended_badly(run: RunSummary) -> bool:
    return run.status.is_final and run.status is not State.FINISHED


def halted_because(runs: Sequence[RunSummary], study: str, stop_after: int, since: float) -> str | None:
    """Why nothing more of a study is started, and what a person can do; see `failed_alike`."""
    why = failed_alike(runs, study, stop_after, since)
    return f"{why}; `heats queue resume` goes on" if why is not None else None


def failed_alike(runs: Sequence[RunSummary], study: str, stop_after: int, since: float) -> str | None:
    """That a study's last runs all failed early, in the same way; None where they didn't.

    Args:
        runs: of the store.
        study: whose.
        stop_after: how many in a row are enough.
        since: a person said go on at this time; failures before it are forgiven.
    """
    ended = [run for run in runs if run.study == study and run.status.is_final and (run.since or 0) > since]
    ended.sort(key=lambda run: run.since or 0)
    last = ended[-stop_after:]
    if len(last) < stop_after:
        return None
    ways = {_way(run) for run in last}
    if None in ways or len(ways) > 1:
        return None
    return f"the last {stop_after} runs of {study} failed early in the same way ({ways.pop()})"


def _way(run: RunSummary) -> str | None:
    """How a run failed, without what differs from run to run; None where it didn't, or not early."""
    if run.status is not State.FAILED:
        return None
    if run.step > max(_EARLY_STEPS, _EARLY_SHARE * (run.total_steps or 0)):
        return None
    said = re.sub(r"^failed( at step \d+)?: ", "", run.reason).replace(run.id, "RUN")
    return re.sub(r"\d+", "N", said)


def waiting(store: Store) -> list[Waiting]:
    """What waits and why, without starting anything."""
    entries, runs = _read(store)
    if not entries:
        return []
    taken = len(slots.claims())
    free = max(0, len(slots.machine_slots()) - taken)
    return plan(entries, runs, _state(store), free, host.host_name())


def _read(store: Store) -> tuple[dict[str, Entry], dict[str, RunSummary]]:
    if not queue.has_queue(store):
        return {}, {}
    runs = {run.id: run for run in list_runs(store)}
    entries = {}
    for run_id, run in runs.items():
        if run.status is State.QUEUED:
            entry = queue.read_entry(store.run(run_id))
            if entry is not None:
                entries[run_id] = entry
    return entries, runs


def _state(store: Store) -> QueueState:
    """The queue's state; paused where the machine has rebooted since anything was queued or started."""
    state = queue.read_state(store)
    boot = host.boot_id()
    if not state.paused and state.boot_id is not None and boot is not None and state.boot_id != boot:
        return replace(state, paused=True, reason="the machine rebooted; `heats queue resume` goes on")
    return state


def refuse_what_never_fits(processes: int) -> None:
    """Make sure that a run could ever start here.

    Args:
        processes: how many of it there will be on this machine.

    Raises:
        HeatsError: there are fewer slots than that.
    """
    there = len(slots.machine_slots())
    if processes > there:
        raise HeatsError(
            f"it needs {processes} slots, one a process, and this machine has {there}",
            remedy="set parallel.procs lower, HEATS_SLOTS higher, or start it without the queue",
        )


def advance(store: Store) -> list[actions.Started]:
    """Start whatever may run now. Any number of processes may call this at any time; what can't start stays queued.

    Raises:
        MachineError: the store can't be written.
    """
    if not queue.has_queue(store) or os.environ.get("HEATS_INSIDE_JOB"):  # what a job starts would end with it
        return []
    started: list[actions.Started] = []
    with queue.alone(store) as held:
        if not held:
            return []  # somebody else is at it, and starts what there is
        state = _state(store)
        if state != queue.read_state(store):
            queue.write_state(store, state)  # a reboot was noticed: it stays paused until a person says go
        refused: set[str] = set()
        while True:
            entries, runs = _read(store)
            free = max(0, len(slots.machine_slots()) - len(slots.claims()))
            plans = plan(entries, runs, state, free, host.host_name())
            ready = [item for item in plans if item.act == "start" and item.run not in refused]
            if not ready:
                # Whoever frees a slot may be a run of another store: it must know that somebody waits here.
                slots.note_waiting(store.id, store.root, any(item.for_slot for item in plans))
                return started
            try:
                found = _start(store, ready[0])
            except (HeatsError, MachineError) as error:
                refused.add(ready[0].run)
                _note_refusal(store, ready[0], error)
                continue
            if found is None:
                slots.note_waiting(store.id, store.root, True)
                return started
            started.append(found)


def _start(store: Store, item: Waiting) -> actions.Started | None:
    """Claim a slot and start one run in it; None where no slot was free after all."""
    run = store.run(item.run)
    path = lock.lock_path(store.id, run.id)
    return actions.start_queued(run, lambda: slots.claim(store.id, run.id, path, time.time(), count=item.entry.slots))


def _note_refusal(store: Store, item: Waiting, error: HeatsError) -> None:
    """A run that can't be started at all must not stand in the way of the others, nor vanish."""
    entry = replace(item.entry, order=item.entry.order + 1e9, refused=str(error))
    queue.rewrite(store.run(item.run), entry)


def orders_after_move(waiting: Sequence[tuple[str, float]], run: str, place: int) -> dict[str, float]:
    """What a move changes: the new `order` of the runs that need one. Pure.

    Args:
        waiting: ids and orders, in the order of the queue.
        run: which one is moved; it is among them.
        place: where to, 0 in front; past either end means that end.
    """
    others = [(name, order) for name, order in waiting if name != run]
    place = min(max(place, 0), len(others))
    if [name for name, _ in waiting].index(run) == place:
        return {}
    if place == 0:
        return {run: others[0][1] - 1}
    if place == len(others):
        return {run: others[-1][1] + 1}
    before, after = others[place - 1][1], others[place][1]
    middle = (before + after) / 2
    if before < middle < after:
        return {run: middle}
    # No room between them: they were queued in the same instant. All behind go one further on.
    moved = {run: before + 1}
    return moved | {name: max(order, before + 1) + 1 + at for at, (name, order) in enumerate(others[place:])}


def move_to(store: Store, run: str, place: int) -> tuple[int, int]:
    """Move a waiting run to another place in the queue.

    Args:
        place: 0 in front; past either end means that end.

    Returns its place now, from 1, and how many wait.

    Raises:
        HeatsError: it doesn't wait, or somebody else is at the queue.
        MachineError: a run's folder can't be written.
    """
    with queue.alone(store) as held:
        if not held:
            raise HeatsError("somebody else is at the queue", remedy="try again in a moment")
        now = [(item.run, item.entry.order) for item in waiting(store)]
        names = [name for name, _ in now]
        if run not in names:
            raise HeatsError("it doesn't wait in the queue", place=run)
        place = min(max(place, 0), len(names) - 1)
        for name, order in orders_after_move(now, run, place).items():
            queue.move(store.run(name), order)
        return place + 1, len(names)


def pause(store: Store, reason: str = "by a person") -> None:
    """Start nothing more; what runs goes on.

    Raises:
        MachineError: the store can't be written.
    """
    queue.write_state(store, replace(queue.read_state(store), paused=True, reason=reason, boot_id=host.boot_id()))


def resume(store: Store) -> None:
    """Go on: after a pause, a reboot, or a halt for failures.

    Raises:
        MachineError: the store can't be written.
    """
    state = replace(queue.read_state(store), paused=False, reason="", boot_id=host.boot_id(), resumed=time.time())
    queue.write_state(store, state)


def open_queue(store: Store) -> None:
    """Make the store's queue, if there is none yet, and tie it to this boot of the machine.

    Raises:
        MachineError: the store can't be written.
    """
    state = queue.read_state(store)
    if state.boot_id is None:
        queue.write_state(store, replace(state, boot_id=host.boot_id()))


def spawn_advance(store: Store) -> None:
    """Let the queue advance in a process of its own, which outlives this one and says nothing."""
    import subprocess

    from engine.store.paths import program

    null = os.open(os.devnull, os.O_RDWR)
    try:
        subprocess.Popen(
            [*program("engine.study.advance"), str(store.root)],
            stdin=null, stdout=null, stderr=null, start_new_session=True, close_fds=True,
        )  # fmt: skip
    except OSError:
        pass  # whoever looks next advances it
    finally:
        os.close(null)
