"""From a study's runs to its verdicts, and their record: one file each, never overwritten."""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import HeatsError, MachineError
from engine.store import checkpoints
from engine.store.compare import metric_differences
from engine.store.files import encode_number, read_json, write_atomic
from engine.store.paths import RunPaths, Store
from engine.study.cells import CellState, find_cells, study_folder
from engine.study.spec import Study
from engine.study.verdict import Comparison, Evidence, Hypothesis, judge


@dataclass(frozen=True)
class Conclusion:
    """All verdicts of a study at one moment, and the cells they rest on."""

    study: Study
    states: tuple[CellState, ...]
    comparisons: tuple[Comparison, ...]
    time: float
    commits: tuple[str, ...]


def conclude(store: Store, study: Study) -> Conclusion:
    """Judge a study's hypotheses by the runs that there are.

    Raises:
        HeatsError: the study file has a mistake, or it has no hypothesis.
    """
    if not study.spec.hypothesis:
        raise HeatsError("has no hypothesis to judge", place=str(study.file), remedy="give it `hypothesis`")
    return look(store, study)


def look(store: Store, study: Study) -> Conclusion:
    """The same for any study; without a hypothesis there are no verdicts in it.

    Raises:
        HeatsError: the study file has a mistake.
    """
    states = find_cells(store, study)
    comparisons = judge([_evidence(study, states, item) for item in study.hypotheses()])
    commits = sorted({state.commit for state in states if state.commit})
    return Conclusion(study, tuple(states), tuple(comparisons), time.time(), tuple(commits))


def _evidence(study: Study, states: Sequence[CellState], hypothesis: Hypothesis) -> Evidence:
    concerned = [state for state in states if state.cell.arm in (hypothesis.better, hypothesis.than)]
    allowed = study.spec.allow
    obstacles = []
    for standing in ("failed", "suspect"):
        names = [state.cell.name for state in concerned if state.standing == standing]
        if names and standing not in allowed:
            obstacles.append(f"{standing}: {', '.join(names)}")
    open_cells = [f"{state.cell.name} ({state.standing})" for state in concerned if not _ended(state)]
    if open_cells:
        obstacles.append(f"unfinished: {', '.join(open_cells)}")
    usable = [state for state in concerned if state.standing == "finished"]
    if "suspect" in allowed:
        usable += [state for state in concerned if state.standing == "suspect"]
    lacking = [state.cell.name for state in usable if _figure(study, state, hypothesis) is None]
    if lacking:
        obstacles.append(f"without {hypothesis.metric}: {', '.join(lacking)}")
    commits = {state.commit for state in usable}
    if (len(commits) > 1 or any("+" in commit for commit in commits if commit)) and "commits" not in allowed:
        words = ", ".join(sorted(_short(commit) for commit in commits))
        obstacles.append(f"trained by different commits: {words}")
    sides = {
        arm: {
            state.cell.seed: value
            for state in usable
            if state.cell.arm == arm and (value := _figure(study, state, hypothesis)) is not None
        }
        for arm in (hypothesis.better, hypothesis.than)
    }
    return Evidence(
        hypothesis, sides[hypothesis.better], sides[hypothesis.than],
        frozenset(_identical_seeds(usable, hypothesis)), tuple(obstacles),
    )  # fmt: skip


def _short(commit: str | None) -> str:
    return "+".join(part[:10] for part in commit.split("+")) if commit else "unknown"


def _ended(state: CellState) -> bool:
    return state.standing in ("finished", "suspect", "failed", "pruned")


def _figure(study: Study, state: CellState, hypothesis: Hypothesis) -> float | None:
    return state.value(hypothesis.metric, study.spec.value)


def _identical_seeds(usable: Sequence[CellState], hypothesis: Hypothesis) -> list[int]:
    """Seeds whose two runs are equal to the last bit. The cheap look (weights' digests) goes first."""
    found = []
    for one in usable:
        for other in usable:
            pair = one.cell.arm == hypothesis.better and other.cell.arm == hypothesis.than
            if pair and one.cell.seed == other.cell.seed and one.run and other.run and identical(one.run, other.run):
                found.append(one.cell.seed)
    return found


def identical(first: RunPaths, second: RunPaths) -> bool:
    """Whether final weights and all metric series of two runs are equal to the last bit."""
    weights = [_final_weights(run) for run in (first, second)]
    return weights[0] is not None and weights[0] == weights[1] and not metric_differences(first, second)


def _final_weights(run: RunPaths) -> tuple[int, str] | None:
    usable = [item for item in checkpoints.scan(run) if item.usable and "model" in item.digests]
    return (usable[-1].step, usable[-1].digests["model"]) if usable else None


def to_json(conclusion: Conclusion) -> dict[str, Any]:
    """The stable public form; non-finite numbers as the words of the store."""
    study = conclusion.study
    return {
        "schema": 1,
        "study": study.label,
        "question": study.spec.question,
        "file": str(study.file),
        "time": conclusion.time,
        "commits": list(conclusion.commits),
        "verdicts": [
            {"claim": item.hypothesis.sentence()} | _plain(dataclasses.asdict(item)) for item in conclusion.comparisons
        ],
        "cells": [
            {"arm": state.cell.arm, "seed": state.cell.seed, "standing": state.standing,
             "run": state.run.id if state.run else None}
            for state in conclusion.states
        ],
    }  # fmt: skip


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return encode_number(value)
    return value


def record(store: Store, conclusion: Conclusion) -> Path:
    """Write the verdicts as a new file of the study's folder; what the newest file says already isn't said twice.

    Raises:
        MachineError: the store can't be written.
    """
    folder = study_folder(store, conclusion.study) / "verdicts"
    folder.mkdir(parents=True, exist_ok=True)
    # Through JSON and back: tuples become lists, as they are in the file.
    content = json.loads(json.dumps(to_json(conclusion)))
    newest = max(folder.glob("*.json"), default=None, key=lambda path: (path.name[:15], len(path.name), path.name))
    before = read_json(newest) if newest is not None else None
    if newest is not None and before is not None and before | {"time": 0} == content | {"time": 0}:
        return newest
    stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(conclusion.time))
    number = 0
    while True:
        path = folder / f"{stamp}{f'-{number}' if number else ''}.json"
        try:
            path.open("xb").close()  # the claim: two who judge within the same second get two files
            break
        except FileExistsError:
            number += 1
        except OSError as error:
            raise MachineError(f"can't be written ({error.strerror})", place=str(path)) from error
    write_atomic(path, (json.dumps(content, indent=1) + "\n").encode())
    return path
