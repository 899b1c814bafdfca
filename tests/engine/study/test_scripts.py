"""Studies over the flags of somebody's script."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.errors import HeatsError
from engine.store.metrics import RunHistory
from engine.store.paths import create_store
from engine.study.cells import find_cells
from engine.study.conclude import conclude
from engine.study.expand import check, expand
from engine.study.run import advance, begin
from engine.study.spec import Study, read_study
from tests.engine.tasks.exec.scripts import log_of, write
from tests.support import launched, wait_until

COMMAND = f"{sys.executable} train.py --steps 3 --lr {{lr}} --seed {{seed}}"


def study(folder: Path, **changes: Any) -> Study:
    content = {
        "question": "Is less more?", "task": "exec", "base": {"exec.command": COMMAND},
        "hypothesis": {"better": "low", "than": "high", "metric": "val/loss"},
        "arms": {"low": {"flags.lr": 0.1}, "high": {"flags.lr": 0.2}}, "seeds": [0, 1, 2],
        "budget": {"max_parallel": 2},
    } | changes  # fmt: skip
    path = folder / "rates.yaml"
    path.write_text(
        yaml.safe_dump({key: value for key, value in content.items() if value is not None}, sort_keys=False, width=1000)
    )
    return read_study(path)


def test_a_study_over_a_scripts_flags_runs_to_its_verdict(
    store_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEATS_SLOTS", "2")
    folder = write(tmp_path / "work")
    monkeypatch.chdir(folder)
    found, store = study(tmp_path), create_store(store_root)
    begin(store_root, found)
    monkeypatch.chdir(tmp_path)  # whoever goes on with it works elsewhere

    def done() -> bool:
        advance(store)
        return all(state.done for state in find_cells(store, found))

    wait_until(done, what=log_of(store_root))
    states = find_cells(store, found)
    assert {state.value("val/loss") for state in states} == {round(0.1 / 3, 6), round(0.2 / 3, 6)}
    assert {launched(state.run).folder for state in states if state.run} == {str(folder)}
    history = RunHistory(states[0].run)  # type: ignore[arg-type]
    history.refresh()
    assert list(history.series["train/loss"].steps) == [1, 2, 3]
    (judged,) = conclude(store, found).comparisons
    assert judged.word == "confirmed", judged.why


@pytest.mark.parametrize(
    ("changes", "line", "said"),
    [
        ({"base": {"exec.command": "python train.py --lr {rate} {seed}"}}, 4, "{rate}"),
        (
            {"base": {"exec.command": "python train.py {seed}"}},
            11,
            "`flags.lr` has a value, but the command has no {lr}",
        ),
        ({"base": {"exec.command": "python train.py --lr {lr}"}}, 4, "it has no {seed}"),
        ({"base": None}, 0, "`exec.command` is empty"),
        ({"base": {"exec.command": COMMAND, "flags.seed": 3}}, 5, "filled in by heats"),
        ({"base": {"exec.command": COMMAND, "lr": 3}}, 5, "did you mean `flags.lr`"),
    ],
)
def test_a_mistake_is_one_sentence_with_its_line(tmp_path: Path, changes: dict[str, Any], line: int, said: str) -> None:
    with pytest.raises(HeatsError) as raised:
        expand(study(tmp_path, **changes))
    assert said in str(raised.value)
    if line:
        assert f"line {line}" in str(raised.value)


def test_a_search_draws_whole_numbers_between_whole_numbers(tmp_path: Path) -> None:
    from engine.study import search
    from engine.study.expand import Arm

    command = f"{sys.executable} train.py --steps {{steps}} --lr {{lr}} --seed {{seed}}"
    space = {"flags.steps": {"low": 1, "high": 50}, "flags.lr": {"low": 1e-4, "high": 1e-1, "log": True}}
    found = study(
        tmp_path, base={"exec.command": command}, hypothesis=None, arms=None, metric="val/loss", mode="min",
        search={"method": "random", "trials": 5, "space": space},
    )  # fmt: skip
    check(found)
    arms = search.propose(found, Arm("", {}), [], 3)
    assert all(isinstance(arm.values["flags.steps"], int) for arm in arms)
    cells = expand(found, arms=arms)
    assert len(cells) == 9
    assert all(isinstance(arm.values["flags.lr"], float) and 1e-4 <= arm.values["flags.lr"] <= 0.1 for arm in arms)
