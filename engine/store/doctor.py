"""What is wrong with runs and what to do about it: one pure function over facts that `engine.store.checkup` gathers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from engine.store.checkpoints import Checkpoint
from engine.store.records import Event
from engine.store.status import Evidence, State
from engine.store.summary import RunSummary
from engine.store.twins import Twins

_HOUR = 3600.0
_CLOCK_SLACK_SECONDS = 30.0
_LEAST_FREE_BYTES = 1 << 30
_ROOM_FACTOR = 3
_LATE_FACTOR = 3.0


class Severity(StrEnum):
    """How much a finding matters: a person must act, should know, or may like to know."""

    ACT = "act"
    WARN = "warn"
    NOTE = "note"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: with which run (None: with the machine), how badly, since when, and what to do."""

    run: str | None
    severity: Severity
    cause: str
    what: str
    since: float | None = None
    remedy: str = ""


@dataclass(frozen=True)
class RunFacts:
    """What is known of a run, as far as a diagnosis needs it. Only runs that could change carry `evidence`."""

    summary: RunSummary
    evidence: Evidence | None = None
    events: tuple[Event, ...] = ()
    """The alerts, `alert_over`, `suspect`, and of a live run also `training` and `checkpoint`, in order."""
    checkpoints: tuple[Checkpoint, ...] = ()
    save_every: int | None = None
    """The option train.save_every; None where the run isn't live or its config can't be read."""
    undelivered: tuple[str, ...] = ()
    """Why notifications of its newest attempt failed."""


@dataclass(frozen=True)
class Machine:
    """What is known of this machine: free bytes where the store lies, and whether it ends processes at logout."""

    free_bytes: int | None = None
    logout_warning: str | None = None


@dataclass(frozen=True)
class _Patient:
    """A run with the words by which commands name it."""

    facts: RunFacts
    now: float
    name: str = field(default="")

    def finding(
        self, severity: Severity, cause: str, what: str, since: float | None = None, remedy: str = ""
    ) -> Finding:
        return Finding(self.facts.summary.id, severity, cause, what, since, remedy.replace("RUN", self.name))


def diagnose(runs: Sequence[RunFacts], machine: Machine, twins: Sequence[Twins] = (), *, now: float) -> list[Finding]:
    """Everything that is wrong, the worst first; the findings of a run stand together.

    Args:
        runs: the runs to look at.
        machine: this machine.
        twins: runs whose figures are the same although their configs differ.
        now: seconds since 1970.
    """
    found: list[Finding] = []
    for facts in runs:
        patient = _Patient(facts, now, facts.summary.id[-4:])
        for part in (_state, _supervision, _alerts, _checkpoints, _files):
            found += part(patient)
    found += _twins(runs, twins)
    return _in_order([*_machine(runs, machine), *found])


def _in_order(found: list[Finding]) -> list[Finding]:
    ranks = list(Severity)
    worst: dict[str | None, int] = {}
    for finding in found:
        worst[finding.run] = min(worst.get(finding.run, len(ranks)), ranks.index(finding.severity))
    return sorted(found, key=lambda finding: (worst[finding.run], _after(finding.run), ranks.index(finding.severity)))


def _after(run: str | None) -> tuple[int, ...]:
    """Sorts the machine before runs, and newer runs (by id) before older ones."""
    return () if run is None else (1, *(-ord(character) for character in run))


_REMEDIES = {
    State.FAILED: "`heats logs RUN` says why; mend it, then `heats resume RUN`",
    State.KILLED: "`heats resume RUN` goes on from its last checkpoint",
    State.LOST: "`heats resume RUN` goes on from its last checkpoint",
    State.PREEMPTED: "`heats resume RUN` goes on from its last checkpoint",
    State.STALLED: "`heats logs RUN` may say what it waits for; `heats stop RUN`, then `heats resume RUN`",
    State.SILENT: "look at that machine; `heats list` there sees its processes",
}


def _state(patient: _Patient) -> Iterator[Finding]:
    """Runs that ended badly, or that nobody hears of."""
    summary = patient.facts.summary
    if summary.status not in _REMEDIES:
        return
    remedy = _REMEDIES[summary.status]
    evidence = patient.facts.evidence
    if evidence is not None and evidence.lock_held and summary.status is State.LOST:
        remedy = "`heats stop RUN` ends them, then `heats resume RUN`"
    elif evidence is not None and evidence.supervisor != "alive" and summary.status is State.STALLED:
        remedy = "`heats stop RUN --now` ends it, then `heats resume RUN`"
    if not any(item.usable for item in patient.facts.checkpoints) and summary.status.is_final:
        remedy = remedy.replace("goes on from its last checkpoint", "starts over: it has no checkpoint")
    severity = Severity.WARN if summary.status is State.PREEMPTED else Severity.ACT
    yield patient.finding(severity, str(summary.status), summary.reason, summary.since, remedy)


