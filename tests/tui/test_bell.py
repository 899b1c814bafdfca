"""The bell rings for what happens while somebody looks, and for nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.store.paths import Store
from engine.store.status import State
from engine.store.summary import RunSummary, summarize
from tests.tui.cli.stores import finished_run, make_store
from tui.bell import any_news, is_news, wants_bell


@pytest.fixture
def run(tmp_path_factory: pytest.TempPathFactory) -> RunSummary:
    store: Store = make_store(tmp_path_factory.mktemp("store"))
    summary = summarize(finished_run(store))
    assert summary is not None
    return replace(summary, status=State.RUNNING)


def test_an_end_and_a_new_alert_are_news(run: RunSummary) -> None:
    assert is_news(run, replace(run, status=State.FAILED))
    assert is_news(run, replace(run, alerts=("the loss exploded",)))
    assert not is_news(run, replace(run, status=State.STALLED, step=99))
    assert not is_news(replace(run, status=State.FAILED), replace(run, status=State.FAILED))
    assert not is_news(replace(run, status=State.STOPPED), run), "a resume isn't"


def test_what_is_seen_for_the_first_time_is_no_news(run: RunSummary) -> None:
    ended = replace(run, status=State.FAILED, alerts=("x",))
    assert not any_news(None, [ended])
    assert not any_news([run], [run, replace(ended, id="another")])
    assert any_news([run], [replace(run, id="another"), ended])


def test_the_environment_says_who_always_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HEATS_BELL", raising=False)
    assert not wants_bell()
    for text, wanted in (("1", True), ("0", False), ("", False)):
        monkeypatch.setenv("HEATS_BELL", text)
        assert wants_bell() is wanted
