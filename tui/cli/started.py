"""What `launch` and `resume` say and do once an attempt is under way."""

from __future__ import annotations

from pathlib import Path

import typer

from engine.launch.actions import LaunchRequest, Started
from engine.store.records import read_launch
from tui.cli.follow import exit_code, follow
from tui.cli.show import summary_of
from tui.cli.terminal import complain, hint, is_terminal, print_json


def report_started(started: Started, wanted: bool | None, as_json: bool, *, bell: bool = False) -> None:
    """Follow the run or leave it, as asked for; else follow on a terminal and leave it in a pipe.

    Raises:
        typer.Exit: with the exit code of the run that was followed.
    """
    complain_of(started)
    run = started.run
    launched = read_launch(started.attempt.launch)
    if launched is not None and launched.nodes > 1:
        others = "the other machine" if launched.nodes == 2 else f"each of the {launched.nodes - 1} other machines"
        hint(f"it waits for {others}: type `heats join {run.id}` there")
    staying = wanted if wanted is not None else is_terminal() and not as_json
    if not staying:
        if as_json:
            print_json(summary_of(run).to_json())
        else:
            print(run.id)
        if started.on_cluster:
            hint(f"submitted: `heats watch {run.id[-4:]}` follows it, `heats queue list` shows the cluster's jobs")
            return
        hint(f"it trains in the background: `heats watch {run.id[-4:]}` shows it, `heats stop {run.id[-4:]}` ends it")
        return
    ended = follow(run, quiet=as_json, bell=bell)
    if as_json:
        print_json(ended.to_json())
    raise typer.Exit(exit_code(ended))


def report_queued(
    root: Path, request: LaunchRequest, wanted: bool | None, as_json: bool, *, bell: bool = False
) -> None:
    """Queue a run; what is said where it starts at once is the same as without the queue.

    Raises:
        HeatsError: a bad config, or a folder that is no store.
        MachineError: the store can't be written.
    """
    from engine.launch.submit import submit

    done = submit(root, [request], queue=True)
    if done.started:
        report_started(done.started[0], wanted, as_json, bell=bell)
        return
    run = done.waiting[0]
    if as_json:
        print_json(summary_of(run).to_json())
    else:
        print(run.id)
    hint("it waits in the queue: `heats queue list` says for what")


def complain_of(started: Started) -> None:
    """What a person should know about how an attempt came to start."""
    for passed in started.passed_over:
        complain(f"passed over a checkpoint: {passed}")
    for warning in started.warnings:
        complain(f"warning: {warning}")
