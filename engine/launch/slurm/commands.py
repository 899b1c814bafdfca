"""SLURM's own programs, each called in one place: what they are given, and what their answers mean."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from engine.errors import HeatsError, MachineError
from engine.store.job_status import JobCause

_SECONDS = 60.0
_QUICK_SECONDS = 10.0
_UNCLEAR = ("timed out", "unable to contact", "connection refused", "communication")


class Unclear(MachineError):
    """sbatch gave no clear answer: the job may be in the queue or not. Its name will tell."""


def need() -> None:
    """Do nothing, unless jobs can't be submitted from here.

    Raises:
        HeatsError: there is no sbatch.
    """
    if shutil.which("sbatch") is None:
        raise HeatsError(
            "there is no SLURM here (no `sbatch`)", remedy="use a machine of the cluster, or --backend local"
        )


def sbatch(script: Path) -> str:
    """Submit a script; the job's number.

    Raises:
        HeatsError: SLURM refuses it, and says why.
        Unclear: no answer came.
    """
    words = ["sbatch", "--parsable", str(script)]
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS, env=_environment(), check=False
        )
    except subprocess.TimeoutExpired:
        raise Unclear(f"sbatch gave no answer for {_SECONDS:.0f} s") from None
    except OSError as error:
        raise MachineError(f"sbatch can't be started ({error.strerror})") from error
    said = _last_line(done.stderr)
    number = done.stdout.decode(errors="replace").strip().partition(";")[0]
    if done.returncode == 0 and number.isdigit():
        return number
    if any(word in said.lower() for word in _UNCLEAR):
        raise Unclear(f"sbatch: {said}")
    reason = re.sub(r"^(sbatch: )?(error: )?(Batch job submission failed: )?", "", said) or "it says nothing"
    raise HeatsError(f"SLURM refuses the job: {reason}", remedy="see the profile's partition, time and options")


def cancel(jobs: list[str], names: list[str]) -> None:
    """Take jobs out of the queue, or end them: by number, or by name where no number is known.

    Raises:
        MachineError: SLURM can't be told.
    """
    if jobs:
        _do(["scancel", *jobs])
    for name in names:
        _do(["scancel", f"--name={name}"])


def nudge(job: str) -> None:
    """Tell a running job's supervisor to look for a stop request now. Where that fails it looks by itself.

    Raises:
        MachineError: SLURM can't be told.
    """
    _do(["scancel", "--batch", "--signal=INT", job])


def requeue(job: str) -> None:
    """Put a job back into the queue.

    Raises:
        MachineError: SLURM refuses.
    """
    _do(["scontrol", "requeue", job])


def show(job: str) -> dict[str, str]:
    """What the controller knows of one job, by its field names; empty where it gives no answer."""
    try:
        return parse_fields(_do(["scontrol", "show", "job", "-o", job]))
    except MachineError:
        return {}


def kill_wait() -> float | None:
    """Seconds between the SIGTERM and the SIGKILL by which the cluster ends a job; None where it doesn't tell."""
    try:
        found = re.search(r"^KillWait\s*=\s*(\d+)", _do(["scontrol", "show", "config"]), re.MULTILINE)
    except MachineError:
        return None
    return float(found[1]) if found else None


def parse_fields(text: str) -> dict[str, str]:
    """`Name=value` words as scontrol prints them. Values with blanks are cut; none of those that we read have any."""
    return {name: value for name, equals, value in (word.partition("=") for word in text.split()) if equals}


def cause_of_end(fields: dict[str, str], restarts: int) -> JobCause:
    """What became of a job whose training has just ended, by what scontrol says of it. Pure.

    A job that is being ended shows as COMPLETING whatever the cause, so other fields must tell.

    Args:
        fields: of `scontrol show job`.
        restarts: how often the job had been restarted when this training began.
    """
    state = fields.get("JobState")
    if state is None:
        return "unknown"
    if state in ("PENDING", "REQUEUED") or int(fields.get("Restarts", "0") or 0) > restarts:
        return "requeued"
    if fields.get("PreemptTime", "None") != "None" or state == "PREEMPTED":
        return "preempted"
    if state in ("RUNNING", "CONFIGURING"):
        return "running"
    if state == "TIMEOUT" or fields.get("Reason") == "TimeLimit" or _reached_limit(fields):
        return "time limit"
    return "cancelled" if state in ("COMPLETING", "CANCELLED") else "unknown"


def _reached_limit(fields: dict[str, str]) -> bool:
    from engine.launch.slurm.profiles import time_seconds

    ran, limit = (time_seconds(fields.get(name, "")) for name in ("RunTime", "TimeLimit"))
    return ran is not None and limit is not None and ran >= limit


def _do(words: list[str]) -> str:
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, timeout=_QUICK_SECONDS, env=_environment(),
            check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise MachineError(f"{words[0]} gave no answer for {_QUICK_SECONDS:.0f} s") from None
    except OSError as error:
        raise MachineError(f"{words[0]} can't be started ({error.strerror})") from error
    if done.returncode:
        raise MachineError(f"{words[0]}: {_last_line(done.stderr) or f'left with {done.returncode}'}")
    return done.stdout.decode(errors="replace")


def _environment() -> dict[str, str]:
    """This environment without what a job around us says of itself: a job submitted by a job is none of its parts."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name == "SLURM_CONF"
        or not name.startswith(("SLURM_", "SLURMD_", "SBATCH_", "HEATS_RUN_ID", "HEATS_ATTEMPT"))
    }
    return kept | {"LC_ALL": kept.get("LC_ALL", "C.UTF-8")}


def _last_line(text: bytes) -> str:
    lines = text.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else ""
