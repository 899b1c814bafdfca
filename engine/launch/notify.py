"""Tells people what happened to a run, by a command of theirs: when it ends, and at each new alert.

The supervisor spawns `python -m engine.launch.notify deliver COMMAND LOG` and forgets it: that process runs the command
with a time limit and notes what went wrong. Nothing here can hold up or harm the run. What a run says reaches the
command as environment variables only, never as part of a command line, so no text of a run is ever executed.

`desktop` and `webhook [URL]` stand for the two ready commands of `engine.launch.messengers`. Standard library alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from engine.launch.news import NewLines
from engine.store import host
from engine.store.paths import AttemptPaths, RunPaths, program
from engine.store.records import ExitRecord, read_events, read_run
from engine.store.status import Evidence, decide

TIMEOUT_SECONDS = 30.0
READY_COMMANDS = ("desktop", "webhook")
_LOG_BYTES = 1 << 18
_MESSAGE_CHARACTERS = 2000
_ALERTS = ("alert", "suspect")
_MARKS = tuple(f'"{name}"'.encode() for name in _ALERTS)


@dataclass(frozen=True)
class Notice:
    """What is told: the event (finished, failed, alert, ...), its cause, one sentence, and the step."""

    event: str
    message: str
    step: int | None = None
    cause: str = ""


@dataclass
class RateLimit:
    """At most one notice a cause in a while, and never more than a burst over all causes.

    Args:
        per_cause_seconds: how long a cause stays quiet once it was told.
        burst, burst_seconds: at most so many notices within that time.
    """

    per_cause_seconds: float = 600.0
    burst: int = 10
    burst_seconds: float = 3600.0
    _told: dict[str, float] = field(default_factory=dict)
    _recent: list[float] = field(default_factory=list)
    _held_back: dict[str, int] = field(default_factory=dict)

    def admit(self, cause: str, clock_seconds: float) -> int | None:
        """How many like it were held back since the last one, or None if this one must be held back too."""
        self._recent = [moment for moment in self._recent if clock_seconds - moment < self.burst_seconds]
        last = self._told.get(cause)
        if (last is not None and clock_seconds - last < self.per_cause_seconds) or len(self._recent) >= self.burst:
            self._held_back[cause] = self._held_back.get(cause, 0) + 1
            return None
        self._told[cause] = clock_seconds
        self._recent.append(clock_seconds)
        return self._held_back.pop(cause, 0)


class Notifier:
    """Watches an attempt's events for its supervisor and spawns the deliveries.

    Args:
        attempt: whose events.
        command: what to run; None tells nobody.
    """

    def __init__(self, attempt: AttemptPaths, command: str | None) -> None:
        self._attempt = attempt
        self._command = command
        self._limit = RateLimit()
        self._news = NewLines(attempt.events)
        self._running: list[int] = []

    def look(self) -> None:
        """Tell of the alerts that are new since the last look."""
        if not self._command:
            return
        with contextlib.suppress(OSError):
            for line in self._news.read().splitlines():
                if any(mark in line for mark in _MARKS):
                    self._tell_alert(line)

    def _tell_alert(self, line: bytes) -> None:
        try:
            facts = json.loads(line)
        except ValueError:
            return
        if not isinstance(facts, dict) or facts.get("event") not in _ALERTS:
            return
        cause = str(facts.get("cause") or facts["event"])
        held_back = self._limit.admit(cause, time.monotonic())
        if held_back is not None:
            more = f" ({held_back} more of this kind were held back)" if held_back else ""
            step = facts.get("step")
            message = str(facts.get("message") or cause) + more
            self._deliver(Notice(str(facts["event"]), message, step if type(step) is int else None, cause))

    def ended(self, record: ExitRecord) -> None:
        """Tell how the attempt ended. Called last: the delivery outlives the supervisor."""
        if not self._command:
            return
        self.look()
        events, _ = read_events(self._attempt.events)
        final = next((event for event in reversed(events) if event.is_final), None)
        status = decide(Evidence(time.time(), final_event=final, exit=record))
        steps = [event.step for event in events if event.step is not None]
        self._deliver(Notice(str(status.state), status.reason, max(steps, default=None)))

    def _deliver(self, notice: Notice) -> None:
        assert self._command is not None
        with contextlib.suppress(OSError):
            process = subprocess.Popen(
                [*program("engine.launch.notify"), "deliver", self._command, str(self._attempt.notify_log)],
                env=environment(self._attempt, notice),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            self._running.append(process.pid)
            process.returncode = 0  # the supervisor reaps whatever ends; this object must not warn of it

    def processes(self) -> set[int]:
        """The pids of deliveries under way and of all below them, so that nobody takes them for the trainer's."""
        self._running = [pid for pid in self._running if host.process_state(pid, None) == "alive"]
        return {below for pid in self._running for below in (pid, *host.descendants(pid))}


