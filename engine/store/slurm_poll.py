"""What SLURM says of all jobs of this user: one `squeue` for everything, kept for seconds, shared by all processes.

The answers are kept in this user's cache on this machine, so that twenty commands in a row ask once, and so that it is
known since when a job has been absent. Where the scheduler gives no answer, it is asked less and less often.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from engine.errors import HeatsError
from engine.store.files import read_json, write_json
from engine.store.paths import RunPaths
from engine.store.records import LaunchRecord, from_content, from_fields
from engine.store.status import ENDED_STATES, SchedulerWord, bare_state

POLL_SECONDS = 5.0
JOB_PREFIX = "heats-"
"""How the names of all our jobs begin; a user's others are none of our business."""
_LEAST_OFTEN_SECONDS = 300.0
_ANSWER_SECONDS = 5.0
_NO_ACCOUNTS_SECONDS = 3600.0
_FORGET_SECONDS = 30 * 86400.0
_FIELDS = ("ArrayJobID", "ArrayTaskID", "JobID", "State", "RestartCnt", "Cluster", "NodeList", "Name", "ReasonList")


@dataclass(frozen=True)
class Job:
    """What was last said of one job. Times in seconds since 1970; `absent_since` where the last answer lacked it."""

    id: str | None = None
    state: str | None = None
    reason: str = ""
    restarts: int = 0
    node: str = ""
    absent_since: float | None = None
    accounted: bool = False
    """Whether sacct was asked for its end."""


@dataclass(frozen=True)
class Poll:
    """The last answer, by the jobs' names (with `/INDEX` in an array), and how asking has gone since."""

    asked: float = 0.0
    answered: float = 0.0
    failures: int = 0
    failing_since: float | None = None
    trouble: str = ""
    cluster: str | None = None
    no_accounts_until: float = 0.0
    jobs: Mapping[str, Job] = field(default_factory=dict)
    schema: int = 1


def interval(failures: int, usual: float = POLL_SECONDS) -> float:
    """Seconds from one question to the next, after so many without an answer."""
    return float(min(usual * 2 ** min(failures, 20), max(usual, _LEAST_OFTEN_SECONDS)))


def job_key(name: str, index: int | None) -> str:
    """By what a job is known here."""
    return name if index is None else f"{name}/{index}"


def parse(output: str) -> tuple[dict[str, Job], str | None]:
    """The jobs in squeue's answer, and the cluster's name where there is one. Lines of other shapes are skipped."""
    jobs: dict[str, Job] = {}
    cluster = None
    for line in output.splitlines():
        parts = line.split("|", len(_FIELDS) - 1)
        if len(parts) < len(_FIELDS):
            continue
        array, index, number, state, restarts, where, node, name, reason = (part.strip() for part in parts)
        cluster = where or cluster
        if not name.startswith(JOB_PREFIX):
            continue
        in_array = index.isdigit()
        key = job_key(name, int(index) if in_array else None)
        shown = reason.rstrip("|").strip("()") if state not in ("RUNNING", "COMPLETING") else ""
        found = Job(
            f"{array}_{index}" if in_array else number, state, shown, int(restarts) if restarts.isdigit() else 0, node
        )
        known = jobs.get(key)
        if known is None or known.state in ENDED_STATES:
            jobs[key] = found
    return jobs, cluster


def merge(poll: Poll, jobs: Mapping[str, Job], now: float, cluster: str | None = None) -> Poll:
    """The poll after an answer: what it lacks has been absent since the first answer that lacked it. Pure."""
    merged = dict(jobs)
    for key, job in poll.jobs.items():
        if key in merged:
            continue
        since = now if job.absent_since is None else job.absent_since
        if now - since < _FORGET_SECONDS:
            merged[key] = replace(job, absent_since=since)
    return replace(
        poll, asked=now, answered=now, failures=0, failing_since=None, trouble="", cluster=cluster or poll.cluster,
        jobs=merged,
    )  # fmt: skip


