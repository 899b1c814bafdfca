"""`heats join`."""

from __future__ import annotations

import os
import sys

from engine.launch.torchrun import plan_joining
from tui.cli.options import RunName, RunsDir, the_run
from tui.cli.terminal import hint


def command(run: RunName, runs_dir: RunsDir = None) -> None:
    """Take part in a run of several machines: give this on each of the others that `launch --nodes` waits for.

    Stays until the run's processes on this machine have ended.
    """
    from engine.launch.supervisor import trainer_environment

    found = the_run(run, runs_dir)
    plan = plan_joining(found)
    hint(f"{plan.processes.on_each} of {plan.launch.processes} processes; they meet at {plan.processes.endpoint}")
    sys.stdout.flush()
    environment = trainer_environment(found.id, plan.launch.attempt, plan.launch)
    if plan.launch.folder and os.path.isdir(plan.launch.folder):
        os.chdir(plan.launch.folder)
    os.execvpe(plan.command[0], list(plan.command), environment)
