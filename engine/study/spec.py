"""A study file: a question, its arms, seeds, metric and decision rule. Every mistake is one sentence with its line."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError, field_validator

from engine.config.options import nearest
from engine.config.resolve import flatten
from engine.config.sections import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, Section
from engine.config.tasks import config_class, task_package
from engine.config.yaml_file import Lines, read_mapping
from engine.errors import HeatsError
from engine.study.verdict import Hypothesis

Mode = Literal["min", "max"]
Obstacle = Literal["failed", "suspect", "commits"]


class HypothesisSpec(Section):
    """What is claimed: `better` beats `than` in `metric` by at least `by`."""

    better: str
    """The arm that should be better."""
    than: str | list[str]
    """The arm, or arms, that it should beat."""
    metric: str
    """Which metric decides, such as val/exact_match."""
    mode: Mode = "min"
    """Whether less or more of it is better."""
    by: NonNegativeFloat = 0.0
    """By how much at least, in the metric's own unit; less than that doesn't matter to the question."""


class BudgetSpec(Section):
    """How much may run at once, and when to give up."""

    max_parallel: PositiveInt = 1
    """Runs at once."""
    stop_after_failures: PositiveInt = 3
    """Halt after so many runs in a row failed early in the same way."""


class RangeSpec(Section):
    """Where a search may look for the value of one option."""

    low: int | float | None = None
    """The least value."""
    high: int | float | None = None
    """The greatest value."""
    log: bool = False
    """Whether values are drawn on a logarithmic scale."""
    values: list[Any] | None = None
    """Instead of a range: the values to choose from."""


class SearchSpec(Section):
    """A search for the best values of some options, by Optuna."""

    method: Literal["grid", "random", "tpe"] = "tpe"
    """grid tries all `values`; random draws; tpe learns from earlier trials (Bergstra and others 2011)."""
    trials: PositiveInt = 20
    """How many settings are tried."""
    space: dict[str, RangeSpec] = Field(min_length=1)
    """By option, where to look."""
    prune: Literal["none", "median"] = "none"
    """median ends a trial that is worse at an evaluation than the median of the earlier trials there."""
    warmup_steps: NonNegativeInt = 0
    """No trial is ended before this step."""
    seed: NonNegativeInt = 0
    """Governs what is drawn."""


class StudySpec(Section):
    """The whole file."""

    question: str
    """What the study asks, in one sentence."""
    task: str
    """Which task its runs train."""
    hypothesis: list[HypothesisSpec] = Field(default=[])
    """What is claimed; one, several, or none for a study that only looks."""
    metric: str | None = None
    """The metric to show where there is no hypothesis."""
    mode: Mode = "min"
    """Whether less or more of it is better."""
    value: Literal["last", "best"] = "last"
    """A run counts by its last evaluation or by its best one."""
    base: dict[str, Any] = Field(default={})
    """Options that all runs share."""
    arms: dict[str, dict[str, Any]] = Field(default={})
    """By name, the options that an arm changes."""
    factors: dict[str, list[Any]] = Field(default={})
    """By option, the values of a full grid: every combination is an arm."""
    zip: dict[str, list[Any]] = Field(default={})
    """By option, paired lists of equal length: the first of each make the first arm, and so on."""
    seeds: list[NonNegativeInt] = Field(default=[0, 1, 2, 3, 4], min_length=1)
    """Each arm is trained with each of these."""
    budget: BudgetSpec = BudgetSpec()
    needs: dict[str, str] = Field(default={})
    """Options whose values come from elsewhere: `STUDY#best`, `STUDY#best:KEY`, `STUDY#run`, `STUDY#run:ARM`. With
    `@KEY` at its end, as in `rates#best@optim.name`, the best of those arms whose KEY is that of the arm in need."""
    search: SearchSpec | None = None
    allow: list[Obstacle] = Field(default=[])
    """What doesn't bar a verdict: failed or suspect runs (left out), runs trained by different commits."""
    target: float | None = None
    """A value of the metric: the report says after how many steps and seconds runs reach it."""
    references: dict[str, str] = Field(default={})
    """By name, further metrics whose means the report draws as lines beside the arms, such as what a guess achieves."""
    maps: list[str] = Field(default=[])
    """Names of metrics with two `*`, such as val/perplexity_*_layer*: the report draws them as grids, the first `*`
    down and the second across."""
    presets: dict[str, dict[str, Any]] = Field(default={})
    """Variants by name, such as a small `smoke`: what they give replaces what stands above."""
    time_limit_hours: PositiveFloat | None = None
    """For queues that want to know how long a run may take."""

    @field_validator("hypothesis", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, Mapping) else value

    @field_validator("seeds", mode="before")
    @classmethod
    def _true_is_no_seed(cls, value: Any) -> Any:
        if isinstance(value, list) and any(isinstance(seed, bool) for seed in value):  # pydantic would take it as 1
            raise ValueError("a seed is a whole number")
        return value

    @field_validator("seeds")
    @classmethod
    def _no_seed_twice(cls, value: list[int]) -> list[int]:
        twice = {seed for seed in value if value.count(seed) > 1}
        if twice:
            raise ValueError(f"seed {min(twice)} is given twice")
        return value