def _supervision(patient: _Patient) -> Iterator[Finding]:
    """What is wrong with how a live run is kept."""
    facts, evidence = patient.facts, patient.facts.evidence
    for reason in sorted(set(facts.undelivered)):
        what = f"its notifications fail: {reason}"
        yield patient.finding(Severity.WARN, "notify", what, None, "try the command: `heats notify COMMAND`")
    if evidence is None or evidence.launch is None:
        return
    launch = evidence.launch
    here = evidence.same_host and evidence.same_boot and evidence.same_namespace
    if facts.summary.status.is_live and here and evidence.supervisor != "alive" and launch.supervisor_pid is not None:
        what = "it trains without its supervisor, which has died"
        if launch.notify:
            what += "; nobody will be told of alerts or of its end"
        remedy = "it goes on; for a new supervisor: `heats stop RUN`, then `heats resume RUN`"
        yield patient.finding(Severity.WARN, "no supervisor", what, None, remedy)
    if facts.summary.status.is_live and here and evidence.lock_missing:
        what = "the file of its lock was deleted; its status rests on its pids until the supervisor's next beat"
        remedy = "keep cleaners of temporary files away from the lock folder, or set HEATS_LOCK_DIR"
        yield patient.finding(Severity.NOTE, "lock", what, None, remedy)
    if facts.summary.status.is_live and launch.weaker_evidence:
        what = "its status rests on weaker evidence: that system has no /proc"
        yield patient.finding(Severity.NOTE, "weaker evidence", what)
    if evidence.beat is not None and evidence.beat.time - patient.now > _CLOCK_SLACK_SECONDS:
        what = f"the clock of {launch.host} is {_span(evidence.beat.time - patient.now)} ahead of this machine's"
        yield patient.finding(Severity.WARN, "clock", what, None, "let both take their time from the network (NTP)")


_ALERT_REMEDIES = {
    "disk": "make room: `heats checkpoints prune RUN`, or delete runs you don't need",
    "slow_save": "save to a faster disk, or give it longer: HEATS_GRACE_SECONDS; a cluster's KillWait is its managers'",
    "non_finite": "`heats logs RUN` names the term if it can; lower optim.lr or try precision.dtype=fp32",
    "dead_scale": "some loss isn't finite in fp16: precision.dtype=bf16 or fp32; then resume with --reset-scaler",
    "skipped": "most steps change nothing: lower optim.lr or try precision.dtype=fp32",
    "no_weight_moved": "the optimizer changes nothing: check what is frozen, optim.lr and the loss scale",
    "explosion": "lower optim.lr, clip harder (clip.max_norm), or resume from before: `heats resume RUN --from STEP`",
    "norm_outlier": "clip harder (clip.max_norm), or look at the batches of those steps",
    "share": "one loss term drowns the others: weigh them anew",
    "worse_than_chance": "it learns nothing useful: check the data, the labels and the loss",
    "stall": "`heats logs RUN` may say what it waits for",
}


def _alerts(patient: _Patient) -> Iterator[Finding]:
    """The alerts of a run, one finding a cause."""
    summary, evidence = patient.facts.summary, patient.facts.evidence
    by_cause: dict[str, list[Event]] = {}
    over: set[str] = set()
    for event in patient.facts.events:
        cause = str(event.facts.get("cause") or event.name)
        if event.name == "alert":
            by_cause.setdefault(cause, []).append(event)
            over.discard(cause)
        elif event.name == "alert_over":
            over.add(cause)
        elif event.name == "suspect":
            message = str(event.facts.get("message") or event.facts.get("reason") or "its result is near chance")
            remedy = "look at its curves (`heats show RUN`) before you trust it"
            yield patient.finding(Severity.ACT, "suspect", message, event.time, remedy)
    for cause, events in by_cause.items():
        last = events[-1]
        message = str(last.facts.get("message") or cause)
        many = f" ({len(events)} alerts)" if len(events) > 1 else ""
        at = f" at step {last.step:,}" if last.step is not None else ""
        live = summary.status.is_live and cause not in over and last.facts.get("level") != "info"
        if evidence is not None and evidence.launch is not None:  # whoever resumed it has seen the earlier ones
            live = live and last.time >= evidence.launch.created
        remedy = _ALERT_REMEDIES.get(cause, "`heats logs RUN` and `heats show RUN` say more")
        severity = Severity.ACT if live else Severity.WARN if cause not in over else Severity.NOTE
        yield patient.finding(severity, f"alert {cause}", f"{message}{at}{many}", last.time, remedy)


