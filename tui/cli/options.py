"""Options that several verbs share, and what they mean."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:  # `heats --help` has no need of the store
    from engine.store.paths import RunPaths, Store

RunsDir = Annotated[
    Path | None,
    typer.Option("--runs-dir", metavar="PATH", help="The store; else HEATS_RUNS_DIR, else ./runs."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do it. Without it, only say what would be done.")]
RUNS_HELP = "Runs: ids, unique parts, names, or `last`."
RunNames = Annotated[list[str], typer.Argument(metavar="RUN", help=RUNS_HELP)]
RunName = Annotated[
    str, typer.Argument(metavar="RUN", help="A run: its id, any unique part of it, its name, or `last`.")
]
Follow = Annotated[
    bool | None,
    typer.Option(
        "--follow/--detach", help="Watch until it ends, or return at once. Follows on a terminal, detaches in a pipe."
    ),
]
Notify = Annotated[
    str | None,
    typer.Option(
        "--notify", metavar="COMMAND",
        help="Run this at each new alert and when the run ends; else HEATS_NOTIFY. `heats notify` shows examples.",
    ),
]  # fmt: skip
Procs = Annotated[
    int | None,
    typer.Option("--procs", min=1, metavar="N", help="Processes (short for parallel.procs=N); several by torchrun."),
]
Queue = Annotated[bool, typer.Option("--queue", help="Start when a slot of this machine is free; see `heats queue`.")]
Backend = Literal["local", "slurm"]
BackendOption = Annotated[
    Backend, typer.Option("--backend", metavar="NAME", help="Where to train: local, or slurm for a job of the cluster.")
]
Profile = Annotated[
    str | None,
    typer.Option(
        "--profile",
        metavar="NAME",
        help="What the job asks for, by its name in ~/.config/heats/slurm.yaml; else default.",
    ),
]
Bell = Annotated[
    bool, typer.Option("--bell", help="Ring the terminal's bell at alerts and at the end; so does HEATS_BELL=1.")
]


def check_backend(backend: str, profile: str | None, queue: bool = False) -> None:
    """Do nothing, unless the options of the backend contradict each other.

    Raises:
        HeatsError: they do.
    """
    from engine.errors import HeatsError

    if backend == "slurm" and queue:
        raise HeatsError(
            "--queue is for slots of this machine", remedy="leave it out: the cluster has a queue of its own"
        )
    if backend != "slurm" and profile is not None:
        raise HeatsError("--profile is for jobs of a cluster", remedy="add --backend slurm")


def the_store(runs_dir: Path | None) -> Store:
    """The store that the options and the environment name.

    Raises:
        HeatsError: there is none.
    """
    from engine.store.paths import default_root, open_store

    return open_store(default_root(runs_dir))


def the_run(wanted: str, runs_dir: Path | None) -> RunPaths:
    """The one run that a word means.

    Raises:
        HeatsError: no store, no such run, or several.
    """
    from engine.store.names import find_run

    return find_run(the_store(runs_dir), wanted)


def find_runs(store: Store, wanted: Sequence[str]) -> list[RunPaths]:
    """The runs that words name, each once. All are found before anything is done to one.

    Raises:
        HeatsError: a word names no run, or several.
    """
    from engine.store.names import find_run

    return list(dict.fromkeys(find_run(store, word) for word in wanted))
