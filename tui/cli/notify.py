"""`heats notify`."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from tui.cli.options import AsJson
from tui.cli.terminal import complain, print_json, safe

EXAMPLES = """\
A notification command is run at each new alert of a run and when it ends:

  heats launch TASK --notify desktop
      a notification on this desktop (notify-send, or osascript on a Mac)
  heats launch TASK --notify 'webhook https://hooks.slack.com/services/...'
      a message on Slack; Discord and ntfy are known by their addresses too,
      and any other address gets all facts as JSON
  HEATS_WEBHOOK=https://ntfy.sh/your-topic heats launch TASK --notify webhook
      the same with the address kept out of the run's files
  heats launch TASK --notify 'mail -s "$HEATS_EVENT: $HEATS_RUN_NAME" you <<EOF
  $HEATS_MESSAGE
  EOF'
      any line for the shell
  export HEATS_NOTIFY=desktop
      for every run that is launched or resumed from here on

The command finds HEATS_EVENT (finished, stopped, failed, killed, preempted,
alert, suspect), HEATS_MESSAGE, HEATS_CAUSE, HEATS_STEP, HEATS_RUN_ID,
HEATS_RUN_NAME and HEATS_RUN_DIR in its environment. Write "$HEATS_MESSAGE" in
quotes: the text comes from the run. It may take 30 s; the run never waits for
it. A cause is told at most once in 10 minutes, and at most 10 alerts an hour;
the end is always told. Failures are noted in the attempt's notify.log.

The run's supervisor sends these, so a run that has lost it tells nobody.
Try a command now:  heats notify desktop"""


def command(
    words: Annotated[
        str | None, typer.Argument(metavar="COMMAND", help="Run this command once, with a test message.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Try a notification command with a test message; without a command, show examples."""
    if words is None:
        if as_json:
            print_json({"examples": EXAMPLES})
        else:
            print(EXAMPLES)
        return
    from engine.launch.notify import deliver

    facts = {
        "HEATS_EVENT": "test", "HEATS_CAUSE": "", "HEATS_MESSAGE": "this is how heats will tell you", "HEATS_STEP": "1",
        "HEATS_RUN_ID": "no-run", "HEATS_RUN_NAME": "no run", "HEATS_RUN_DIR": os.getcwd(),
    }  # fmt: skip
    done = deliver(words, os.environ | facts)
    if as_json:
        print_json({"delivered": done.problem is None, "problem": done.problem, "output": done.output})
    else:
        for line in done.output.splitlines():
            print(safe(line))
        if done.problem is None:
            print("the command worked")
        else:
            complain(f"the command failed: {done.problem}")
    if done.problem is not None:
        raise typer.Exit(1)
