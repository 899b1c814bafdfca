"""What heats must say of a run, from what we ourselves know: whom we killed, who lives, and the bytes on disk."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from itertools import product
from typing import Any

from engine.errors import HeatsError
from engine.store.checkpoints import FILES, choose, scan, verify
from engine.store.index import list_runs
from engine.store.paths import RunPaths, open_store
from engine.store.status import State
from engine.store.summary import RunSummary
from tests.campaign.cast import Cast, Role
from tests.support import look

_LAST_WORDS = ("finished", "stopped", "preempted", "failed")
_SETTLE_SECONDS = 120.0


@dataclass(frozen=True)
class Facts:
    """What is known of an attempt at one moment. `trainer` and `supervisor` hold True (lives), False (doesn't), or
    both while a signal is on its way."""

    trainer: frozenset[bool]
    supervisor: frozenset[bool]
    word: str | None
    exit: dict[str, Any] | None
    recorded: bool
    training: bool
    stopping: bool

    @property
    def over(self) -> bool:
        """Whether nobody is left who could change anything."""
        return True not in self.trainer | self.supervisor

    @property
    def orphan(self) -> bool:
        """Whether the trainer goes on without its supervisor."""
        return self.trainer == {True} and self.supervisor == {False}

    def allowed(self) -> set[State]:
        """The states that are true."""
        if self.word is not None:
            return {State(self.word)}
        if self.exit is not None:
            if self.exit.get("signal") is not None:
                return {State.KILLED}
            return {State.FINISHED if self.exit.get("code") == 0 else State.FAILED}
        return {self._state(*lives) for lives in product(self.trainer, self.supervisor)}

    def _state(self, trainer: bool, supervisor: bool) -> State:
        if trainer:
            if not self.recorded and not supervisor and not (self.training or self.word):
                return State.STARTING
            if self.stopping:
                return State.STOPPING
            return State.RUNNING if self.training else State.STARTING
        if supervisor:
            return State.STOPPING if self.recorded else State.STARTING
        return State.LOST


def facts(cast: Cast) -> Facts:
    """Look at the processes, then at the files: who has gone has written all it ever will."""
    cast.refresh()
    trainer, supervisor = _lives(cast, "trainer"), _lives(cast, "supervisor")
    events = own_events(cast)
    launch = _object(cast.attempt.launch) or {}
    stop = _object(cast.run.requests / "stop.json") or {}
    return Facts(
        trainer=trainer,
        supervisor=supervisor,
        word=next((name for name in events if name in _LAST_WORDS), None),
        exit=_object(cast.attempt.exit),
        recorded=launch.get("trainer_pid") is not None,
        training="training" in events,
        stopping=stop.get("attempt") == cast.attempt.number,
    )


def own_events(cast: Cast) -> list[str]:
    """The names of the attempt's events, read without heats."""
    try:
        lines = cast.attempt.events.read_bytes().split(b"\n")[:-1]
    except OSError:
        return []
    return [json.loads(line)["event"] for line in lines]


def _lives(cast: Cast, role: Role) -> frozenset[bool]:
    living = cast.living(role)
    if not living:
        return frozenset({False})
    return frozenset({True, False}) if any(process.killed for process in living) else frozenset({True})


def _object(path: Any) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def watch_status(cast: Cast) -> list[str]:
    """Compare what heats says with the truth, again and again, until nothing is on its way any more.

    Returns:
        Every statement that wasn't true, as evidence in words.
    """
    deadline = time.monotonic() + _SETTLE_SECONDS
    before = facts(cast)
    while True:
        found = look(cast.run)
        after = facts(cast)
        wrong = _untrue(found, before, after)
        if wrong:
            return [wrong]
        if before == after and (after.over or after.orphan):
            return _checked_list(cast.run, found) if after.over else []
        if time.monotonic() > deadline:
            return [f"not settled after {_SETTLE_SECONDS} s: {after}, and it says {found.status} ({found.reason})"]
        before = after
        time.sleep(0.002)


def _untrue(found: RunSummary, before: Facts, after: Facts) -> str | None:
    allowed = before.allowed() | after.allowed()
    said = f"it says {found.status} ({found.reason})"
    if found.status not in allowed:
        return f"{said} where the truth is one of {sorted(allowed)}: {before} then {after}"
    alone = before.orphan and after.orphan and after.recorded and after.word is None
    if alone and "without its supervisor" not in found.reason:
        return f"{said}, and nothing of its supervisor's death: {after}"
    if found.status is State.KILLED and "SIGKILL" not in found.reason:
        return f"{said} without the signal: {after}"
    if after.word in ("failed", "preempted"):
        return f"the attempt {after.word}: {found.reason}"
    return None


def _checked_list(run: RunPaths, found: RunSummary) -> list[str]:
    """The list's answer comes from the index, which keeps for good what it takes for settled."""
    listed = {item.id: item for item in list_runs(open_store(run.folder.parent))}
    if run.id not in listed:
        return ["the run has vanished from the list"]
    item = listed[run.id]
    if (item.status, item.step) != (found.status, found.step):
        return [f"the list says {item.status} at step {item.step}, show {found.status} at step {found.step}"]
    return []


def intact_steps(run: RunPaths) -> set[int]:
    """The steps of all whole checkpoints, judged without heats: every file hashed against its manifest."""
    steps = set()
    for manifest_path in run.checkpoints.glob("step-*/MANIFEST.json"):
        manifest = _object(manifest_path) or {}
        try:
            hashes = {name: hashlib.sha256((manifest_path.parent / name).read_bytes()).hexdigest() for name in FILES}
            if all(manifest["files"][name]["sha256"] == digest for name, digest in hashes.items()):
                steps.add(int(manifest_path.parent.name.removeprefix("step-")))
        except (OSError, KeyError, TypeError, ValueError):
            continue
    return steps


def check_checkpoints(run: RunPaths, floor: int) -> tuple[int, list[str]]:
    """What a resume would load now, and what is wrong with that.

    Args:
        run: a run without living processes.
        floor: the step from which the attempt before started; a resume never falls below it.
    """
    wrong = []
    intact = intact_steps(run)
    for item in scan(run):
        if not item.valid:
            wrong.append(f"a kill left {item.folder.name} damaged in its place: {item.problems}")
        if not item.emergency and (item.step in intact) == bool(verify(item)):
            wrong.append(f"{item.folder.name}: verify says {verify(item)}, the hashes otherwise")
    try:
        chosen = choose(run).checkpoint
    except HeatsError as error:
        return floor, [*wrong, f"none can be chosen: {error}"]
    step = chosen.step if chosen is not None else 0
    if chosen is not None and not chosen.folder.name.startswith("step-"):
        wrong.append(f"{chosen.folder.name} would be loaded")
    if step != max(intact, default=0):
        wrong.append(f"a resume would start from step {step} where the newest whole checkpoint is {sorted(intact)}")
    if step < floor:
        wrong.append(f"a resume would start from step {step}, below step {floor} from which the last one started")
    return step, wrong