def _checkpoints(patient: _Patient) -> Iterator[Finding]:
    """Broken checkpoints, and none for too long."""
    facts = patient.facts
    broken = [item for item in facts.checkpoints if item.problems]
    if broken:
        first = broken[-1]
        which = f"the checkpoint of step {first.step:,}" if len(broken) == 1 else f"{len(broken)} checkpoints"
        ended_well = facts.summary.status is State.FINISHED
        none_left = not any(item.usable for item in facts.checkpoints)
        what = f"{which} can't be used ({first.problems[0]})" + ("; none is left that can" if none_left else "")
        severity = Severity.ACT if none_left and not ended_well else Severity.WARN
        yield patient.finding(
            severity, "checkpoint", what, first.created or None, "`heats checkpoints fix RUN` moves what is broken away"
        )
    if facts.summary.status not in (State.RUNNING, State.STALLED) or facts.save_every is None:
        return
    began = [event.time for event in facts.events if event.name in ("training", "checkpoint")]
    if not began or patient.now - began[-1] <= _usual_span(facts):
        return
    what = f"its last checkpoint is {_span(patient.now - began[-1])} old"
    if not any(event.name == "checkpoint" for event in facts.events):
        what = f"it has trained for {_span(patient.now - began[-1])} without a checkpoint"
    what += " (train.save_every is 0)" if facts.save_every == 0 else ""
    remedy = "`heats stop RUN` saves one; then `heats resume RUN --override train.save_every=STEPS`"
    yield patient.finding(Severity.WARN, "no checkpoint", what, began[-1], remedy)


def _usual_span(facts: RunFacts) -> float:
    """After how long without a checkpoint it is worth a word: an hour, or three times what this run is set to."""
    pace = facts.summary.rate
    expected = facts.save_every / pace if facts.save_every and pace else 0.0
    return max(_HOUR, _LATE_FACTOR * expected)


def _files(patient: _Patient) -> Iterator[Finding]:
    """Damaged files of the record."""
    for problem in patient.facts.summary.problems:
        severity = Severity.ACT if problem.startswith("run.json") else Severity.WARN
        remedy = "what is damaged is left out of all views; restore it from a copy if you have one"
        yield patient.finding(severity, "damaged", problem, None, remedy)


def _machine(runs: Sequence[RunFacts], machine: Machine) -> Iterator[Finding]:
    """What is wrong with the machine, for the runs that are live."""
    live = [facts for facts in runs if facts.summary.status.is_live]
    if machine.free_bytes is not None:
        needed = sum(facts.checkpoints[-1].bytes for facts in live if facts.checkpoints)
        remedy = "make room: `heats checkpoints prune`, or delete runs you don't need"
        free = _size(machine.free_bytes)
        if needed > machine.free_bytes:
            what = f"the store's disk has {free} left, and the next checkpoints of live runs need {_size(needed)}"
            yield Finding(None, Severity.ACT, "disk", what, None, remedy)
        elif machine.free_bytes < max(_ROOM_FACTOR * needed, _LEAST_FREE_BYTES):
            what = f"the store's disk has only {free} left"
            what += f"; the next checkpoints of live runs need {_size(needed)}" if needed else ""
            yield Finding(None, Severity.WARN, "disk", what, None, remedy)
    if machine.logout_warning:
        here = any(facts.evidence is not None and facts.evidence.same_host for facts in live)
        yield Finding(None, Severity.WARN if here else Severity.NOTE, "logout", machine.logout_warning)


def _twins(runs: Sequence[RunFacts], twins: Sequence[Twins]) -> Iterator[Finding]:
    """Runs whose options differ while their figures don't: what differs has no effect."""
    shown = {facts.summary.id for facts in runs}
    for pair in twins:
        run, other = (pair.second, pair.first) if pair.second in shown else (pair.first, pair.second)
        if run not in shown:
            continue
        keys = ", ".join(pair.differing[:3]) + (
            f" and {len(pair.differing) - 3} more" if len(pair.differing) > 3 else ""
        )
        what = (
            f"{pair.metric} equals that of {other} to the last bit over {pair.points} points,"
            f" although {keys or 'their configs'} differ"
        )
        remedy = "what differs has no effect: find out why, or archive one of them"
        yield Finding(run, Severity.ACT, "twin", what, None, remedy)


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 2 * _HOUR else f"{seconds / _HOUR:.1f} h"


def _size(count: int) -> str:
    value = float(count)
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"
