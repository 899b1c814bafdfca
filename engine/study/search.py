"""Searches through Optuna: each trial is an arm whose values were proposed by what earlier trials gave.

Nothing is kept beside the runs: Optuna's memory is rebuilt from their configs and metrics each time, so a search
survives whatever the runs survive.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from engine.errors import HeatsError
from engine.study.expand import Arm
from engine.study.spec import RangeSpec, Study

if TYPE_CHECKING:
    import optuna

LEAST_RIVALS = 3
"""A trial is ended only where it can be compared with so many others."""
_DRAWS = 50
"""So often a setting is drawn anew that was tried already; a small space may hold no other."""
_NAME = re.compile(r"(?:(?P<arm>.*),)?trial-(?P<number>\d+)")


@dataclass(frozen=True)
class Trial:
    """One setting that was tried: its values, what came of it (the mean over its seeds), and whether it is over."""

    number: int
    values: Mapping[str, Any]
    result: float | None
    state: Literal["complete", "pruned", "failed", "open"]


def trial_name(arm: str, number: int) -> str:
    """The arm of a trial: `trial-007`, or `adamw,trial-007` where a study searches for each of its arms."""
    return f"{arm},trial-{number:03d}" if arm else f"trial-{number:03d}"


def parse_name(name: str) -> tuple[str, int] | None:
    """The inverse of `trial_name`; None for another arm."""
    match = _NAME.fullmatch(name)
    return (match["arm"] or "", int(match["number"])) if match else None


def most_trials(study: Study) -> int:
    """How many trials each arm of a search has in the end: a grid may hold fewer than are allowed."""
    search = study.spec.search
    assert search is not None
    if search.method != "grid":
        return search.trials
    return min(search.trials, math.prod(len(space.values or []) for space in search.space.values()))


def propose(study: Study, arm: Arm, trials: Sequence[Trial], count: int) -> list[Arm]:
    """The next trials of an arm; empty once there are as many as the study allows.

    Args:
        study: with a search.
        arm: whose search; the empty name where the study has no arms.
        trials: all that were begun, by number.
        count: how many are wanted at most.

    Raises:
        HeatsError: the space can't be searched.
    """
    search = study.spec.search
    assert search is not None
    begun = 1 + max((trial.number for trial in trials), default=-1)
    wanted = min(count, most_trials(study) - begun)
    if wanted <= 0:
        return []
    if search.method == "grid":
        keys = list(search.space)
        rows = list(itertools.product(*(search.space[key].values or [] for key in keys)))[begun : begun + wanted]
        values = [dict(zip(keys, row, strict=True)) for row in rows]
    else:
        values = _ask(study, trials, wanted)
    return [
        Arm(trial_name(arm.name, begun + index), {**arm.values, **found}) for index, found in enumerate(values)
    ]  # fmt: skip


def _ask(study: Study, trials: Sequence[Trial], count: int) -> list[dict[str, Any]]:
    import optuna

    search = study.spec.search
    assert search is not None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    spaces = {key: _distribution(study, key, space) for key, space in search.space.items()}
    seed = search.seed * 10_007 + len(trials)  # another draw each time, and the same one when asked again
    if search.method == "random":
        sampler: optuna.samplers.BaseSampler = optuna.samplers.RandomSampler(seed=seed)
    else:
        sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True, n_startup_trials=max(5, search.trials // 4))
    direction = "maximize" if study.mode == "max" else "minimize"
    memory = optuna.create_study(sampler=sampler, direction=direction)
    states = {
        "complete": optuna.trial.TrialState.COMPLETE, "pruned": optuna.trial.TrialState.PRUNED,
        "failed": optuna.trial.TrialState.FAIL, "open": optuna.trial.TrialState.RUNNING,
    }  # fmt: skip
    for trial in trials:
        state = trial.state if trial.result is not None or trial.state != "complete" else "failed"
        with contextlib.suppress(ValueError):  # the space was changed since: that trial lies outside
            memory.add_trial(
                optuna.trial.create_trial(
                    params=dict(trial.values), distributions=spaces, state=states[state],
                    value=trial.result if state == "complete" else None,
                )
            )  # fmt: skip
    tried = [dict(trial.values) for trial in trials]
    found: list[dict[str, Any]] = []
    for _ in range(count):
        for _ in range(_DRAWS):  # trained again, a setting would only give the same result again
            values = dict(memory.ask(spaces).params)
            if values not in tried:
                break
        tried.append(values)
        found.append(values)
    return found


def _distribution(study: Study, key: str, space: RangeSpec) -> optuna.distributions.BaseDistribution:
    import optuna

    from engine.config.options import list_options
    from engine.config.tasks import config_class

    if space.values is not None:
        return optuna.distributions.CategoricalDistribution(space.values)
    assert space.low is not None
    assert space.high is not None
    kinds = {option.key: option.kind for option in list_options(config_class(study.spec.task))}
    # The flags of a script have no kind of their own: what lies between whole numbers is whole.
    whole = key not in kinds and isinstance(space.low, int) and isinstance(space.high, int)
    try:
        if kinds.get(key) == "integer" or whole:
            return optuna.distributions.IntDistribution(int(space.low), int(space.high), log=space.log)
        return optuna.distributions.FloatDistribution(space.low, space.high, log=space.log)
    except ValueError as error:
        raise HeatsError(f"`{key}` can't be searched ({error})", place=study.place("search", "space", key)) from None


def worse_than_median(
    points: Mapping[int, float], others: Sequence[Mapping[int, float]], mode: str, warmup_steps: int
) -> int | None:
    """The step at which a trial should be ended: its best value so far is worse than the median of the others' there.

    The median rule of Golovin and others 2017 (Vizier): it needs three others that came that far.

    Args:
        points: the trial's metric by step.
        others: the metric by step of trials that came before.
        mode: `min` or `max`.
        warmup_steps: nothing is ended before this step.
    """
    best = max if mode == "max" else min
    seen: list[float] = []
    for step in sorted(points):
        if points[step] == points[step]:
            seen.append(points[step])
        rivals = [other[step] for other in others if step in other and other[step] == other[step]]
        if step < warmup_steps or len(rivals) < LEAST_RIVALS:
            continue
        middle = statistics.median(rivals)
        if not seen or (best(seen) != middle and best(best(seen), middle) == middle):
            return step
    return None
