"""Mistakes around launching are one sentence and leave nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.config.resolve import resolve
from engine.config.tasks import config_class
from engine.errors import HeatsError
from engine.launch.actions import LaunchRequest, make_run, resume
from engine.launch.ladder import Ladder, Rung
from engine.launch.linger import logout_warning
from engine.store.paths import create_store
from tests.support import TINY, start


@pytest.mark.parametrize("value", ["abc", "inf", "nan", "-3"])
def test_a_bad_grace_is_one_sentence_and_makes_no_run(
    store_root: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("HEATS_GRACE_SECONDS", value)
    with pytest.raises(HeatsError, match="HEATS_GRACE_SECONDS"):
        start(store_root)
    assert not store_root.exists()


def test_a_run_without_a_loss_scale_has_none_to_reset(store_root: Path) -> None:
    config = resolve(config_class("multiplication"), TINY | {"precision.dtype": "fp32"})
    run = make_run(create_store(store_root), LaunchRequest("multiplication"), config)
    with pytest.raises(HeatsError, match="no loss scale to reset: it trains in fp32"):
        resume(run, reset_scaler=True)
    assert run.attempts() == []


def test_the_ladder_gives_each_rung_its_time() -> None:
    ladder = Ladder(grace_seconds=10, leave_seconds=2)
    climbed = [(second, ladder.climb(float(second))) for second in range(16)]
    assert [(second, rung) for second, rung in climbed if rung is not None] == [
        (0, Rung.CHECKPOINT), (10, Rung.LEAVE), (12, Rung.KILL), (13, Rung.KILL), (14, Rung.KILL), (15, Rung.KILL),
    ]  # fmt: skip


def test_now_skips_the_first_rung_and_never_climbs_down() -> None:
    ladder = Ladder(grace_seconds=100, leave_seconds=2)
    assert ladder.climb(0.0) is Rung.CHECKPOINT
    assert ladder.climb(1.0, now=True) is Rung.LEAVE
    assert ladder.climb(2.0, now=True) is None
    assert ladder.climb(3.0, now=True) is Rung.KILL


def test_a_machine_that_ends_processes_at_logout_is_named_with_the_cure(tmp_path: Path) -> None:
    settings, lingers = tmp_path / "systemd", tmp_path / "linger"
    (settings / "logind.conf.d").mkdir(parents=True)
    lingers.mkdir()
    assert logout_warning(settings, lingers) is None
    (settings / "logind.conf").write_text("[Login]\n#KillUserProcesses=no\n")
    assert logout_warning(settings, lingers) is None
    (settings / "logind.conf.d" / "site.conf").write_text("[Login]\nKillUserProcesses=yes\n")
    warning = logout_warning(settings, lingers)
    assert warning is not None
    assert "enable-linger" in warning
    import getpass

    (lingers / getpass.getuser()).touch()
    assert logout_warning(settings, lingers) is None
