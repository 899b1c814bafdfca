"""`python -m engine.tasks.exec RUN_DIR`: run a user's command as one attempt of a run, and gather its figures.

It stands between the supervisor and the command: signals go on to the command, its figures into the attempt's files,
and its end becomes the attempt's last word. It loads no torch.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.errors import HeatsError
from engine.store import host, orphans
from engine.store.paths import AttemptPaths, RunPaths
from engine.store.records import LaunchRecord, read_launch
from engine.store.requests import read_stop
from engine.store.status import signal_name
from engine.store.stored_config import effective_config
from engine.tasks.exec.collector import Collector
from engine.tasks.exec.config import Config
from engine.tasks.exec.output import last_error
from engine.train.control import PREEMPTED_EXIT_CODE
from engine.train.events import EventLog

_LOOK_SECONDS = 0.25
_STOPPING = (signal.SIGTERM, signal.SIGINT)
_PREEMPTING = (signal.SIGUSR1, signal.SIGUSR2)


def main(words: list[str] | None = None) -> int:
    """Run the command; the exit code is 0 (finished or stopped), 75 (preempted), 2 (misuse), else the command's."""
    parser = argparse.ArgumentParser(prog="python -m engine.tasks.exec", description=__doc__)
    parser.add_argument("run_dir", type=Path, help="the run's folder")
    parser.add_argument("--attempt", type=int, required=True, help="the attempt prepared for this process")
    arguments = parser.parse_args(words)
    run = RunPaths(arguments.run_dir.absolute())
    attempt = run.attempt(arguments.attempt)
    signals = Signals()
    events = EventLog(attempt.events)
    events.write("started", None, pid=os.getpid(), ticks=host.start_ticks(os.getpid()))
    try:
        launch = read_launch(attempt.launch)
        if launch is None:
            raise HeatsError(f"attempt {attempt.number} was not prepared", place=run.id)
        config = effective_config(run, up_to_attempt=attempt.number)
        if not isinstance(config, Config):
            raise HeatsError("its task runs no command", place=run.id)
    except HeatsError as error:
        print(f"heats: {error}", file=sys.stderr)
        events.write("failed", None, error=str(error))
        return 1
    return Attempt(run, attempt, launch, config, signals, events).run_to_end()


class Signals:
    """What this process was sent, in order; handlers do nothing else."""

    def __init__(self) -> None:
        self.received: list[int] = []
        self._read, write = os.pipe()
        for descriptor in (self._read, write):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (*_STOPPING, *_PREEMPTING):
            signal.signal(number, lambda received, _: self.received.append(received))

    def wait(self, seconds: float) -> None:
        """Sleep until something arrives, or a child has ended."""
        with contextlib.suppress(InterruptedError, BlockingIOError):
            if select.select([self._read], [], [], seconds)[0]:
                os.read(self._read, 4096)


