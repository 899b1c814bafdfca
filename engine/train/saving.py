"""Saving checkpoints beside training: who waits for whom, what is told of it, and which old ones go."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.config.sections import TaskConfig
from engine.errors import MachineError
from engine.store import checkpoints as stored
from engine.store import retention
from engine.store.files import write_json
from engine.store.paths import RunPaths
from engine.train import checkpoint
from engine.train.checkpoint import About, Contents, Pieces
from engine.train.events import EventLog
from engine.train.patience import Patience
from engine.train.sharded_saves import LAST, ShardedSaves
from engine.train.staging import BufferSet, free_memory
from engine.train.state import TrainState

log = logging.getLogger("heats")
_BESIDE = ("scheduled", "best", "request")
_RETRY_SECONDS = 5.0
_SETS = 2
_SMALL = 1 << 24
"""Buffers up to this many bytes are made while training waits: it takes milliseconds."""


@dataclass(frozen=True)
class Notice:
    """Something that people should be told, at a step."""

    message: str
    step: int
    facts: dict[str, Any] = field(default_factory=dict)
    cause: str = "disk"


class Saver:
    """Saves the checkpoints of one attempt, one at a time, by a thread beside training where the config wants that.

    Training then waits for a copy into kept memory only, and for the copy's memory to be free: there are two sets, so
    a third save waits for the first. The event `checkpoint` comes when every byte is safe. What fails is told at the
    next step boundary (`hear`), and training goes on.

    Args:
        run, attempt: whose checkpoints, and the number of the attempt.
        config: the resolved config.
        events: where `checkpoint` is written.
        alert: tells people; called in the training thread only.
        flush: writes all figures so far; called before a checkpoint becomes visible.
        saved: told of each new checkpoint's folder, in either thread.
        resumed_from_step: its checkpoint is never deleted.
        patience: how long the last save may take.
    """

    def __init__(
        self,
        run: RunPaths,
        attempt: int,
        config: TaskConfig,
        events: EventLog,
        alert: Callable[[Notice], None],
        flush: Callable[[], None],
        saved: Callable[[Path], None],
        resumed_from_step: int | None = None,
        patience: Patience | None = None,
    ) -> None:
        self._patience = patience
        self._run = run
        self._attempt = attempt
        self._config = config
        self._events = events
        self._alert = alert
        self._flush = flush
        self._saved = saved
        self._resumed_from = resumed_from_step
        self._newest = resumed_from_step or None
        self._sharded = ShardedSaves(run, attempt, flush, resumed_from_step)
        self._notices: deque[Notice] = deque()
        self._full = False
        self._abandoned = threading.Event()
        self._commit = threading.Lock()
        self._executor: ThreadPoolExecutor | None = None
        self._jobs: deque[Future[None]] = deque()
        self._free: deque[BufferSet] = deque()
        self._sets = 0
        self._cramped = False

    def save(self, state: TrainState, settings: dict[str, Any], reason: str, metric: float | None) -> bool:
        """Save a checkpoint and let old ones go. A failing disk is an alert, and training goes on.

        Emergency and last checkpoints are safe when this returns; the others are if nothing is told of them.

        Args:
            state: what to save; it may change once this has returned.
            settings: the bit-relevant settings.
            reason: see `checkpoint.About`.
            metric: the value of the run's best metric at this step, if evaluated.

        Returns:
            False where it has failed already.

        Raises:
            MachineError: it is the run's last checkpoint, and there was no room for it for a long time.
        """
        began = time.monotonic()
        beside = self._config.checkpoint.asynchronous and reason in _BESIDE
        if beside:
            self.hear()
        else:
            self.join()
        emergency = reason == "emergency"
        if self._newest == state.step and not emergency:
            return True
        contents = Contents(state.task.trainable_module(state.model), state.optimizer, state.to_json())
        about = About(state.step, self._attempt, reason, settings, metric, emergency)
        buffers = self._buffers(contents) if beside else None
        if buffers is None:
            self.join()
            return self._save_now(contents, about, began)
        waited = time.monotonic() - began
        pieces = contents.copied(buffers)
        facts = {"stall": time.monotonic() - began} | ({"waited": waited} if waited > 0.01 else {})
        self._newest = state.step
        if self._executor is None:
            self._executor = ThreadPoolExecutor(1, thread_name_prefix="checkpoint-writer")
        self._jobs.append(self._executor.submit(self._save_beside, pieces, about, began, facts, buffers))
        return True

    def save_sharded(self, state: TrainState, settings: dict[str, Any], reason: str, metric: float | None) -> bool:
        """Save a checkpoint of which each rank has a part; all of them do this, and wait for it.

        Args:
            state, settings, reason, metric: see `save`.

        Returns:
            False where it has failed.

        Raises:
            MachineError: it is the run's last checkpoint.
        """
        began = time.monotonic()
        about = About(state.step, self._attempt, reason, settings, metric, reason == "emergency")
        try:
            folder = self._sharded.save(state, settings, reason, metric)
        except MachineError as error:
            self._failed(error, about)
            raise
        finally:
            self.hear()
        if folder is None:
            self._failed(MachineError(self._sharded.problem), about)
            self.hear()
        elif self._sharded.wrote:
            with self._commit:
                self._tell_of(about, folder, time.monotonic() - began, {})
            self._saved(folder)
        return folder is not None

    def went_back(self, step: int) -> None:
        """The run was rolled back to the checkpoint of this step: later ones are no more."""
        self.join()
        self._newest = self._sharded.newest = step

    def hear(self) -> None:
        """Tell people what has gone wrong beside training. Cheap; for step boundaries.

        Raises:
            Exception: whatever the writer's thread died of, if it wasn't the disk.
        """
        while self._jobs and self._jobs[0].done():
            self._jobs.popleft().result()
        while self._notices:
            self._alert(self._notices.popleft())

    def join(self) -> None:
        """Wait until no save is under way, and tell what went wrong.

        Raises:
            Exception: whatever the writer's thread died of, if it wasn't the disk.
        """
        while self._jobs:
            self._jobs.popleft().result()
        self.hear()

    def abandon(self) -> None:
        """Leave off: from now on no checkpoint becomes visible and no event is written."""
        self._abandoned.set()
        with self._commit:
            pass

    def close(self) -> None:
        """End the writer's thread after its present work; nothing is saved any more."""
        if self._executor is not None:
            self._executor.shutdown(wait=not self._abandoned.is_set(), cancel_futures=True)

    # --- memory ---

    def _buffers(self, contents: Contents) -> BufferSet | None:
        """A free set that fits; waits for one in use. None while there is none: then the save can't be beside."""
        while True:
            while self._free:
                found = self._free.popleft()
                if found.sizes == tuple(contents.sizes):
                    return found
                self._sets -= 1
            # The second only once it is missed: with saves far apart one is enough.
            if self._sets < (_SETS if self._jobs else 1) and not self._cramped:
                self._sets += 1
                if sum(contents.sizes) <= _SMALL:
                    return BufferSet(contents.sizes, pinned=contents.pinned)
                # Fresh memory is slow at its first touch: this save goes without, rather than wait longer for it.
                arguments = (contents.sizes, contents.pinned)
                threading.Thread(target=self._make, args=arguments, name="checkpoint-memory", daemon=True).start()
            if not self._jobs:
                return None
            self._jobs.popleft().result()

    def _make(self, sizes: list[int], pinned: bool) -> None:
        free = free_memory()
        try:
            if free is not None and 2 * sum(sizes) > free:
                raise MemoryError
            self._free.append(BufferSet(sizes, pinned=pinned))
        except (MemoryError, RuntimeError):
            self._cramped = True
            log.info("too little memory to copy checkpoints of %s bytes: training waits for them", f"{sum(sizes):,}")

    # --- writing, in either thread ---

    def _save_now(self, contents: Contents, about: About, began: float) -> bool:
        last = about.reason in LAST
        deadline = time.monotonic() + (self._config.checkpoint.wait_seconds if last else 0.0)
        pieces = contents.in_place()
        while True:
            last_try = time.monotonic() >= deadline
            try:
                self._write(pieces, about, began, {})
                if not about.emergency:
                    self._newest = about.step
                return True
            except MachineError as error:
                self._failed(error, about)
                if last_try and last:
                    raise
                if not last:
                    return False
            finally:
                self.hear()
            time.sleep(min(_RETRY_SECONDS, max(0.0, deadline - time.monotonic())))

    def _save_beside(
        self, pieces: Pieces, about: About, began: float, facts: dict[str, float], buffers: BufferSet
    ) -> None:
        try:
            self._write(pieces, about, began, facts)
        except MachineError as error:
            if self._newest == about.step:
                self._newest = None
            self._failed(error, about)
        except checkpoint.Abandoned:
            pass
        finally:
            self._free.append(buffers)

    def _write(self, pieces: Pieces, about: About, began: float, facts: dict[str, float]) -> None:
        temporary = checkpoint.write_aside(self._run, about, pieces, self._abandoned.is_set)
        self._flush()
        with self._commit:
            if self._abandoned.is_set():
                return
            folder = checkpoint.put_in_place(self._run, about, temporary)
            self._tell_of(about, folder, time.monotonic() - began, facts)
        self._saved(folder)

    def _tell_of(self, about: About, folder: Path, seconds: float, facts: dict[str, float]) -> None:
        self._full = False
        self._events.write(
            "checkpoint", about.step, reason=about.reason, seconds=seconds, **({"stall": seconds} | facts)
        )
        log.debug("saved %s (%s)", folder.name, about.reason)
        slow = self._patience.complaint(seconds) if self._patience is not None else None
        if slow is not None:
            self._patience = None  # once is enough
            self._notices.append(Notice(slow, about.step, {"value": seconds}, "slow_save"))
        self._let_go()

    def _failed(self, error: MachineError, about: About) -> None:
        if not self._full:  # one alert an episode, however many saves fail in it
            self._notices.append(Notice(str(error), about.step))
        self._full = True
        log.debug("%s", error)

    def _let_go(self) -> None:
        options, mode = self._config.checkpoint, self._config.evaluation.best_mode
        found = stored.scan(self._run)
        protected = frozenset({self._resumed_from}) if self._resumed_from is not None else frozenset()
        leaving = retention.plan_retention(
            found,
            keep_last=options.keep_last,
            keep_best=options.keep_best,
            keep_every=options.keep_every,
            best_mode=mode,
            protected_steps=protected,
            keep_emergency=self._config.guard.keep_emergency,
        )
        for old in leaving:
            with contextlib.suppress(OSError):  # what can't go now goes after the next save
                retention.remove(old)
        kept = [item for item in found if item.usable and item not in leaving]
        best = stored.best(kept, mode)
        pointers = {
            "schema": 1,
            "latest": kept[-1].folder.name if kept else None,
            "best": best.folder.name if best else None,
        }
        try:
            write_json(self._run.resume, pointers)
        except MachineError as error:  # only hints: the truth is a scan
            log.warning("%s", error)