@dataclass(frozen=True)
class Study:
    """A study file as read, with one of its presets applied."""

    name: str
    file: Path
    spec: StudySpec
    lines: Lines
    preset: str | None = None

    @property
    def label(self) -> str:
        """What its runs call it: the file's name, and the preset where there is one."""
        return f"{self.name}.{self.preset}" if self.preset else self.name

    def place(self, *keys: str | int) -> str:
        """Where an entry stands, for messages: the file and the line of the entry, or of what holds it."""
        path = tuple(str(key) for key in keys)
        homes = (("presets", self.preset), ()) if self.preset else ((),)
        while path:
            for home in homes:
                line = self.lines.get((*home, *path))
                if line is not None:
                    return f"{self.file}, line {line}"
            path = path[:-1]
        return str(self.file)

    def hypotheses(self) -> list[Hypothesis]:
        """The claims, one a pair of arms."""
        found = []
        for item in self.spec.hypothesis:
            rivals = [item.than] if isinstance(item.than, str) else item.than
            found += [Hypothesis(item.better, than, item.metric, item.mode, item.by) for than in rivals]
        return found

    @property
    def metric(self) -> str | None:
        """The metric that counts."""
        return self.spec.hypothesis[0].metric if self.spec.hypothesis else self.spec.metric

    @property
    def mode(self) -> Mode:
        """Whether less or more of it is better."""
        return self.spec.hypothesis[0].mode if self.spec.hypothesis else self.spec.mode


def read_study(path: Path, preset: str | None = None) -> Study:
    """Read and check a study file.

    Args:
        path: the file.
        preset: which of its presets to apply.

    Raises:
        HeatsError: with file, line and key: an unknown key, a wrong value, an unknown task, preset or metric.
    """
    content, lines = read_mapping(path, "study file")
    whole = Study(path.stem, path, StudySpec.model_construct(), lines)
    presets = _presets(whole, content)
    if preset is not None:
        if preset not in presets:
            near = nearest(preset, list(presets))
            remedy = f"did you mean `{near}`?" if near else f"there are: {', '.join(presets) or 'none'}"
            raise HeatsError(f"there is no preset `{preset}`", place=whole.place("presets"), remedy=remedy)
        content = _over(content, presets[preset])
    try:
        spec = StudySpec.model_validate(content)
    except ValidationError as error:
        raise _first_problem(error, path, lines, preset) from None
    study = Study(path.stem, path, spec, lines, preset)
    _check(study)
    return study


