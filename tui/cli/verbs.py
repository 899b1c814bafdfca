"""Which verbs there are: each with its module, imported only when it is used, and its line in `heats --help`."""

from __future__ import annotations

from collections.abc import Mapping

VERBS = {
    "launch": ("tui.cli.launch", "Start a run of a task."),
    "list": ("tui.cli.list", "List the runs of the store, newest first."),
    "show": ("tui.cli.show", "Show all there is to know of a run."),
    "watch": ("tui.cli.watch", "Watch a run live until it ends."),
    "logs": ("tui.cli.logs", "Print what a run's training wrote."),
    "stop": ("tui.cli.stop", "Stop runs cleanly, with a last checkpoint."),
    "resume": ("tui.cli.resume", "Go on with a run from a checkpoint."),
    "join": ("tui.cli.join", "Take part, on this machine, in a run of several machines."),
    "checkpoints": ("tui.cli.checkpoints", "Check, rewind, bring together, prune, fix or export checkpoints."),
    "evaluate": ("tui.cli.evaluate", "Evaluate a checkpoint of a run."),
    "explain": ("tui.cli.explain", "Show what a run's model looks at."),
    "hooks": ("tui.cli.hooks", "Show what is hooked in a run's model, and its activations."),
    "verify": ("tui.cli.verify", "Train a stretch of a run again and compare bits."),
    "diff": ("tui.cli.diff", "Say what two runs don't have in common."),
    "compare": ("tui.cli.compare", "Set runs side by side: options, metrics, time."),
    "clone": ("tui.cli.clone", "Start a run with another's options."),
    "reproduce": ("tui.cli.reproduce", "Train a run again from its record, with its code."),
    "doctor": ("tui.cli.doctor", "Say what is wrong with runs, and what to do about it."),
    "notify": ("tui.cli.notify", "Try a notification command, or see examples."),
    "efficiency": ("tui.cli.efficiency", "Compare what runs reach for their size, time and work."),
    "tag": ("tui.cli.tag", "Tag runs, or take tags away."),
    "note": ("tui.cli.note", "Write a note on a run."),
    "star": ("tui.cli.star", "Star runs."),
    "archive": ("tui.cli.archive", "Leave runs out of lists without deleting them."),
    "delete": ("tui.cli.delete", "Move runs to the trash."),
    "restore": ("tui.cli.restore", "Bring runs back from the trash."),
    "purge": ("tui.cli.purge", "Delete runs in the trash for good."),
    "export": ("tui.cli.export", "Write histories or a table of runs as CSV, JSON or Parquet."),
    "import": ("tui.cli.importing", "Take in runs of TensorBoard, W&B, CSV or JSON lines."),
    "pull": ("tui.cli.pull", "Copy runs from a store on another machine."),
    "push": ("tui.cli.push", "Copy runs into a store on another machine."),
    "study": ("tui.cli.study", "Run studies of arms x seeds, judge and report them."),
    "queue": ("tui.cli.queue", "See and steer what waits to run."),
    "machine": ("tui.cli.machine", "Show the machine: its load, GPUs, slots, and each run's processes."),
    "serve": ("tui.cli.serve", "Show the app in a browser, behind a secret address."),
    "keys": ("tui.cli.keymap", "List the app's acts and their keys."),
    "plot": ("tui.cli.plot", "Draw curves of runs or studies into a file."),
    "tasks": ("tui.cli.tasks", "List the tasks, or every option of one."),
    "selftest": ("tui.cli.selftest", "Prove on this machine that resuming is exact."),
}
"""Every module has a function `command`, whose signature is the verb's command line, or a table `VERBS` like this."""

_OTHER_WORDS = {
    "run": "launch", "start": "launch", "train": "launch", "ls": "list", "ps": "list", "status": "list",
    "info": "show", "describe": "show", "attach": "watch", "follow": "watch", "log": "logs", "tail": "logs",
    "kill": "stop", "cancel": "stop", "continue": "resume", "restart": "resume", "eval": "evaluate", "test": "selftest",
    "saliency": "explain", "gradcam": "explain", "activations": "hooks", "gradients": "hooks",
    "prove": "verify", "copy": "clone", "fork": "clone", "rerun": "reproduce",
    "web": "serve", "browser": "serve", "keymap": "keys", "bindings": "keys",
    "top": "machine", "gpu": "machine", "gpus": "machine", "nvidia-smi": "machine", "processes": "machine",
    "check": "doctor", "diagnose": "doctor", "health": "doctor", "alerts": "doctor",
    "rm": "delete", "remove": "delete", "undelete": "restore", "dump": "export", "annotate": "note",
}  # fmt: skip


def nearest_verb(word: str, verbs: Mapping[str, tuple[str, str]] = VERBS) -> str | None:
    """The verb that a misspelt word, or another tool's word, most likely means; `verbs` may be those of a group."""
    import difflib

    close = difflib.get_close_matches(word, verbs, n=1)
    known = _OTHER_WORDS.get(word) if verbs is VERBS else None
    return known or (close[0] if close else None)
