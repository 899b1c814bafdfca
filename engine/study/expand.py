"""From a study to its cells: every arm with every seed, each a resolved config known by its hash. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from engine.config.options import find_option, list_options
from engine.config.resolve import config_hash, flatten, resolve
from engine.config.sections import RunConfig
from engine.config.tasks import config_class
from engine.errors import HeatsError
from engine.study.spec import Study

_MOST_CELLS = 100_000


@dataclass(frozen=True)
class Arm:
    """One setting of a study's factors: options by dotted key."""

    name: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Cell:
    """One arm with one seed: a run that is there, or should be."""

    arm: str
    seed: int
    config: RunConfig
    needs: tuple[str, ...] = ()
    """Options whose values are still missing because what they come from hasn't finished."""

    @cached_property
    def hash(self) -> str:
        """Equal exactly for equal configs."""
        return config_hash(self.config)

    @property
    def name(self) -> str:
        """As `latent/3`: the arm and the seed."""
        return f"{self.arm}/{self.seed}"


def arms_of(study: Study) -> list[Arm]:
    """The arms: those named, times the grid of `factors`, times the rows of `zip`.

    Raises:
        HeatsError: there are none, lists are empty or of unequal length, or one key is given in two places.
    """
    spec = study.spec
    named = [Arm(name, flatten(values, place=study.place("arms", name))) for name, values in spec.arms.items()]
    parts: list[list[Arm]] = [named] if named else []
    for key, values in spec.factors.items():
        if not values:
            raise HeatsError(f"the factor `{key}` has no values: the grid is empty", place=study.place("factors", key))
        _refuse_repeats(study, key, values)
        parts.append([Arm(f"{short_key(key, spec.factors)}={_text(value)}", {key: value}) for value in values])
    if spec.zip:
        parts.append(_zipped(study))
    if not parts:
        if spec.search is not None:
            return []
        raise HeatsError("the study has no arms", place=str(study.file), remedy="give it `arms`, `factors` or `zip`")
    found = []
    for row in itertools.product(*parts):
        together: dict[str, Any] = {}
        for arm in row:
            for key in together.keys() & arm.values.keys():
                raise HeatsError(f"`{key}` is both in an arm and a factor", place=study.place("factors", key))
            together |= arm.values
        found.append(Arm(",".join(arm.name for arm in row), together))
    if len(found) * len(spec.seeds) > _MOST_CELLS:
        raise HeatsError(f"{len(found) * len(spec.seeds):,} cells are too many", place=str(study.file))
    return found


def expand(
    study: Study,
    needed: Mapping[tuple[str, int], Mapping[str, Any]] | None = None,
    arms: Sequence[Arm] | None = None,
) -> list[Cell]:
    """All cells of a study, arm by arm within each seed, so that an early stop leaves whole pairs.

    Args:
        study: which study.
        needed: by arm and seed the values of the options under `needs`; those missing keep their defaults, and the
            cell says which.
        arms: instead of the study's own: the trials of a search.

    Raises:
        HeatsError: a wrong key or value, with its line; a hypothesis about an arm that isn't there; two equal arms.
    """
    trials = arms is not None
    if arms is None:
        arms = arms_of(study)
        _check_names(study, arms)
    base = flatten(study.spec.base, place=study.place("base"))
    if "seed" in base:
        raise HeatsError("`seed` belongs under `seeds`", place=study.place("base", "seed"))
    _check_needs(study)
    cells = [
        _cell(study, arm, seed, base, (needed or {}).get((_home(arm.name) if trials else arm.name, seed), {}))
        for seed in study.spec.seeds
        for arm in arms
    ]
    _refuse_equal_seeds(study, cells)
    if not trials:  # a search may draw the same setting twice
        _refuse_equal_arms(study, cells)
    return cells


def check(study: Study) -> None:
    """Refuse a study file with a mistake; reads no store. Of a search both ends of every option's space are tried.

    Raises:
        HeatsError: as `expand`.
    """
    search = study.spec.search
    if search is None:
        expand(study)
        return
    ends = [
        {key: (space.values or [space.low, space.high])[place] for key, space in search.space.items()}
        for place in (0, -1)
    ]
    for arm in arms_of(study) or [Arm("", {})]:
        for values in ends:
            expand(study, arms=[Arm(arm.name, {**arm.values, **values})])


def _home(trial: str) -> str:
    """The arm whose search a trial belongs to."""
    from engine.study.search import parse_name

    parsed = parse_name(trial)
    return parsed[0] if parsed is not None else trial


def _check_needs(study: Study) -> None:
    """Refuse a need for an option that the task doesn't have, before anything is trained to fill it."""
    from engine.config.options import nearest

    if not study.spec.needs:
        return
    options = {option.key: option for option in list_options(config_class(study.spec.task))}
    for key in study.spec.needs:
        if find_option(key, options) is None:
            near = nearest(key, list(options))
            remedy = f"did you mean `{near}`?" if near else None
            raise HeatsError(f"unknown option `{key}`", place=study.place("needs", key), remedy=remedy)


