"""The batch script of a submission, as text. Pure: the dry run prints what would be submitted."""

from __future__ import annotations

import re
import secrets
import shlex
from dataclasses import dataclass
from pathlib import Path

from engine.launch.slurm.profiles import Profile, time_seconds
from engine.store.paths import program
from engine.store.slurm_poll import JOB_PREFIX
from engine.store.submission import SubmissionPaths

MOST_IN_ARRAY = 1000
"""What clusters take in one array, unless their managers changed it."""


@dataclass(frozen=True)
class Job:
    """What is to be submitted: one run, or `count` of them as an array with at most `most` at once."""

    name: str
    profile: Profile
    paths: SubmissionPaths
    folder: Path
    count: int = 1
    is_array: bool = False
    most: int | None = None


def new_name(what: str) -> str:
    """A job's name that no other job has, and that says what it is."""
    words = re.sub(r"[^\w.-]+", "-", what, flags=re.ASCII).strip("-")[:40]
    return f"{JOB_PREFIX}{words or 'run'}-{secrets.token_hex(4)}"


def script(job: Job) -> str:
    """The text of the batch script.

    Its last line becomes our supervisor, by `exec`: the warning before the time limit goes to the batch script alone.
    """
    output = str(job.paths.output)
    if job.is_array:
        output = output.replace("%j", "%A_%a")
    options = {
        "job-name": job.name,
        "output": output,
        "open-mode": "append",
        "chdir": str(job.folder),
        "requeue": "",
        "signal": f"B:USR2@{_warning(job.profile)}",
    }
    if job.is_array:
        options["array"] = f"0-{job.count - 1}" + (f"%{job.most}" if job.most else "")
    options |= job.profile.sbatch_options()
    lines = ["#!/bin/bash"]
    lines += [f"#SBATCH --{name}" + (f"={_quoted(value)}" if value else "") for name, value in options.items()]
    # A warning during the set-up is for nobody yet; at the limit itself there is one more.
    lines += ["", "trap '' USR1 USR2"]
    lines += [*(f"module load {module}" for module in job.profile.modules), *job.profile.setup]
    lines += [f"exec {shlex.join([*program('engine.launch.slurm.job'), str(job.paths.folder)])}", ""]
    return "\n".join(lines)


def _warning(profile: Profile) -> int:
    """Seconds before the limit at which the job is told; a short job would be told at once."""
    limit = time_seconds(profile.time) if profile.time else None
    return profile.warn_seconds if limit is None else min(profile.warn_seconds, max(10, limit // 2))


def _quoted(value: str) -> str:
    """As sbatch reads it: blanks only within quotes."""
    return f'"{value}"' if re.search(r"\s", value) else value
