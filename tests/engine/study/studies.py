"""Study files and stores of their runs, for tests: runs that were only written down, and runs that really train."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from engine.config.sections import TaskConfig
from engine.launch import actions
from engine.store import queue
from engine.store.paths import RunPaths, Store
from engine.store.records import RunRecord, read_run, write_run
from engine.study.cells import find_cells
from engine.study.expand import Cell
from engine.study.spec import Study, read_study
from tests.support import TINY, wait_until
from tests.tui.cli.stores import add_attempt, log_event

METRIC = "val/loss"
ARMS = {"small": {"model.d_model": 16}, "large": {"model.d_model": 32}}


def write_study(folder: Path, name: str = "study", **changes: Any) -> Study:
    """A study of two arms and three seeds; what is given replaces entries, None removes them."""
    content = {
        "question": "Does it help?", "task": "multiplication",
        "hypothesis": {"better": "large", "than": "small", "metric": METRIC}, "base": TINY, "arms": ARMS,
        "seeds": [0, 1, 2], "budget": {"max_parallel": 2},
    } | changes  # fmt: skip
    path = folder / f"{name}.yaml"
    path.write_text(
        yaml.safe_dump({key: value for key, value in content.items() if value is not None}, sort_keys=False)
    )
    return read_study(path)


def trained_by(cell: Cell) -> TaskConfig:
    """The config of a cell that our engine trains."""
    assert isinstance(cell.config, TaskConfig)
    return cell.config


def make_cell_run(store: Store, study: Study, cell: Cell) -> RunPaths:
    """The run of a cell, without any attempt."""
    request = actions.LaunchRequest(study.spec.task, study=study.label, arm=cell.arm)
    return actions.make_run(store, request, cell.config)


def log_training(store: Store, study: Study, cell: Cell, figures: dict[int, float], last: str = "") -> RunPaths:
    """A run of a cell as the engine would have left it: evaluations by step, and its last word, if any."""
    run = make_cell_run(store, study, cell)
    attempt = add_attempt(run)
    log_event(attempt, "started")
    with attempt.metrics.open("a") as file:
        for step, value in figures.items():
            log_event(attempt, "evaluated", step, metrics={METRIC: value})
            file.write(f'{{"step": {step}, "time": 1.0, "{METRIC}": {value}}}\n')
    if last:
        log_event(attempt, last, max(figures, default=0), metrics={METRIC: figures[max(figures)]} if figures else {})
    return run


def finish(store: Store, study: Study, cell: Cell, value: float) -> RunPaths:
    """A finished run of a cell with this last figure."""
    return log_training(store, study, cell, {20: value + 1.0, 40: value}, "finished")


def set_commit(run: RunPaths, commit: str) -> None:
    """Let a run have been made with the code of another commit."""
    record = read_run(run.record)
    assert record is not None
    write_run(run.record, RunRecord(**(record.__dict__ | {"git_commit": commit})))


def standings(store: Store, study: Study) -> dict[str, str]:
    """By cell, how it stands."""
    return {state.cell.name: state.standing for state in find_cells(store, study)}


def wait_for_standings(store: Store, study: Study, *wanted: str, seconds: float = 240.0) -> dict[str, str]:
    """Wait until every cell stands in one of these ways."""

    def check() -> dict[str, str] | None:
        found = standings(store, study)
        return found if set(found.values()) <= set(wanted) else None

    try:
        found: dict[str, str] = wait_until(check, seconds)
    except AssertionError:
        raise AssertionError(f"still {standings(store, study)}") from None
    return found


def queued(store: Store) -> set[str]:
    """The ids of all runs that wait."""
    return {run_id for run_id in store.run_ids() if queue.read_entry(store.run(run_id)) is not None}
