"""`heats selftest`."""

from __future__ import annotations

import subprocess
from typing import Annotated, Literal

import typer

from engine.errors import MachineError
from engine.store.paths import program


def command(
    what: Annotated[Literal["resume"], typer.Argument(metavar="WHAT", help="resume: cut, resume, and compare bits.")],
) -> None:
    """Prove on this machine that resuming is exact: train 20 steps, resume to 40, compare with 40 straight."""
    try:
        done = subprocess.run([*program("engine.tools.selftest"), what], check=False)
    except OSError as error:
        raise MachineError(f"the self-test can't be started ({error.strerror})") from error
    raise typer.Exit(done.returncode if done.returncode >= 0 else 1)