class Attempt:
    """One life of the command."""

    def __init__(
        self, run: RunPaths, attempt: AttemptPaths, launch: LaunchRecord, config: Config, signals: Signals,
        events: EventLog,
    ) -> None:  # fmt: skip
        self.run, self.attempt, self.launch, self.config = run, attempt, launch, config
        self.signals, self.events = signals, events
        self.folder = Path.cwd()
        self.asked_to_stop = False
        self.preempted = False
        run.script.mkdir(exist_ok=True)
        self.collector = Collector(run, attempt, config, self.folder, events)
        self._total: int | None = None

    def run_to_end(self) -> int:
        """Run the command and write the attempt's last word; the exit code."""
        words = self.config.words(
            run_dir=str(self.run.script), run_id=self.run.id, attempt=str(self.attempt.number)
        )  # fmt: skip
        try:
            # Descriptors that are inheritable are the supervisor's lock and no other: it must not come free while the
            # command lives.
            child = subprocess.Popen(words, stdin=subprocess.DEVNULL, env=self._environment(), close_fds=False)
        except OSError as error:
            said = f"the command can't be started: {words[0]}: {error.strerror or error}"
            print(f"heats: {said}", file=sys.stderr)
            self.events.write("failed", None, error=said)
            return 1
        orphans.adopt()  # a stop that ends a shell must still find what the shell had started
        self._say_training(child.pid)
        while (code := child.poll()) is None:
            self._pass_on(child.pid)
            self._look(self._below)
            orphans.reap(child.pid)
            self.signals.wait(_LOOK_SECONDS)
        self._wait_for_rest()
        self._look(list, last=True)
        self.collector.close()
        return self._end(code)

    def _environment(self) -> dict[str, str]:
        """What the command is told beside its own words."""
        told = {
            "HEATS_RUN_DIR": str(self.run.folder),
            "HEATS_ATTEMPT_DIR": str(self.attempt.folder),
            "HEATS_SCRIPT_DIR": str(self.run.script),
            "HEATS_SEED": str(self.config.seed),
        }
        path, step = last_checkpoint(self.run)
        if path:
            told |= {"HEATS_CHECKPOINT": path, "HEATS_CHECKPOINT_STEP": str(step)}
        return dict(os.environ) | told

    def _say_training(self, pid: int | None = None) -> None:
        """Say that the command runs, and how many steps it will take once that is known."""
        self._total = self.collector.total
        facts: dict[str, Any] = {} if pid is None else {"script_pid": pid}
        if self._total is not None:
            facts["total_steps"] = self._total
        self.events.write("training", None, **facts)

    @staticmethod
    def _below() -> list[int]:
        return host.descendants(os.getpid())

    def _look(self, pids: Callable[[], list[int]], *, last: bool = False) -> None:
        try:
            self.collector.look(pids, last=last)
        except Exception as error:  # noqa: BLE001  whatever stands in its files, the command goes on
            if not getattr(self, "_complained", False):
                self._complained = True
                said = f"figures can't be gathered ({type(error).__name__}: {error})"
                self.events.write("alert", None, cause="metrics", message=said)
        if self.collector.total != self._total:
            self._say_training()

    def _pass_on(self, pid: int) -> None:
        """Signals are for the command."""
        while self.signals.received:
            number = self.signals.received.pop(0)
            request = read_stop(self.run)
            asked = request is not None and request.attempt == self.attempt.number
            if number in _PREEMPTING or (number == signal.SIGTERM and "SLURM_JOB_ID" in os.environ and not asked):
                self.preempted = True
            else:
                self.asked_to_stop = True
            if asked and request is not None and request.now:
                number = signal.SIGTERM
            if number in _PREEMPTING and not catches(pid, number):
                number = signal.SIGTERM  # it would die of that as well, unless it saves then, as most scripts do
            _signal(pid, number)

    def _wait_for_rest(self) -> None:
        """Where a stop ended only the shell around it, what it had started is asked too, and waited for.

        How long is up to the supervisor, whose ladder goes on.
        """
        if not self.asked_to_stop and not self.preempted:
            return
        told: set[int] = set()
        while left := self._orphans():
            again = bool(self.signals.received)
            self.signals.received.clear()
            for pid in left:
                if again or pid not in told:
                    told.add(pid)
                    _signal(pid, signal.SIGTERM)
            self._look(self._below)
            self.signals.wait(_LOOK_SECONDS)

    def _orphans(self) -> list[int]:
        """What is left of the command's processes: they became this one's children when their parents ended."""
        orphans.reap()
        return [pid for pid in host.descendants(os.getpid()) if host.process_state(pid, None) == "alive"]

    def _end(self, code: int) -> int:
        """The last word."""
        step = self.collector.ledger.last_step or None
        facts = self.collector.facts()
        how = f"exit code {code}" if code >= 0 else signal_name(-code)
        if self.collector.word == "finished" and code == 0:
            self.events.write("finished", step, **facts)
            return 0
        if code == PREEMPTED_EXIT_CODE or (self.preempted and not self.asked_to_stop):
            self.events.write("preempted", step, reason=f"its command ended by {how}", **facts)
            return PREEMPTED_EXIT_CODE
        if self.asked_to_stop or self.collector.word == "stopped":
            self.events.write("stopped", step, reason=f"its command ended by {how}", **facts)
            return 0
        if code == 0:
            self.events.write("finished", step, **facts)
            return 0
        if code < 0 and os.getppid() == self.launch.supervisor_pid:
            _die_of(-code)  # its supervisor then sees what a supervisor sees of any run that was killed
        error, trace = last_error(self.attempt.output)
        said = f"{how}: {error}" if error else how
        self.events.write("failed", step, error=said, **({"traceback": trace} if trace else {}), **facts)
        return code if code > 0 else 1


def last_checkpoint(run: RunPaths) -> tuple[str, int]:
    """The newest checkpoint that the run's script told of through `engine.track`, where it is still there."""
    from engine.store.records import read_events

    for attempt in reversed(run.attempts()):
        for event in reversed(read_events(attempt.events)[0]):
            path = event.facts.get("path")
            if event.name == "script_checkpoint" and isinstance(path, str) and os.path.exists(path):
                return path, event.step or 0
    return "", 0


def catches(pid: int, number: int) -> bool:
    """Whether a process has a handler for a signal; taken for granted where that can't be seen."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    return True


def _die_of(number: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the command has left its own
    with contextlib.suppress(OSError, ValueError):
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)