def failed(poll: Poll, trouble: str, now: float) -> Poll:
    """The poll after a question without an answer. Pure."""
    since = poll.failing_since if poll.failing_since is not None else now
    return replace(poll, asked=now, failures=poll.failures + 1, failing_since=since, trouble=trouble)


def word_of(run: RunPaths, launch: LaunchRecord) -> SchedulerWord | None:
    """What the scheduler says of an attempt's job; None where it can't be asked from here.

    Never raises. Takes no longer than an unanswered question does, and seldom that.
    """
    if launch.job_name is None:
        return None
    return _word(job_key(launch.job_name, launch.array_index), launch.cluster, lambda: number_of(run, launch))


def jobs_now() -> Poll | None:
    """The last answer, asked for anew where it is old; None where there is no SLURM."""
    return _current()


def forget() -> None:
    """Ask anew at the next look: something was just submitted or cancelled."""
    global _known
    with _guard:
        path = _cache_path()
        poll = _read(path) if path is not None else None
        if path is not None and poll is not None:
            _write(path, replace(poll, asked=0.0))
        _known = None


_guard = threading.Lock()
_known: tuple[Path, Poll] | None = None


def _word(key: str, cluster: str | None, number: Any) -> SchedulerWord | None:
    poll = _current()
    if poll is None or (cluster and poll.cluster and cluster != poll.cluster):
        return None
    silent = poll.failing_since
    job = poll.jobs.get(key)
    if job is None:
        # Absent from the first answer on in which it was looked for: whoever asks later must know since when.
        job = Job(number(), absent_since=poll.answered)
        if poll.answered and silent is None:
            _remember(key, job)
    absent = 0.0 if job.absent_since is None else max(0.0, poll.answered - job.absent_since)
    state = job.state
    if job.absent_since is not None and silent is None and bare_state(state) not in ENDED_STATES:
        # Those of an array that never began are cancelled under the name of them all.
        whole = poll.jobs.get(key.partition("/")[0])
        state = whole.state if whole is not None and bare_state(whole.state) in ENDED_STATES else None
    return SchedulerWord(state, absent, job.reason, job.id, job.restarts, job.node, poll.answered, silent, poll.trouble)


def number_of(run: RunPaths, launch: LaunchRecord) -> str | None:
    """A job's number by our own files, where the scheduler doesn't know it (any more, or yet)."""
    from engine.store.submission import read_submission, submission_paths

    if launch.job is not None:
        return launch.job
    found = read_submission(submission_paths(run.folder.parent, launch.job_name or ""))
    if found is None or found.job is None:
        return None
    return found.job if launch.array_index is None else f"{found.job}_{launch.array_index}"


def _current() -> Poll | None:
    global _known
    path = _cache_path()
    if path is None or shutil.which("squeue") is None:
        return None
    with _guard:
        if _known is not None and _known[0] == path and not _is_due(_known[1]):
            return _known[1]
        poll = _read(path)
        if _is_due(poll):
            with _asking(path, patiently=poll.asked == 0) as alone:
                poll = _read(path)
                if alone and _is_due(poll):
                    poll = _ask(poll)
                    _write(path, poll)
        _known = (path, poll)
        return poll


def _is_due(poll: Poll) -> bool:
    given = os.environ.get("HEATS_SLURM_POLL_SECONDS", "")
    try:
        usual = max(0.0, float(given)) if given else POLL_SECONDS
    except ValueError:
        usual = POLL_SECONDS
    return not 0 <= time.time() - poll.asked < interval(poll.failures, usual)


def _remember(key: str, job: Job) -> None:
    global _known
    with _guard:
        if _known is None:
            return
        path, poll = _known
        poll = replace(poll, jobs={**poll.jobs, key: job})
        _known = (path, poll)
        with _asking(path, patiently=True) as alone:
            on_disk = _read(path)
            if alone and key not in on_disk.jobs:
                _write(path, replace(on_disk, jobs={**on_disk.jobs, key: job}))


