"""Runs of several processes under a real torchrun: stopped, preempted and killed, they leave nothing behind."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.config.resolve import resolve
from engine.config.tasks import config_class
from engine.errors import HeatsError
from engine.launch import slots
from engine.launch.actions import LaunchRequest, resume, stop
from engine.launch.queue import plan
from engine.launch.submit import submit
from engine.launch.torchrun import Processes, trainer_command
from engine.store import host, lock
from engine.store.checkpoints import scan
from engine.store.paths import RunPaths
from engine.store.queue import Entry, QueueState
from engine.store.status import State
from tests.support import (
    ENDLESS,
    TINY,
    exists,
    kill,
    launched,
    look,
    start,
    wait_for_state,
    wait_for_step,
    wait_until,
)
from tests.tui.cli.stores import command_line, process_environment

TWO: dict[str, Any] = TINY | {"parallel.procs": 2, "model.dropout": 0.1, "train.max_steps": 12, "train.save_every": 4}
TWO_ENDLESS: dict[str, Any] = ENDLESS | {"parallel.procs": 2}


def heats(*words: str, store: Path) -> subprocess.CompletedProcess[str]:
    line = command_line(*words, store=store)
    return subprocess.run(line, capture_output=True, text=True, check=False, env=process_environment({}))


def ranks(run: RunPaths) -> list[int]:
    """The pids of a live run's ranks: in the order of their starts, which is that of their ranks."""
    torchrun = launched(run).trainer_pid
    assert torchrun is not None
    return sorted(host.children()[torchrun])


def everything(run: RunPaths) -> list[int]:
    """The pids of all processes of a live run."""
    supervisor = launched(run).supervisor_pid
    assert supervisor is not None
    return [supervisor, *host.descendants(supervisor)]


def nothing_is_left(pids: list[int]) -> None:
    wait_until(lambda: not any(exists(pid) for pid in pids), what=f"the end of {pids}")


# --- pure ---


def test_one_process_needs_no_torchrun_and_several_machines_meet(tmp_path: Path) -> None:
    run = RunPaths(tmp_path / "20261122-140000_toy-x_abcd")
    alone = trainer_command(run, 3, Processes(), grace_seconds=5)
    assert not any("torch" in word for word in alone)
    several = trainer_command(run, 3, Processes(4, 2, "first:1234"), grace_seconds=5.5, words=["--stop-at", "7"])
    assert several[-len(alone) - 2 :] == (*alone, "--stop-at", "7")
    for word in (
        "--nnodes=2", "--nproc-per-node=4", "--rdzv-endpoint=first:1234", f"--rdzv-id={run.id}-3", "--max-restarts=0",
        "--shutdown-timeout=36",
    ):  # fmt: skip
        assert word in several


def test_what_processes_cannot_share_is_refused_in_one_sentence() -> None:
    config = config_class("multiplication")
    for values, words in (
        (
            {"train.batch_size": 9, "parallel.procs": 2},
            "(9) can't be divided evenly among 2 processes",
        ),
        ({"parallel.procs": 2, "parallel.kind": "fsdp", "precision.dtype": "fp16"}, "no loss scaler"),
        ({"parallel.procs": 2, "parallel.kind": "fsdp", "guard.share_every": 5}, "guard.share_every"),
    ):
        with pytest.raises(HeatsError) as caught:
            resolve(config, values)
        assert words in str(caught.value)


def test_a_run_of_several_processes_takes_as_many_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    there = [slots.Slot(f"gpu{number}", f"GPU-{number}", 4) for number in range(3)]
    held = [lock.acquire(lock.lock_path("store", run)) for run in ("one", "two")]
    assert all(held)

    def claim(run: str, count: int) -> slots.Slot | None:
        return slots.claim("store", run, lock.lock_path("store", run), 0.0, there, count)

    both = claim("one", 2)
    assert both is not None
    assert both.environment() == {
        "HEATS_SLOT": "gpu0,gpu1", "CUDA_VISIBLE_DEVICES": "GPU-0,GPU-1", "OMP_NUM_THREADS": "4",
    }  # fmt: skip
    assert claim("two", 2) is None
    assert [item.slot for item in slots.claims()] == ["gpu0", "gpu1"], "nothing is claimed where it isn't enough"
    slots.release(both)
    assert claim("two", 3) is not None