def environment(attempt: AttemptPaths, notice: Notice) -> dict[str, str]:
    """What the command finds in its environment."""
    run = RunPaths(attempt.folder.parent.parent)
    record = read_run(run.record)
    facts = {
        "HEATS_RUN_ID": run.id,
        "HEATS_RUN_NAME": record.name if record is not None else run.id,
        "HEATS_RUN_DIR": str(run.folder),
        "HEATS_EVENT": notice.event,
        "HEATS_CAUSE": notice.cause,
        "HEATS_MESSAGE": notice.message[:_MESSAGE_CHARACTERS],
        "HEATS_STEP": "" if notice.step is None else str(notice.step),
    }
    # An environment holds no zero bytes, and no halves of surrogate pairs.
    plain = {name: text.replace("\0", "").encode("utf-8", "replace").decode() for name, text in facts.items()}
    return {name: text for name, text in os.environ.items() if name != "HEATS_NOTIFY"} | plain


def command_line(command: str) -> list[str]:
    """The program and words that a notification command stands for: a ready one, or a line for the shell."""
    try:
        words = shlex.split(command)
    except ValueError:
        words = []
    if words and words[0] in READY_COMMANDS:
        return [*program("engine.launch.messengers"), *words]
    return ["/bin/sh", "-c", command]


@dataclass(frozen=True)
class Delivery:
    """How a command went: `problem` is None when it worked; `output` is what it wrote."""

    problem: str | None
    output: str = ""


def deliver(command: str, facts: Mapping[str, str], timeout_seconds: float = TIMEOUT_SECONDS) -> Delivery:
    """Run a notification command in a session of its own, and end all of it when its time is up.

    Args:
        command: a ready command or a line for the shell.
        facts: its whole environment.
        timeout_seconds: how long it may take.
    """
    try:
        process = subprocess.Popen(
            command_line(command), env=dict(facts), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    except (OSError, ValueError) as error:
        return Delivery(f"it can't be started ({error})")
    try:
        written, _ = process.communicate(timeout=timeout_seconds)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return Delivery(f"it took longer than {timeout_seconds:.0f} s and was ended")
    output = written[-2000:].decode(errors="replace")
    if process.returncode:
        how = f"signal {-process.returncode}" if process.returncode < 0 else f"exit code {process.returncode}"
        return Delivery(how, output)
    return Delivery(None, output)


def main(words: Sequence[str]) -> int:
    """`deliver COMMAND LOG`: run a command with this process's environment; what went wrong goes into the log."""
    _, command, log = words
    done = deliver(command, os.environ)
    if done.problem is None:
        return 0
    said = " | ".join(done.output.split("\n")).strip(" |")
    stamp = time.strftime("%Y-%m-%d %H:%M:%S")
    line = f"{stamp} {os.environ.get('HEATS_EVENT', '')} failed: {done.problem}{f': {said}' if said else ''}\n"
    with contextlib.suppress(OSError):
        if not os.path.exists(log) or os.stat(log).st_size < _LOG_BYTES:
            with open(log, "a") as file:
                file.write(line)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
