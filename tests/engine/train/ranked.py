"""Several processes that train the toy together, forked from one that has imported everything: starts cost nothing.

What torchrun adds (starting, watching and ending them) is tested with torchrun itself.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.store.checkpoints import choose
from engine.store.create import claim_attempt
from engine.store.paths import RunPaths
from engine.store.records import Event, LaunchRecord, read_events, write_launch
from tests.engine.train.toy import make_run
from tests.forks import Forks, forks

_CODE = """
from tests.engine.train.ranked import work
import engine.train.attempt, tests.engine.train.toy_task.task
import torch._dynamo, torch.distributed.fsdp, torch.distributed.checkpoint.hf_storage
"""


@pytest.fixture(scope="session")
def ranked() -> Iterator[Forks]:
    """Trains attempts in several processes; see `train_ranks`."""
    with forks(_CODE) as made:
        yield made


def make_ranked_run(root: Path, size: int, values: dict[str, Any] | None = None) -> RunPaths:
    """A run of the toy for so many processes, in batches of 12."""
    return make_run(root, {"train.batch_size": 12, "parallel.procs": size} | (values or {}))


def train_ranks(
    ranked: Forks, run: RunPaths, *, procs: int | None = None, wanted: str = "latest", words: tuple[str, ...] = ()
) -> list[Event]:
    """One attempt of a run; later ones resume. The events of its first rank.

    Args:
        ranked: what starts them.
        run: made for several processes.
        procs: train in so many from here on.
        wanted: the checkpoint to go on from.
        words: further words for each trainer.
    """
    start_ranks(ranked, run, procs=procs, wanted=wanted, words=words)
    ranked.wait()
    return read_events(run.attempts()[-1].events)[0]


def start_ranks(
    ranked: Forks, run: RunPaths, *, procs: int | None = None, wanted: str = "latest", words: tuple[str, ...] = ()
) -> int:
    """The same without waiting; the pid of the process that has started the ranks."""
    chosen = choose(run, wanted).checkpoint
    attempt = claim_attempt(run)
    record = LaunchRecord(
        attempt.number, time.time(), "",
        resumed_from_step=chosen.step if chosen else None,
        resumed_from_checkpoint=chosen.folder.name if chosen else None,
        overrides={"parallel.procs": {"to": procs}} if procs else {},
    )  # fmt: skip
    write_launch(attempt, record)
    from engine.store.stored_config import training_config

    size = training_config(run).parallel.world_size
    return ranked.start(run.folder, attempt.number, size, *words)


def loaded_digests(run: RunPaths) -> dict[str, str]:
    """Digests of the whole state that the newest attempt began with: of the model, the optimizer, and all else."""
    found: dict[str, str] = json.loads((run.attempts()[-1].folder / "loaded.json").read_text())
    return found


def toy_packages() -> dict[str, str]:
    """What a process that trains the toy knows as tasks."""
    return {"toy": "tests.engine.train.toy_task"}


def work(folder: str, attempt: str, size: str, *words: str) -> int:
    """Fork the ranks, and wait for all of them; the sum of their exit codes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    pids = []
    for rank in range(int(size)):
        pid = os.fork()
        if pid == 0:
            code = 99
            try:
                code = _rank(folder, attempt, rank, int(size), port, words)
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        pids.append(pid)
        (Path(folder) / "attempts" / f"{int(attempt):03d}" / f"pid-{rank}").write_text(str(pid))
    return sum(abs(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])) for pid in pids)


def _rank(folder: str, attempt: str, rank: int, size: int, port: int, words: tuple[str, ...]) -> int:
    from engine.config import tasks
    from engine.train.__main__ import main
    from engine.train.follower import Follower
    from engine.train.recorder import Recorder

    tasks.task_packages = toy_packages  # type: ignore[assignment]
    if size > 1:
        os.environ |= {
            "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size), "LOCAL_WORLD_SIZE": str(size),
            "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": "1",
        }  # fmt: skip
    for kind in (Recorder, Follower):
        kind.begin = _digesting(kind.begin)  # type: ignore[method-assign]
    return main([folder, "--attempt", attempt, *words])


def _digesting(begin: Any) -> Any:
    def begin_and_digest(self: Any, state: Any, *rest: Any) -> None:
        from engine.train.checkpoint import model_tensors, optimizer_tensors
        from engine.train.parallel import whole

        weights, moments = model_tensors(state.model)[0], optimizer_tensors(state.optimizer, state.model)
        digests = {}
        for name, tensors in (("model", weights), ("optimizer", moments)):
            digest = hashlib.sha256()
            for key in sorted(tensors):
                digest.update(key.encode() + whole(tensors[key]).contiguous().numpy().tobytes())
            digests[name] = digest.hexdigest()
        rest_of_it = {key: value for key, value in state.to_json().items() if key not in ("random", "ranks")}
        digests["state"] = hashlib.sha256(json.dumps(rest_of_it, sort_keys=True).encode()).hexdigest()
        if state.ranks.is_first:
            (self.attempt.folder / "loaded.json").write_text(json.dumps(digests))
        begin(self, state, *rest)

    return begin_and_digest
