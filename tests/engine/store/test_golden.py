"""A store as version 0.1 wrote it must keep listing, whatever later versions write.

Never edit `golden/schema-1`: when the schema changes, add a folder beside it.
"""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import pytest

from engine.store.index import list_runs
from engine.store.metrics import RunHistory
from engine.store.names import find_run
from engine.store.paths import Store, open_store
from engine.store.records import read_exit, read_launch
from engine.store.status import State
from engine.store.stored_config import training_config
from engine.store.summary import RunSummary

GOLDEN = Path(__file__).parent / "golden" / "schema-1"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    shutil.copytree(GOLDEN, tmp_path / "runs")
    return open_store(tmp_path / "runs")


def by_name(store: Store) -> dict[str, RunSummary]:
    return {found.name: found for found in list_runs(store)}


def test_the_old_store_lists_in_place_and_stays_untouched() -> None:
    before = {path: path.read_bytes() for path in GOLDEN.rglob("*") if path.is_file()}
    listed = list_runs(open_store(GOLDEN))
    assert [found.problems for found in listed] == [()] * 4
    assert {path: path.read_bytes() for path in GOLDEN.rglob("*") if path.is_file()} == before


def test_every_old_run_has_the_state_it_had(store: Store) -> None:
    assert store.id == "a1b2c3d4e5f6"
    for _ in range(2):  # from the folders, then from the index
        assert {name: (found.status, found.reason) for name, found in by_name(store).items()} == {
            "simple-d16-l4": (State.FINISHED, "finished at step 40"),
            "diverged": (State.FAILED, "failed at step 5: 20 optimizer steps in a row were skipped"),
            "killed": (State.KILLED, "killed by SIGKILL, by the stop ladder's last rung (kill)"),
            "silent": (State.SILENT, "on old-box, its next sign of life is overdue"),
        }


def test_old_facts_read_as_they_were_written(store: Store) -> None:
    found = by_name(store)["simple-d16-l4"]
    assert (found.step, found.total_steps, found.attempts) == (40, 40, 2)
    assert found.metrics == {"val/loss": 0.25, "val/exact_match": 0.75, "train/loss": 1.05, "train/lr": 0.001}
    assert found.best == {"step": 40.0, "val/loss": 0.25}
    assert (found.tags, found.note, found.star) == (("first",), "the reference", True)
    assert (found.study, found.arm, found.seed, found.created) == ("width", "small", 0, 1767323045.0)
    diverged = by_name(store)["diverged"]
    assert math.isnan(diverged.metrics["train/loss"])
    assert diverged.alerts == ("a step was skipped: loss or gradient not finite (1 so far, 1 in a row)",)


def test_an_old_curve_over_two_attempts_is_continuous(store: Store) -> None:
    history = RunHistory(find_run(store, "a1b2"))
    history.refresh()
    series = history.series["train/loss"]
    assert list(series.steps) == list(range(1, 41))
    assert (series.values[19], series.values[20]) == (0.1, 1.0952)


def test_an_old_runs_config_and_records_read(store: Store) -> None:
    run = find_run(store, "a1b2")
    config = training_config(run)
    assert (config.train.max_steps, config.optim.lr, config.seed) == (40, 0.0005, 0)
    launch = read_launch(run.attempt(2).launch)
    assert launch is not None
    assert launch.resumed_from_checkpoint == "step-00000020"
    exit_record = read_exit(run.attempt(1).exit)
    assert exit_record is not None
    assert exit_record.code == 0
