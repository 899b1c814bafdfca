"""Running a study: queue what is missing, again and again until nothing is, and write its report at the end."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.errors import HeatsError
from engine.launch import actions, slots
from engine.launch import queue as launch_queue
from engine.launch.scripts import refuse_missing_program
from engine.store import host, lock, queue
from engine.store.paths import RunPaths, Store, create_store, open_store
from engine.store.records import read_launch, read_run
from engine.store.status import State
from engine.store.submission import alone_on_all_hosts, has_submissions
from engine.study.begun import Where, begun_in, forget, is_pending, pending, remember, where_of
from engine.study.cells import CellState, find_cells, is_interrupted
from engine.study.expand import Cell, check
from engine.study.halt import halt_if_in_vain
from engine.study.needs import order_of
from engine.study.spec import Study
from engine.study.trials import new_trials, prune


@dataclass(frozen=True)
class Begun:
    """What `study run` did: the runs that were queued, and those of them that started at once."""

    queued: tuple[RunPaths, ...]
    started: tuple[RunPaths, ...]
    waiting: tuple[CellState, ...]
    """Cells that wait for something which hasn't finished."""


def plan_launch(states: Sequence[CellState], redo: Sequence[str] = ()) -> list[Cell]:
    """Which cells are to be trained: those missing, and those that are asked for anew. Pure.

    Args:
        states: all cells.
        redo: names of cells (`latent/3`) or arms, or `failed`, `suspect`, `stopped`.

    Raises:
        HeatsError: a word of `redo` means no cell.
    """
    names = {state.cell.name for state in states} | {state.cell.arm for state in states}
    kinds = {"failed", "suspect", "stopped"}
    for word in redo:
        if word not in names | kinds:
            raise HeatsError(
                f"`{word}` is no cell of the study",
                remedy="name a cell as ARM/SEED, an arm, failed, suspect or stopped",
            )
    chosen = []
    for state in states:
        asked = {state.cell.name, state.cell.arm, state.standing} & set(redo)
        free = state.standing not in ("queued", "live", "waiting")
        if state.standing == "missing" or (asked and free):
            chosen.append(state.cell)
    return chosen


def begin(
    root: Path, study: Study, *, redo: Sequence[str] = (), command: tuple[str, ...] = (), where: Where | None = None
) -> Begun:
    """Launch what is missing of a study, and of all that it needs; the queue does the rest.

    Interrupted runs of cells are resumed rather than begun anew.

    Args:
        root: the store's folder; made if needed.
        study: which study.
        redo: cells to train anew, see `plan_launch`.
        command: the command line, for the record.
        where: on which backend; runs that are interrupted go on there, too. Where it is None, as it was begun.

    Raises:
        HeatsError: a mistake in the study file, a word of `redo` that means no cell, or a profile that isn't there.
        MachineError: the store can't be written.
    """
    order = order_of(study)
    for item in order:
        check(item)
    store = create_store(root)
    where = where or where_of(store, study)
    if where.backend == "slurm":
        from engine.launch.slurm.submit import check as check_profile

        check_profile(where.profile)
    queued: list[RunPaths] = []
    with _at_the_queue(store, everywhere=where.backend == "slurm"):
        seen: dict[Path, list[CellState]] = {}
        looks = [(item, find_cells(store, item, seen)) for item in order]
        plan_launch(looks[-1][1], redo)  # every mistake is said before anything is made
        for _, states in looks:
            for state in states[:1]:
                refuse_missing_program(state.cell.config, Path.cwd())
        launch_queue.open_queue(store)
        over = False
        for item, states in looks:
            remember(store, item, where)
            redone = redo if item.file == study.file else ()
            made = _queue_up(store, item, states, redone, command, asked=True, where=where)
            over = over or (not made and is_over(store, item, states))
            queued += made
    started = tuple(found.run for found in launch_queue.advance(store))
    if over:
        launch_queue.spawn_advance(store)  # no run will end any more, so nobody else would write the verdict down
    waiting = tuple(state for _, states in looks for state in states if state.standing == "waiting")
    return Begun(tuple(queued), started, waiting)