def test_a_run_that_needs_more_slots_is_not_overtaken() -> None:
    entries = {
        name: Entry(queued=0.0, order=order, host="here", slots=count)
        for name, order, count in (("large", 1.0, 3), ("small", 2.0, 1))
    }
    waiting = plan(entries, {}, QueueState(), 2, "here")
    assert [(item.run, item.act, item.for_slot) for item in waiting] == [
        ("large", "wait", True),
        ("small", "wait", True),
    ]
    assert waiting[0].why == "it needs 3 slots of this machine, 2 are free"
    assert [item.act for item in plan(entries, {}, QueueState(), 4, "here")] == ["start", "start"]


def test_what_never_fits_is_not_queued(store_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEATS_SLOTS", "1")
    with pytest.raises(HeatsError, match="it needs 2 slots, one a process, and this machine has 1"):
        submit(store_root, [LaunchRequest("multiplication", TWO)], queue=True)
    assert list(store_root.glob("2*")) == []


# --- with torchrun ---


def goes_on_to(run: RunPaths, step: int) -> list[int]:
    """Resume if need be, and wait for a step; the pids of all processes."""
    if not look(run).status.is_live:
        resume(run)
    wait_for_step(run, step)
    return everything(run)


@pytest.mark.slow
def test_stops_of_any_kind_leave_nothing_and_training_is_as_if_there_had_been_none(store_root: Path) -> None:
    run = start(store_root, TWO_ENDLESS | {"model.dropout": 0.1}).run
    ends: list[tuple[Callable[[], None], State]] = [
        (lambda: kill(ranks(run)[1], signal.SIGTERM), State.STOPPED),
        (lambda: stop(run), State.STOPPED),
        (lambda: kill(launched(run).trainer_pid, signal.SIGTERM), State.STOPPED),
        (lambda: kill(ranks(run)[1], signal.SIGUSR1), State.PREEMPTED),
    ]
    step = 0
    for end, state in ends:
        pids = goes_on_to(run, step + 2)
        if not step:
            shown = heats("show", run.id, store=store_root).stdout
            assert "2, under torchrun" in shown
            assert "output-rank-*.log" in shown
        end()
        ended = wait_for_state(run, state)
        nothing_is_left(pids)
        assert ended.step > step
        step = ended.step
        assert scan(run)[-1].step == step, "saved by all at one step"
    done = heats("verify", run.id, "--from", "0", store=store_root)
    assert done.stdout.startswith(f"identical: steps 0 to {step}, every weight, moment and random state"), (
        done.stdout + done.stderr
    )


@pytest.mark.slow
def test_a_rank_that_is_killed_ends_the_attempt_which_says_so(store_root: Path) -> None:
    run = start(store_root, TWO_ENDLESS).run
    wait_for_step(run, 2)
    pids, first = everything(run), ranks(run)
    kill(first[1])
    failed = wait_for_state(run, State.FAILED)
    assert f"the process of rank 1 (pid {first[1]}) has died" in failed.reason
    nothing_is_left(pids)

    pids = goes_on_to(run, failed.step + 1)  # from the start, or from a checkpoint
    first = ranks(run)
    kill(first[0])  # nobody else writes events: its supervisor tells what the other has noticed
    failed = wait_for_state(run, State.FAILED)
    nothing_is_left(pids)
    wait_until(lambda: f"the process of rank 0 (pid {first[0]}) has died" in look(run).reason, what=look(run).reason)


@pytest.mark.slow
def test_leaving_at_once_and_the_death_of_torchrun_leave_nothing(store_root: Path) -> None:
    run = start(store_root, TWO_ENDLESS).run
    wait_for_step(run, 2)
    pids = everything(run)
    stop(run, now=True)
    assert "left at once" in wait_for_state(run, State.STOPPED).reason
    nothing_is_left(pids)

    pids = goes_on_to(run, 2)
    kill(launched(run).trainer_pid)
    wait_for_state(run, State.STOPPED, State.KILLED)
    nothing_is_left(pids)


@pytest.mark.slow
def test_a_run_of_two_machines_waits_for_the_other_to_join(store_root: Path) -> None:
    values = TINY | {"parallel.nodes": 2, "train.max_steps": 8}
    run = start(store_root, values).run
    joined = heats("join", run.id, store=store_root)
    assert joined.returncode == 0, joined.stderr
    wait_for_state(run, State.FINISHED)
    assert launched(run).processes == 2
    again = heats("join", run.id, store=store_root)
    assert again.returncode == 2
    assert again.stderr.count("\n") <= 2
    assert "it is not running: it is finished" in again.stderr