def _presets(study: Study, content: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The presets of a file by name. A misspelt key is refused in those too that nobody asks for now.

    Raises:
        HeatsError: with its line.
    """
    presets = content.get("presets") or {}
    if not isinstance(presets, dict):
        raise HeatsError("`presets` must hold `NAME: {...}` lines", place=study.place("presets"))
    for name, over in presets.items():
        if not isinstance(over, dict):
            raise HeatsError(f"preset `{name}` must hold `key: value` lines", place=study.place("presets", str(name)))
        for key in over:
            if key not in StudySpec.model_fields or key == "presets":
                near = nearest(str(key), list(StudySpec.model_fields))
                remedy = f"did you mean `{near}`?" if near else None
                place = study.place("presets", str(name), str(key))
                raise HeatsError(f"unknown key `{key}` in the preset {name}", place=place, remedy=remedy)
    return {str(name): over for name, over in presets.items()}


def _over(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """A preset's entries replace those of the file; `base`, `budget`, `search` and `needs` are changed key by key."""
    merged = dict(base)
    for key, value in over.items():
        if key == "base" and isinstance(value, Mapping) and isinstance(base.get(key), Mapping):
            merged[key] = flatten(base[key]) | flatten(value)  # either may be nested or dotted
        elif key in ("budget", "search", "needs") and isinstance(value, Mapping):
            together = {**(base.get(key) or {}), **value}
            merged[key] = {name: given for name, given in together.items() if given is not None}  # null takes it away
        else:
            merged[key] = value
    return merged


def _first_problem(error: ValidationError, path: Path, lines: Lines, preset: str | None) -> HeatsError:
    problems = error.errors()
    # A misspelt key is also a missing one: the misspelling says more.
    problem = next((item for item in problems if item["type"] == "extra_forbidden"), problems[0])
    keys = [str(part) for part in problem["loc"]]
    study = Study(path.stem, path, StudySpec.model_construct(), lines, preset)
    alone = keys[:2] == ["hypothesis", "0"] and ("hypothesis", "0") not in lines  # one alone has no number
    shown = ["hypothesis", *keys[2:]] if alone else keys
    key = ".".join(shown)
    message = _SAID.get(problem["type"], problem["msg"].removeprefix("Value error, ").removeprefix("Input "))
    if problem["type"] == "extra_forbidden":
        near = nearest(keys[-1], _known_keys(keys[:-1]))
        remedy = f"did you mean `{near}`?" if near else None
        return HeatsError(f"unknown key `{key}`", place=study.place(*keys), remedy=remedy)
    if problem["type"] == "missing":
        return HeatsError(f"`{key}` is missing", place=study.place(*keys))
    joint = " " if problem["type"] in _SAID else ": "
    return HeatsError(f"`{key}`{joint}{message}", place=study.place(*keys))


_SAID = {
    "dict_type": "must hold `key: value` lines; {} is none",
    "list_type": "must be a list, such as [0, 1, 2]",
    "too_short": "is empty",
}
"""What pydantic says in its own words of what is no mapping, no list, or empty."""


def _known_keys(parents: list[str]) -> list[str]:
    """The keys that are right where an unknown one stands."""
    inside: dict[str, type[BaseModel]] = {
        "hypothesis": HypothesisSpec, "budget": BudgetSpec, "search": SearchSpec, "space": RangeSpec,
    }  # fmt: skip
    named = [part for part in parents if part in inside]
    return list((inside[named[-1]] if named else StudySpec).model_fields)


def _check(study: Study) -> None:
    spec = study.spec
    try:
        task_package(spec.task)
    except HeatsError as error:
        raise HeatsError(error.message, place=study.place("task"), remedy=error.remedy) from None
    for index, item in enumerate(spec.hypothesis):
        check_metric(study, item.metric, "hypothesis", index, "metric")
    if spec.metric is not None:
        check_metric(study, spec.metric, "metric")
    for name, metric in spec.references.items():
        check_metric(study, metric, "references", name)
    for index, metric in enumerate(spec.maps):
        if metric.count("*") != 2:
            raise HeatsError(f"`{metric}` needs two `*`, for rows and columns", place=study.place("maps", index))
        check_metric(study, metric, "maps", index)
    _check_claims(study)
    if spec.search is not None:
        _check_search(study, spec.search)


def _check_claims(study: Study) -> None:
    claims = set()
    for index, item in enumerate(study.spec.hypothesis):
        rivals = [item.than] if isinstance(item.than, str) else item.than
        place = study.place("hypothesis", index, "than")
        if not rivals:
            raise HeatsError("`hypothesis.than` is empty", place=place, remedy="name the arm that should be beaten")
        for than in rivals:
            claim = (item.better, than, item.metric)
            if claim in claims:  # counted twice, it would make Holm's correction of all others too strict
                raise HeatsError(f"{item.better} is compared with {than} twice", place=place, remedy="keep one of them")
            claims.add(claim)


def _check_search(study: Study, search: SearchSpec) -> None:
    if study.spec.hypothesis:
        raise HeatsError(
            "a search makes no claim about arms", place=study.place("hypothesis"),
            remedy="give it `metric` and `mode`, and test what it finds in a study of its own that `needs` it",
        )  # fmt: skip
    if study.metric is None:
        raise HeatsError("a search needs `metric`", place=study.place("search"), remedy="name the metric to search by")
    for key, space in search.space.items():
        place = study.place("search", "space", key)
        low, high = space.low, space.high
        ranged = low is not None and high is not None
        if ranged == (space.values is not None):
            raise HeatsError(f"`{key}` needs low and high, or values", place=place)
        if space.values == []:
            raise HeatsError(f"`{key}` has no values: the grid is empty", place=place)
        if low is not None and high is not None and low >= high:
            raise HeatsError(f"`{key}`: low ({low:g}) must be less than high ({high:g})", place=place)
        if low is not None and space.log and low <= 0:
            raise HeatsError(f"`{key}`: a logarithmic scale needs low above 0, not {low:g}", place=place)
        if ranged and search.method == "grid":
            raise HeatsError(f"a grid needs values for `{key}`", place=place)


def check_metric(study: Study, metric: str, *keys: str | int) -> None:
    """Refuse a metric that the task doesn't log.

    Raises:
        HeatsError: with the nearest right name. Nothing is said for tasks that don't name their metrics.
    """
    known = config_class(study.spec.task).metrics
    if not known or any(fnmatch.fnmatchcase(metric, pattern) for pattern in known):
        return
    near = nearest(metric, [name for name in known if "*" not in name])
    remedy = f"did you mean `{near}`?" if near else f"it logs {', '.join(known)}"
    place = study.place(*keys)
    raise HeatsError(f"the task {study.spec.task} logs no metric `{metric}`", place=place, remedy=remedy)
