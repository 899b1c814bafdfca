"""`heats resume`."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.launch.actions import resume
from tui.cli.options import AsJson, Backend, Bell, Follow, Notify, Procs, Profile, RunName, RunsDir, the_run
from tui.cli.started import report_started


def command(
    run: RunName,
    override: Annotated[
        list[str] | None, typer.Option("--override", metavar="KEY=VALUE", help="Change an option; may be repeated.")
    ] = None,
    from_step: Annotated[
        int | None, typer.Option("--from", min=0, metavar="STEP", help="The checkpoint to go on from; else the newest.")
    ] = None,
    procs: Procs = None,
    accept_settings: Annotated[
        bool, typer.Option("--accept-settings", help="Go on although torch, device or the like give other bits now.")
    ] = False,
    notify: Notify = None,
    reset_scaler: Annotated[
        bool, typer.Option("--reset-scaler", help="Start with a fresh loss scale (fp16) where the saved one is dead.")
    ] = False,
    emergency: Annotated[
        bool, typer.Option("--emergency", help="Go on from an emergency checkpoint: the newest, or that of --from.")
    ] = False,
    backend: Annotated[
        Backend | None,
        typer.Option("--backend", metavar="NAME", help="Where to go on: local or slurm; else as before."),
    ] = None,
    profile: Profile = None,
    follow: Follow = None,
    bell: Bell = False,
    as_json: AsJson = False,
    runs_dir: RunsDir = None,
) -> None:
    """Go on with a run from its newest valid checkpoint, bit for bit, as a new attempt."""
    from engine.config.resolve import parse_overrides

    found = the_run(run, runs_dir)
    started = resume(
        found,
        overrides=parse_overrides([*(override or []), *([f"parallel.procs={procs}"] if procs else [])]),
        from_step=from_step,
        accept_settings=accept_settings,
        notify=notify,
        reset_scaler=reset_scaler,
        emergency=emergency,
        backend=backend,
        profile=profile,
    )
    report_started(started, follow, as_json, bell=bell)