def _cell(study: Study, arm: Arm, seed: int, base: Mapping[str, Any], needed: Mapping[str, Any]) -> Cell:
    values = {**base, **arm.values, **needed, "seed": seed}
    missing = tuple(key for key in study.spec.needs if key not in needed)
    options = {option.key: option for option in list_options(config_class(study.spec.task))} if missing else {}
    # What has no default stands empty until it comes; nothing is launched before.
    values = {key: "" for key in missing if key not in options and find_option(key, options)} | values
    try:
        config = resolve(config_class(study.spec.task), values)
    except HeatsError as error:
        raise HeatsError(error.message, place=_blame(study, arm, error.message), remedy=error.remedy) from None
    return Cell(arm.name, seed, config, missing)


def _blame(study: Study, arm: Arm, message: str) -> str:
    """Where the key stands that a message of `resolve` names in backquotes."""
    parts = message.split("`")
    key = parts[1] if len(parts) > 2 else ""
    dotted = key.split(".")
    for home in (("arms", arm.name), ("factors",), ("zip",), ("search", "space"), ("base",), ("needs",)):
        for path in ((*home, key), (*home, *dotted)):
            if path in study.lines or (study.preset and ("presets", study.preset, *path) in study.lines):
                return study.place(*path)
    return study.place("arms", arm.name)


def _check_names(study: Study, arms: list[Arm]) -> None:
    from engine.config.options import nearest

    names = [arm.name for arm in arms]
    for index, item in enumerate(study.spec.hypothesis):
        rivals = [item.than] if isinstance(item.than, str) else item.than
        for key, wanted in [("better", item.better), *(("than", name) for name in rivals)]:
            if wanted not in names:
                near = nearest(wanted, names)
                remedy = f"did you mean `{near}`?" if near else f"there are: {', '.join(names[:10])}"
                path = ("hypothesis", key) if ("hypothesis", key) in study.lines else ("hypothesis", index, key)
                raise HeatsError(f"there is no arm `{wanted}`", place=study.place(*path), remedy=remedy)
        if item.better in rivals:
            raise HeatsError(f"`{item.better}` is compared with itself", place=study.place("hypothesis"))


def _refuse_equal_seeds(study: Study, cells: list[Cell]) -> None:
    """Refuse commands that don't say their seed: five runs of one seed would pass for five seeds."""
    from engine.launch.scripts import command_words

    first: dict[str, Cell] = {}
    for cell in cells:
        other = first.setdefault(cell.arm, cell)
        words = command_words(cell.config)
        if other is not cell and words and words == command_words(other.config):
            message = f"`exec.command` is the same for the seeds {other.seed} and {cell.seed}: it has no {{seed}}"
            raise HeatsError(
                message, place=_blame(study, Arm(cell.arm, {}), message),
                remedy="write {seed} where the script takes its seed, or give the study one seed",
            )  # fmt: skip


def _refuse_equal_arms(study: Study, cells: list[Cell]) -> None:
    seen: dict[str, Cell] = {}
    for cell in cells:
        twin = seen.setdefault(cell.hash, cell)
        if twin is not cell and not cell.needs:
            raise HeatsError(
                f"the arms {twin.arm} and {cell.arm} have the same config", place=study.place("arms", cell.arm),
                remedy="let them differ in an option",
            )  # fmt: skip


def _zipped(study: Study) -> list[Arm]:
    lengths = {key: len(values) for key, values in study.spec.zip.items()}
    if len(set(lengths.values())) > 1:
        text = ", ".join(f"`{key}` {length}" for key, length in lengths.items())
        raise HeatsError(f"the lists under zip differ in length: {text}", place=study.place("zip"))
    if 0 in lengths.values():
        raise HeatsError("the lists under zip are empty", place=study.place("zip"))
    rows = []
    for values in zip(*study.spec.zip.values(), strict=True):
        row = dict(zip(study.spec.zip, values, strict=True))
        rows.append(Arm(",".join(f"{short_key(key, study.spec.zip)}={_text(row[key])}" for key in row), row))
    _refuse_repeats(study, "zip", [row.name for row in rows])
    return rows


def _refuse_repeats(study: Study, key: str, values: list[Any]) -> None:
    texts = [_text(value) for value in values]
    twice = [text for text in texts if texts.count(text) > 1]
    if twice:
        raise HeatsError(f"`{key}` holds {twice[0]} twice", place=study.place("factors", key))


def short_key(key: str, keys: Mapping[str, Any]) -> str:
    """The last part of a key where that is enough to tell it from the others."""
    leaf = key.rpartition(".")[2]
    return leaf if sum(other.rpartition(".")[2] == leaf for other in keys) == 1 else key


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)
