"""Keeps one attempt of a run: starts the trainer, outlives every terminal, walks the stop ladder, records the end.

Run as `python -m engine.launch.supervisor ATTEMPT_FOLDER LOCK_DESCRIPTOR`. Starts on the standard library alone. It
holds the run's liveness lock, whose descriptor the trainer inherits, and is a child subreaper, because torchrun
starts its workers in sessions of their own that no `killpg` reaches. Training outlives it: nothing here is needed
for the trainer to go on.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from engine.errors import HeatsError
from engine.launch.evaluations import Evaluations
from engine.launch.ladder import Ladder, Rung
from engine.launch.notify import Notifier
from engine.store import host, lock, orphans
from engine.store.paths import AttemptPaths, RunPaths, program
from engine.store.rank_words import heard
from engine.store.records import Beat, ExitRecord, LaunchRecord, read_launch, write_beat, write_exit, write_launch
from engine.store.requests import read_stop, request_stop

BEAT_SECONDS = 10.0
_LOOK_SECONDS = 0.5
_TIDY_SECONDS = 5.0
_FORWARDED = (signal.SIGUSR1, signal.SIGUSR2)
_STOPPING = (signal.SIGTERM, signal.SIGINT)


def main() -> None:
    """Start the attempt, tell the launcher how that went through its pipe, and stay until the trainer has ended."""
    attempt = AttemptPaths(Path(sys.argv[1]))
    lock_descriptor = int(sys.argv[2])
    tell = _detach()
    supervisor = Supervisor(attempt, lock_descriptor)
    try:
        supervisor.start()
    except (HeatsError, OSError) as error:
        print(f"the trainer can't be started: {error}", file=sys.stderr, flush=True)
        os._exit(1)
    _tell_launcher(tell)
    supervisor.watch()


def _detach() -> int:
    """Fork away from the launcher, which waits for the parent: no zombie of ours ever stands in a long-lived app.

    Returns, in the child, the descriptor on which the parent waits for a sign that all is well.
    """
    ready, tell = os.pipe()
    child = os.fork()
    if child:
        os.close(tell)
        said = os.read(ready, 1)
        os._exit(0 if said else 1)
    os.close(ready)
    os.setsid()
    return tell


def _tell_launcher(tell: int) -> None:
    """All is well: the launcher may go. From now on nothing of its terminal is held."""
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    os.write(tell, b"!")
    os.close(tell)


class Supervisor:
    """One attempt's keeper."""

    def __init__(self, attempt: AttemptPaths, lock_descriptor: int) -> None:
        self.attempt = attempt
        self.run = RunPaths(attempt.folder.parent.parent)
        self.lock_descriptor = lock_descriptor
        self.launch: LaunchRecord | None = None
        self.trainer: subprocess.Popen[bytes] | None = None
        self.received: list[int] = []
        self.unheard: set[int] = set()
        self.asked_to_stop = False
        self.rung: Rung | None = None
        self.notifier = Notifier(attempt, None)
        self.evaluations = Evaluations(attempt, False)
        self.locks = [lock_descriptor]
        self.figures: _Figures | None = None

    def start(self) -> None:
        """Become findable, then start the trainer.

        Raises:
            HeatsError: launch.json is missing or can't be written.
            OSError: the trainer's program can't be started.
        """
        orphans.adopt()
        self._catch_signals()
        launch = read_launch(self.attempt.launch)
        if launch is None:
            raise HeatsError("is missing or damaged", place=str(self.attempt.launch))
        self.launch = replace(
            launch,
            supervisor_pid=os.getpid(),
            supervisor_ticks=host.start_ticks(os.getpid()),
            weaker_evidence=not host.has_proc(),
        )
        write_launch(self.attempt, self.launch)
        output = os.open(self.attempt.output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            self.trainer = subprocess.Popen(
                self.launch.command,
                cwd=self.launch.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,  # a file, never a pipe: training must not die with whoever reads it
                stderr=output,
                start_new_session=True,
                pass_fds=(self.lock_descriptor,),
                env=trainer_environment(self.run.id, self.attempt.number, self.launch),
            )
        except OSError as error:
            write_exit(self.attempt.exit, ExitRecord(time.time(), error=f"the trainer can't be started: {error}"))
            raise
        finally:
            os.close(output)
        self.launch = replace(
            self.launch,
            trainer_pid=self.trainer.pid,
            trainer_ticks=host.start_ticks(self.trainer.pid),
            started=time.time(),
        )
        write_launch(self.attempt, self.launch)

    def watch(self) -> NoReturn:
        """Stay until the trainer has ended, then end what it left behind and record how it ended."""
        assert self.launch is not None
        assert self.trainer is not None
        ladder = Ladder(grace_seconds=self.launch.grace_seconds)
        self.notifier = Notifier(self.attempt, self.launch.notify)
        self.evaluations = Evaluations(self.attempt, self.launch.prune_at_evaluations)
        self.figures = _Figures(self.attempt, self.trainer.pid)
        next_beat = 0.0
        code = None
        while code is None:
            self._handle_signals()
            self._tell_again()
            rung = self._due_rung(ladder)
            if rung is not None:
                self.act(rung)
            if time.monotonic() >= next_beat:
                self.beat()
                next_beat = time.monotonic() + BEAT_SECONDS
            with contextlib.suppress(Exception):  # whatever is in the events, the run goes on
                self.evaluations.look()
            self._sleep()
            code = self._reap()
        self._end(code)

    def _due_rung(self, ladder: Ladder) -> Rung | None:
        request = read_stop(self.run)
        if request is not None and request.attempt == self.attempt.number:
            return ladder.climb(time.monotonic(), now=request.now)
        return ladder.climb(time.monotonic()) if self.asked_to_stop else None

    def act(self, rung: Rung) -> None:
        """Do what a rung of the stop ladder says."""
        assert self.trainer is not None
        self.rung = rung
        if rung is Rung.KILL:
            for pid in [*self._below(), self.trainer.pid]:
                _signal(pid, signal.SIGKILL)
        elif not self._tell(signal.SIGTERM) and (rung is Rung.LEAVE or self._waits_for_machines()):
            _signal(self.trainer.pid, signal.SIGTERM)

    def _waits_for_machines(self) -> bool:
        """Whether torchrun hasn't begun because other machines are still to join."""
        assert self.trainer is not None
        assert self.launch is not None
        return self.launch.nodes > 1 and not host.children().get(self.trainer.pid)

    def _tell(self, number: int) -> bool:
        """Pass a signal on to the trainer; whether anybody was there to hear it.

        Of several processes each is told, and torchrun is not: it would end with code 1 however well they end. One
        that has no handler yet would die of the signal; a stop reaches it by the request, anything else is said again.
        """
        assert self.trainer is not None
        assert self.launch is not None
        if self.launch.processes == 1:
            _signal(self.trainer.pid, number)
            return True
        hearing = [pid for pid in host.children().get(self.trainer.pid, ()) if host.catches(pid, number)]
        for pid in hearing:
            _signal(pid, number)
        return bool(hearing)

    def _end(self, code: int) -> NoReturn:
        self._tidy()
        record = self.exit_record(code)
        with contextlib.suppress(OSError):  # a trainer that was killed couldn't
            self.attempt.reserve.unlink(missing_ok=True)
        for _ in range(30):  # a full disk may be freed; without this file the run would count as lost
            try:
                write_exit(self.attempt.exit, record)
                break
            except (HeatsError, OSError):
                self._let_go_of_lock()  # nothing of the run is left but this wish to write
                time.sleep(2)
        self._let_go_of_lock()  # telling people must not keep anybody from resuming
        with contextlib.suppress(Exception):
            self.notifier.ended(record)
        self.leave(record)

    def exit_record(self, code: int) -> ExitRecord:
        """What becomes exit.json, from the trainer's return code."""
        killed_by_ladder = self.rung is Rung.KILL and code == -signal.SIGKILL
        return ExitRecord(
            ended=time.time(),
            code=code if code >= 0 else None,
            signal=-code if code < 0 else None,
            rung=str(self.rung) if killed_by_ladder else None,
            error=self._why_ranks_ended() if code > 0 else None,
        )

    def leave(self, record: ExitRecord) -> NoReturn:
        """All is written down: let what waits for this run's slot start, and end."""
        _advance_queue(self.run.folder.parent)
        os._exit(0)

    def _why_ranks_ended(self) -> str | None:
        """What the first of several processes to end before its time has left as its reason."""
        if self.launch is None or self.launch.processes == 1:
            return None
        return next((word.sentence() for word in heard(self.attempt, self.launch.processes) if word.error), None)

    def _let_go_of_lock(self) -> None:
        while self.locks:
            with contextlib.suppress(OSError):
                os.close(self.locks.pop())

    def _tidy(self) -> None:
        """End what the trainer left behind, so that the lock comes free: loader workers hold memory of the GPU too."""
        deadline = time.monotonic() + _TIDY_SECONDS
        sent: set[int] = set()
        while left := self._below():
            late = time.monotonic() > deadline
            for pid in left:
                if late or pid not in sent:
                    _signal(pid, signal.SIGKILL if late else signal.SIGTERM)
                    sent.add(pid)
            orphans.reap()
            time.sleep(0.02)

    def _below(self) -> list[int]:
        """The trainer's processes, wherever they went; those that tell of the run aren't among them."""
        telling = self.notifier.processes() | self.evaluations.processes()
        return [pid for pid in host.descendants(os.getpid()) if pid not in telling]

    def _catch_signals(self) -> None:
        self._wake_read, wake_write = os.pipe()
        for descriptor in (self._wake_read, wake_write):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (*_STOPPING, *_FORWARDED):
            signal.signal(number, lambda received, _: self.received.append(received))

    def _handle_signals(self) -> None:
        while self.received:
            self.on_signal(self.received.pop(0))

    def on_signal(self, number: int) -> None:
        """Climb the stop ladder, or pass on what means preemption."""
        if number in _STOPPING:
            self.asked_to_stop = True
            with contextlib.suppress(HeatsError, OSError):  # so that viewers see it; the ladder goes on without
                request = read_stop(self.run)
                if request is None or request.attempt != self.attempt.number:
                    request_stop(self.run, self.attempt.number)
        elif self.trainer is not None and not self._tell(number):
            self.unheard.add(number)

    def _tell_again(self) -> None:
        self.unheard = {number for number in self.unheard if not self._tell(number)}

    def _sleep(self) -> None:
        with contextlib.suppress(InterruptedError, BlockingIOError):
            if select.select([self._wake_read], [], [], _LOOK_SECONDS)[0]:
                os.read(self._wake_read, 4096)

    def _reap(self) -> int | None:
        """Reap whatever has ended; the trainer's return code once it is among them."""
        assert self.trainer is not None
        code = self.trainer.poll()
        if code is None:
            orphans.reap(self.trainer.pid)
        return code

    def beat(self) -> None:
        """A sign of life, with the host's figures."""
        # Losing a beat is harmless; the next comes soon.
        with contextlib.suppress(HeatsError, OSError):
            write_beat(self.attempt.beat, Beat(time.time(), BEAT_SECONDS))
        with contextlib.suppress(HeatsError, OSError):
            if self.launch is not None and self.launch.lock is not None:
                self._keep_lock(Path(self.launch.lock))
        if self.figures is not None:
            self.figures.record()
        with contextlib.suppress(Exception):  # whatever is in the events, the run goes on
            self.notifier.look()

    def _keep_lock(self, path: Path) -> None:
        """Touch the lock's file, so that cleaners of old temporary files leave it alone; make it anew where one didn't.

        A deleted file can't be linked again, and who comes later would lock another of the same name: so the
        supervisor holds that one too.
        """
        try:
            os.utime(path)
        except FileNotFoundError:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            taken = lock.acquire(path)
            if taken is not None:
                self.locks.append(taken)


class _Figures:
    """Host figures for system.jsonl. Whatever goes wrong here harms nothing."""

    def __init__(self, attempt: AttemptPaths, pid: int) -> None:
        self.attempt = attempt
        self.pid = pid
        self._recorder: object | None = None

    def record(self) -> None:
        try:
            # Imported only now, with the trainer up: psutil takes 50 ms and may be broken or missing.
            from engine.launch.system import SystemRecorder

            if self._recorder is None:
                self._recorder = SystemRecorder(self.attempt.system, self.pid)
            assert isinstance(self._recorder, SystemRecorder)
            self._recorder.record()
        except Exception:  # noqa: BLE001  the supervisor must live on whatever a driver's library throws
            broken, self._recorder = self._recorder, None
            with contextlib.suppress(Exception):  # a full disk lasts for hours: no file of each try may stay open
                broken.close()  # type: ignore[union-attr]


def _advance_queue(store: Path) -> None:
    """Let whatever waits for this run's slot start, in a process of its own: nobody may be watching."""
    if not (store / ".queue").is_dir():
        return
    with contextlib.suppress(OSError):
        subprocess.Popen(
            [*program("engine.study.advance"), str(store)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip


def trainer_environment(run_id: str, attempt: int, launch: LaunchRecord) -> dict[str, str]:
    """The variables that an attempt's trainer is given."""
    environment = dict(os.environ) | {name: str(value) for name, value in launch.environment.items()}
    code = launch.code
    if code is not None:  # before what is installed
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (code, environment.get("PYTHONPATH"))))
    environment["HEATS_RUN_ID"] = run_id
    environment["HEATS_ATTEMPT"] = str(attempt)
    environment["PYTHONUNBUFFERED"] = "1"
    # Sets iterate by hash, and cuBLAS is deterministic only with a fixed workspace: both must be set before start.
    environment.setdefault("PYTHONHASHSEED", "0")
    environment.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # OpenMP threads that spin while they wait make a step 50 times slower as soon as another process wants a core.
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    return environment


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


if __name__ == "__main__":
    main()