@contextlib.contextmanager
def _at_the_queue(store: Store, *, everywhere: bool = False) -> Iterator[None]:
    """Hold the queue's lock, which is this machine's; where jobs of a cluster may be at it, that of all machines too.

    Raises:
        HeatsError: somebody else has kept it for long.
    """
    busy = HeatsError("somebody else is at the queue", place=str(store.root), remedy="try again in a moment")
    with queue.alone(store) as held:
        if not held:
            raise busy
        if not everywhere and not has_submissions(store):
            yield
            return
        with alone_on_all_hosts(store) as held_everywhere:
            if not held_everywhere:
                raise busy
            yield


def _top_up(store: Store, study: Study) -> None:
    """Queue what can be trained now of a study that was begun.

    Raises:
        HeatsError: somebody else has kept the queue for long, or the study file has a mistake.
        MachineError: the store can't be written.
    """
    with _at_the_queue(store):
        if not is_pending(store, study):  # it was stopped while we waited
            return
        where, states = where_of(store, study), find_cells(store, study)
        if where.backend == "slurm" and halt_if_in_vain(store, study, states):
            return
        _queue_up(store, study, states, (), (), asked=False, where=where)


def _queue_up(
    store: Store,
    study: Study,
    states: Sequence[CellState],
    redo: Sequence[str],
    command: tuple[str, ...],
    *,
    asked: bool,
    where: Where,
) -> list[RunPaths]:
    """Queue every cell that can be trained now and isn't, and every interrupted one. Under the queue's lock.

    On a cluster all of them are one submission: their jobs are alike.

    Args:
        store, study: of which store and study.
        states: its cells, looked at under the lock.
        redo: cells to train anew.
        command: the command line, for the record.
        asked: a person asks for it. What happens by itself makes no run anew that a person threw away, and goes on
            with none that was begun again and again in vain.
        where: on which backend.

    Raises:
        MachineError: the store can't be written.
    """
    chosen = plan_launch(states, redo)
    if not asked and chosen:
        thrown_away = _in_trash(store, study)
        chosen = [cell for cell in chosen if cell.hash not in thrown_away]
    chosen += [cell for cell in new_trials(store, study, states) if not cell.needs]
    made = []
    for cell in chosen:
        made.append(_make(store, study, cell, command))
        if where.backend == "local":
            _enqueue(study, made[-1])
    redone = {cell.name for cell in chosen}
    for state in states:
        if state.run is None or state.summary is None or state.cell.name in redone:
            continue
        broken_off = state.standing == "stopped" and is_interrupted(state.run, state.summary)
        if broken_off and not asked and _in_vain(state.run, study.spec.budget.stop_after_failures):
            continue
        if broken_off or _never_began(store, state):
            if where.backend == "local":
                _enqueue(study, state.run)
            made.append(state.run)
    if where.backend == "slurm" and made:
        _submit(store, study, made, where)
    return made


def _submit(store: Store, study: Study, runs: Sequence[RunPaths], where: Where) -> None:
    """Hand runs to the cluster. What it refuses is made anew when somebody tries again."""
    from engine.launch.slurm.submit import submit_runs

    try:
        submit_runs(
            store, runs, where.profile, what=study.label, most=study.spec.budget.max_parallel,
            prune_at_evaluations=_prunes(study),
        )  # fmt: skip
    except HeatsError:
        for run in runs:
            if not run.attempts():
                discard(store, run)
        raise


def _never_began(store: Store, state: CellState) -> bool:
    """Whether whoever made a run, or began an attempt of it, was killed before anything could start. Under the lock.

    Nobody else makes runs of a study, and who starts one holds its lock; so there is no need to wait for a sign.
    """
    if state.run is None or state.summary is None or state.summary.status is not State.STARTING:
        return False
    record = read_run(state.run.record)
    if record is None or record.host != host.host_name():
        return False
    attempts = state.run.attempts()
    if attempts and attempts[-1].launch.exists():
        return False
    return not lock.is_held(lock.lock_path(store.id, state.run.id))


def _in_vain(run: RunPaths, often: int) -> bool:
    """Whether the last attempts, so many of them, all began at the same step: a further one would get no further."""
    launches = [read_launch(attempt.launch) for attempt in run.attempts()[-often - 1 :]]
    steps = {(launch.resumed_from_step or 0) if launch is not None else 0 for launch in launches}
    return len(launches) > often and len(steps) == 1


def _in_trash(store: Store, study: Study) -> set[str]:
    """The hashes of the configs of this study's runs that a person dropped or deleted."""
    found = set()
    for folder in store.trash.glob("*"):
        record = read_run(folder / "run.json")
        if record is not None and record.study == study.label and record.config_hash:
            found.add(record.config_hash)
    return found


