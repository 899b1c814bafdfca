"""Several runs with one word, such as the seeds of one config: at once, or each when a slot of this machine is free."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import HeatsError
from engine.launch import actions
from engine.launch.actions import LaunchRequest, Started
from engine.store.paths import RunPaths, create_store

if TYPE_CHECKING:
    from engine.config.sections import RunConfig


@dataclass(frozen=True)
class Submitted:
    """What came of it: the attempts that run, and the runs that wait in the queue."""

    started: tuple[Started, ...]
    waiting: tuple[RunPaths, ...] = ()


def submit(root: Path, requests: Sequence[LaunchRequest], *, queue: bool = False) -> Submitted:
    """Make runs and start them.

    Args:
        root: the store's folder; made if needed.
        requests: one a run. All configs are checked before any run is made.
        queue: start each when a slot is free, in the order of the queue; else all at once, whatever else runs.

    Raises:
        HeatsError: a bad config, a folder that is no store, or a request that can't be queued; it is said how many
            runs were started before.
        MachineError: the store can't be written, or no process can be started.
    """
    if queue:
        return _enqueue(root, requests)
    configs = [_config(request) for request in requests[1:]]
    if configs and all(request.backend == "slurm" for request in requests):
        return _submit_array(root, requests)
    started: list[Started] = []
    for request in requests:
        try:
            started.append(actions.launch(root, request))
        except HeatsError as error:
            if not started:
                raise
            ids = ", ".join(item.run.id for item in started)
            message = f"{len(started)} of {len(requests)} were launched ({ids}), then: {error.message}"
            raise HeatsError(message, place=error.place, remedy=error.remedy) from None
    return Submitted(tuple(started))


def _submit_array(root: Path, requests: Sequence[LaunchRequest]) -> Submitted:
    """All runs as one submission to the cluster: their jobs are alike."""
    from engine.launch.slurm.submit import check, launch_new

    first = requests[0]
    check(first.profile)
    configs = [_config(request) for request in requests]
    store = create_store(root)
    runs = [actions.make_run(store, request, config) for request, config in zip(requests, configs, strict=True)]
    return Submitted(
        tuple(launch_new(store, runs, first.profile, what=actions.run_words(runs[0]), notify=first.notify))
    )


def _enqueue(root: Path, requests: Sequence[LaunchRequest]) -> Submitted:
    from engine.launch import queue as launch_queue
    from engine.store.queue import enqueue

    if any(request.notify for request in requests):
        raise HeatsError(
            "a run that waits in the queue can't be given a command to notify", remedy="set HEATS_NOTIFY instead"
        )
    configs = [_config(request) for request in requests]
    for config in configs:
        launch_queue.refuse_what_never_fits(config.procs)
    store = create_store(root)
    launch_queue.open_queue(store)
    runs = []
    for request, config in zip(requests, configs, strict=True):
        run = actions.make_run(store, request, config)
        enqueue(run, slots=config.procs)
        runs.append(run)
    started = [item for item in launch_queue.advance(store) if item.run.id in {run.id for run in runs}]
    begun = {item.run.id for item in started}
    return Submitted(tuple(started), tuple(run for run in runs if run.id not in begun))


def _config(request: LaunchRequest) -> RunConfig:
    from engine.config.resolve import resolve
    from engine.config.tasks import config_class

    values = dict(request.values) | ({} if request.seed is None else {"seed": request.seed})
    return resolve(config_class(request.task), values, place=request.place)