def _ask(poll: Poll) -> Poll:
    format_words = ",".join(f"{name}:|" for name in _FIELDS)
    words = ["squeue", "--noheader", "--array", "--states=all", f"--user={_user()}", "-O", format_words]
    output, trouble = _call(words)
    now = time.time()
    if output is None:
        return failed(poll, trouble, now)
    jobs, cluster = parse(output)
    if cluster is None and poll.cluster is None:
        cluster = cluster_name()
    return _account(merge(poll, jobs, now, cluster), now)


def _account(poll: Poll, now: float) -> Poll:
    """Ask sacct, where the cluster has it, for the ends of all jobs that left the queue without showing theirs."""
    missing = {
        job.id: key
        for key, job in poll.jobs.items()
        if job.absent_since is not None and job.id and not job.accounted and bare_state(job.state) not in ENDED_STATES
    }
    if not missing or now < poll.no_accounts_until or shutil.which("sacct") is None:
        return poll
    output, _ = _call(["sacct", "-n", "-P", "-X", "-j", ",".join(missing), "-o", "JobID,State"])
    if output is None:
        return replace(poll, no_accounts_until=now + _NO_ACCOUNTS_SECONDS)
    jobs = dict(poll.jobs)
    for line in output.splitlines():
        number, _, state = line.strip().partition("|")
        key = missing.get(number)
        if key is not None and bare_state(state) in ENDED_STATES:
            jobs[key] = replace(jobs[key], state=state, accounted=True)
    return replace(poll, jobs=jobs)


def cluster_name() -> str | None:
    """The name of the cluster that this machine's programs talk to; None where it can't be asked."""
    output, _ = _call(["scontrol", "show", "config"])
    for line in (output or "").splitlines():
        name, _, value = line.partition("=")
        if name.strip() == "ClusterName":
            return value.strip() or None
    return None


def _call(words: list[str]) -> tuple[str | None, str]:
    """What a program of SLURM's printed, or None and why there is nothing."""
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, timeout=_ANSWER_SECONDS, check=False,
            env={**os.environ, "SLURM_TIME_FORMAT": "standard", "LC_ALL": "C"},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return None, f"{words[0]} took longer than {_ANSWER_SECONDS:.0f} s"
    except OSError as error:
        return None, f"{words[0]}: {error.strerror}"
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        return None, said[-1] if said else f"{words[0]} left with {done.returncode}"
    return done.stdout.decode(errors="replace"), ""


def _user() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _cache_path() -> Path | None:
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:
        return None
    which = hashlib.sha256(os.environ.get("SLURM_CONF", "").encode()).hexdigest()[:8]
    return cache / "heats" / f"slurm-{os.uname().nodename}-{which}.json"


@contextlib.contextmanager
def _asking(path: Path, *, patiently: bool) -> Iterator[bool]:
    """Be the only process that asks; False where another is at it (then its answer, or the last one, will do)."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:  # no cache can be kept: everybody asks
        yield True
        return
    try:
        deadline = time.monotonic() + (_ANSWER_SECONDS if patiently else 0.0)
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                if time.monotonic() < deadline:
                    time.sleep(0.02)
                    continue
                yield False
                return
            yield True
            return
    finally:
        os.close(descriptor)


def _read(path: Path) -> Poll:
    content = read_json(path)
    if content is None:
        return Poll()
    jobs = content.pop("jobs", None)
    found: Poll | None = from_content(Poll, content)
    if found is None:
        return Poll()
    read = {key: from_fields(Job, value) for key, value in jobs.items() if isinstance(value, dict)} if jobs else {}
    return replace(found, jobs={key: job for key, job in read.items() if job is not None})


def _write(path: Path, poll: Poll) -> None:
    with contextlib.suppress(HeatsError, OSError):  # then it is asked anew
        write_json(path, {**asdict(poll), "jobs": {key: asdict(job) for key, job in poll.jobs.items()}})
