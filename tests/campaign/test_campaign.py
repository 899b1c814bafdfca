"""Short versions of both campaigns, with the same draws in every run; `make campaign` is the long one."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.campaign.cast import Cast
from tests.campaign.damage import damage_campaign
from tests.campaign.kills import CONFIG, Deck, kill_runs
from tests.campaign.truth import facts, watch_status
from tests.campaign.wounds import KINDS, wounded
from tests.support import ENDLESS, start


def test_no_damage_raises_hangs_or_is_resumed_from(store_root: Path) -> None:
    report = damage_campaign(store_root, 100, random.Random(1), real=False)
    assert report["broken"] == []


@pytest.mark.parametrize("kind", KINDS)
def test_each_wound_changes_the_file_and_heals(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "file.json"
    path.write_bytes(b'{"a": 1}' * 2000)
    changed = []
    for seed in range(5):
        with wounded(path, kind, random.Random(seed)) as differs:
            changed.append(differs)
            assert differs == (not path.is_file() or path.read_bytes() != b'{"a": 1}' * 2000)
    assert any(changed)
    assert path.read_bytes() == b'{"a": 1}' * 2000


def test_targets_come_up_equally_often_and_every_moment_is_aimed_at() -> None:
    deck = Deck(random.Random(3))
    drawn = [deck.draw(launched=False) for _ in range(300)]
    assert Counter(target for target, _ in drawn) == {"trainer": 100, "supervisor": 100, "both": 100}
    assert min(Counter(moment for _, moment in drawn).values()) >= 20
    assert ("trainer", "supervisor starting") not in drawn


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_killed_runs_tell_the_truth_and_end_as_if_nothing_had_been(store_root: Path) -> None:
    config = CONFIG | {"train.max_steps": 60, "evaluation.every": 20}
    reference = start(store_root.with_name("undisturbed"), config).run
    said: list[dict[str, Any]] = []
    report = kill_runs(store_root, 3, random.Random(5), reference, said.append, config)
    assert report["broken"] == []
    assert report["kills"] == len(said) == 3


def test_the_campaign_notices_a_lie(store_root: Path) -> None:
    # A status that is wrong must not pass: here the run's own words are forged under a living trainer.
    run = start(store_root, ENDLESS).run
    cast = Cast(run, run.attempts()[-1])
    try:
        cast.refresh()
        assert facts(cast).trainer == {True}
        for process in cast.known.values():
            process.killed = False
        launch = cast.attempt.launch
        launch.write_text(launch.read_text().replace('"trainer_ticks": ', '"trainer_ticks": 1'))
        assert cast.kill("trainer") == 0, "the record names another process: it is left alone"
        assert cast.kill("supervisor") == 1
        assert any("where the truth is" in one for one in watch_status(cast))
    finally:
        cast.end()
