"""Requests are dropped by people and read by the engine; asking again changes nothing for the worse."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import MachineError
from engine.store.paths import RunPaths
from engine.store.requests import (
    clear,
    read_stop,
    request_checkpoint,
    request_stop,
    take_checkpoint_request,
)
from tests.engine.store.made import make_run, make_store


@pytest.fixture
def run(store_root: Path) -> RunPaths:
    return make_run(make_store(store_root))


def test_a_stop_request_is_read_as_written(run: RunPaths) -> None:
    assert read_stop(run) is None
    request = request_stop(run, 2)
    assert read_stop(run) == request
    assert (request.attempt, request.now) == (2, False)


def test_asking_again_keeps_the_time_of_the_first_request(run: RunPaths) -> None:
    first = request_stop(run, 1)
    again = request_stop(run, 1, now=True)
    assert again.time == first.time
    assert again.now


def test_asking_again_kindly_never_takes_back_now(run: RunPaths) -> None:
    request_stop(run, 1, now=True)
    assert request_stop(run, 1).now


def test_a_request_to_an_earlier_attempt_does_not_date_the_new_one(run: RunPaths) -> None:
    first = request_stop(run, 1, now=True)
    second = request_stop(run, 2)
    assert second.time > first.time
    assert not second.now


@pytest.mark.parametrize("content", ["", "{", "[]", '{"attempt": "1", "time": 2}', '{"time": 2}'])
def test_a_damaged_stop_request_is_none_and_can_be_renewed(run: RunPaths, content: str) -> None:
    (run.requests / "stop.json").write_text(content)
    assert read_stop(run) is None
    assert request_stop(run, 1).attempt == 1
    assert read_stop(run) is not None


def test_a_checkpoint_request_is_taken_once(run: RunPaths) -> None:
    assert not take_checkpoint_request(run.requests)
    request_checkpoint(run)
    request_checkpoint(run)
    assert take_checkpoint_request(run.requests)
    assert not take_checkpoint_request(run.requests)


def test_clearing_forgets_all_requests_and_may_be_repeated(run: RunPaths) -> None:
    request_stop(run, 1)
    request_checkpoint(run)
    clear(run)
    clear(run)
    assert read_stop(run) is None
    assert not take_checkpoint_request(run.requests)


def test_requests_work_where_their_folder_was_deleted(run: RunPaths) -> None:
    run.requests.rmdir()
    assert read_stop(run) is None
    clear(run)
    request_stop(run, 1)
    assert read_stop(run) is not None


def test_a_request_to_a_run_that_is_gone_is_a_machine_error(tmp_path: Path) -> None:
    with pytest.raises(MachineError):
        request_stop(RunPaths(tmp_path / "gone"), 1)
    (tmp_path / "requests").write_text("")
    with pytest.raises(MachineError):
        request_checkpoint(RunPaths(tmp_path))