def is_over(store: Store, study: Study, states: Sequence[CellState]) -> bool:
    """Whether nothing of a study is left to train."""
    if not all(state.done or state.standing == "failed" for state in states):
        return False
    return not new_trials(store, study, states)


def _make(store: Store, study: Study, cell: Cell, command: tuple[str, ...]) -> RunPaths:
    request = actions.LaunchRequest(
        study.spec.task, {}, name=f"{cell.arm} {cell.seed}", study=study.label, arm=cell.arm, command=command,
        folder=begun_in(store, study),
    )  # fmt: skip
    return actions.make_run(store, request, cell.config)


def _enqueue(study: Study, run: RunPaths) -> None:
    budget = study.spec.budget
    queue.enqueue(
        run, most=budget.max_parallel, stop_after=budget.stop_after_failures, prune_at_evaluations=_prunes(study),
        slots=slots.needed(run),
    )  # fmt: skip


def _prunes(study: Study) -> bool:
    return study.spec.search is not None and study.spec.search.prune != "none"


def advance(store: Store) -> None:
    """Bring every study that was begun, and the queue, as far as can be. Anybody may call this at any time.

    Raises:
        MachineError: the store can't be written.
    """
    over = []
    broken: Exception | None = None
    for study in pending(store):
        try:
            prune(store, study)
            _top_up(store, study)
            if is_over(store, study, find_cells(store, study)):
                over.append(study)
        except HeatsError:
            pass  # whoever looks at that study is told
        except Exception as error:  # noqa: BLE001  no study may keep the others' runs waiting
            broken = error
    launch_queue.advance(store)
    for study in over:  # after the queue, which shouldn't wait for pictures
        with contextlib.suppress(HeatsError):
            _close(store, study)
    if broken is not None:
        raise broken


def advance_all(store: Store) -> None:
    """`advance`, and then the same for the user's other stores whose runs wait for a slot of this machine.

    Raises:
        MachineError: a store can't be written.
    """
    advance(store)
    for root in slots.waiting_stores(store.root):
        with contextlib.suppress(HeatsError):
            advance(open_store(root))


def prune_all(store: Store) -> None:
    """End what does badly in the searches of a store; starts nothing."""
    for study in pending(store):
        with contextlib.suppress(HeatsError):
            prune(store, study)


def _close(store: Store, study: Study) -> None:
    """Everything is trained: nobody may be watching, so the verdict and the report are written now."""
    from engine.study.conclude import look, record  # scipy and matplotlib: a second that most calls needn't take
    from engine.study.report import write

    found = look(store, study)
    write(store, found)
    with queue.alone(store) as held:  # of two who see the end, one records it
        if held and is_pending(store, study):
            if study.spec.hypothesis:
                record(store, found)
            forget(store, study)


def stop_study(store: Store, study: Study, *, now: bool = False) -> tuple[list[RunPaths], list[RunPaths]]:
    """Take what waits out of the queue and stop what runs; the runs of each kind. Nothing more of it is launched.

    Raises:
        HeatsError: somebody else has kept the queue for long, or the study file has a mistake.
        MachineError: the store can't be written.
    """
    forget(store, study)
    with _at_the_queue(store):
        return _stop(store, study, now)


def _stop(store: Store, study: Study, now: bool) -> tuple[list[RunPaths], list[RunPaths]]:
    dequeued, stopped = [], []
    on_cluster: list[RunPaths] = []
    for state in find_cells(store, study):
        if state.run is None:
            continue
        if state.standing == "queued" and queue.dequeue(state.run):
            dequeued.append(state.run)
            if not state.run.attempts():
                discard(store, state.run)
        elif state.standing == "queued":
            on_cluster.append(state.run)
        elif state.standing == "live":
            with contextlib.suppress(HeatsError):  # it has just ended
                actions.stop(state.run, now=now)
                stopped.append(state.run)
    if on_cluster:
        from engine.launch.slurm.stop import take_out

        dequeued += take_out(on_cluster)
    return dequeued, stopped


def discard(store: Store, run: RunPaths) -> None:
    """Put a run that never trained into the trash."""
    store.trash.mkdir(exist_ok=True)
    with contextlib.suppress(OSError):
        run.folder.rename(store.trash / run.id)
