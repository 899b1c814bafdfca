"""`python -m engine.train RUN_DIR`: train one attempt of a run, to its end or until asked to stop."""

from __future__ import annotations

import argparse
import gc
import os
import sys
import time
from pathlib import Path

from engine.errors import HeatsError
from engine.store import host
from engine.store.create import claim_attempt
from engine.store.paths import AttemptPaths, RunPaths
from engine.store.records import LaunchRecord, read_launch, read_run, write_launch
from engine.train.control import Control, LeaveNow
from engine.train.events import EventLog
from engine.train.ranks import from_environment, only_own_gpu


def main(words: list[str] | None = None) -> int:
    """Train; the exit code is 0 (finished or stopped), 75 (preempted), 1 (failed) or 2 (misuse)."""
    parser = argparse.ArgumentParser(prog="python -m engine.train", description=__doc__)
    parser.add_argument("run_dir", type=Path, help="the run's folder")
    parser.add_argument("--attempt", type=int, help="the attempt prepared for this process; a new one without it")
    parser.add_argument("--stop-at", type=int, help="stop after this step, as if asked to")
    parser.add_argument("--log-level", default=os.environ.get("HEATS_LOG_LEVEL", "INFO"))
    parser.add_argument("--log-json", action="store_true", default=os.environ.get("HEATS_LOG_JSON") == "1")
    arguments = parser.parse_args(words)
    run = RunPaths(arguments.run_dir.absolute())
    try:
        if read_run(run.record) is None:
            raise HeatsError("is no run's folder (its run.json is missing or damaged)", place=str(run.folder))
        if "TORCHELASTIC_RUN_ID" in os.environ and not arguments.attempt:
            raise HeatsError(
                "several processes need an attempt that was prepared for them", remedy="use `heats launch`"
            )
        attempt = run.attempt(arguments.attempt) if arguments.attempt else _unsupervised_attempt(run)
        launch = read_launch(attempt.launch)
        if launch is None:
            raise HeatsError(f"attempt {attempt.number} was not prepared", place=run.id)
    except HeatsError as error:
        print(f"heats: {error}", file=sys.stderr)
        return error.exit_code
    # Signals are ours before torch is: a run stopped in the seconds of its import must say so, not die of it.
    ranks = from_environment(attempt)
    control = Control(run, attempt.number, arguments.stop_at, rank=ranks.rank if ranks.several else None)
    control.install()
    events = None
    if ranks.is_first:
        events = EventLog(attempt.events)
    else:
        _print_to(attempt.rank_output(ranks.rank))
    if ranks.several:
        only_own_gpu(ranks.local_rank)
        # DDP warns that looking for unused weights costs time; what goes wrong is raised as an error, not logged.
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    try:  # a second request to stop may come at any moment from here on
        if events is not None:
            own = os.getpid()
            events.write("started", launch.resumed_from_step or 0, pid=own, ticks=host.start_ticks(own))
        gc.disable()  # collecting again and again what torch's import makes takes a sixth of it
        from engine.train import attempt as training

        gc.freeze()  # it is there for good: later collections needn't look at it
        gc.enable()
        return training.train_attempt(
            run, attempt, launch, control, events, ranks=ranks, log_level=arguments.log_level,
            log_json=arguments.log_json,
        )  # fmt: skip
    except LeaveNow:
        if ranks.several:
            ranks.say("left")
        if events is not None:
            events.write("stopped", launch.resumed_from_step or 0, reason="left before the first step")
        return 0


def _print_to(path: Path) -> None:
    """Send what this process prints to a file of its own: lines of several in one log can't be told apart."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for standard in (1, 2):
        os.dup2(descriptor, standard)
    os.close(descriptor)


def _unsupervised_attempt(run: RunPaths) -> AttemptPaths:
    """An attempt for a run that somebody trains by hand, in the foreground."""
    from engine.store.checkpoints import choose

    chosen = choose(run).checkpoint
    attempt = claim_attempt(run)
    record = LaunchRecord(
        attempt=attempt.number,
        created=time.time(),
        started=time.time(),
        host=host.host_name(),
        boot_id=host.boot_id(),
        pid_namespace=host.pid_namespace(),
        command=tuple(sys.argv),
        folder=os.getcwd(),
        resumed_from_step=chosen.step if chosen else None,
        resumed_from_checkpoint=chosen.folder.name if chosen else None,
        trainer_pid=os.getpid(),
        trainer_ticks=host.start_ticks(os.getpid()),
    )
    write_launch(attempt, record)
    return attempt


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Everything is written and closed; what libraries do at exit only takes time and litters the log.
    os._exit(code)
