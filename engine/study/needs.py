"""Values and checkpoints that a study takes from other studies: `optim.lr: confounded-lr#best`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.config.options import nearest
from engine.config.resolve import flatten, resolve
from engine.errors import HeatsError
from engine.store.paths import Store
from engine.study.spec import Study, read_study

if TYPE_CHECKING:
    from engine.study.cells import CellState
    from engine.study.expand import Arm

_FORM = re.compile(r"(?P<study>[\w.-]+)#(?P<what>best|run)(?::(?P<detail>[^@]+))?(?:@(?P<alike>[\w.]+))?")


@dataclass(frozen=True)
class Need:
    """One option whose value comes from another study.

    `best` is the value of an option (the same, or `detail`) in that study's best arm; `run` is the id of the run of its
    best arm (or of the arm `detail`) with the same seed, else with that study's first seed. With `alike` only those
    arms count whose value of that option is the one of the arm in need.
    """

    key: str
    study: str
    what: str
    detail: str | None = None
    alike: str | None = None


def needs_of(study: Study) -> list[Need]:
    """The needs of a study.

    Raises:
        HeatsError: one isn't of the right form; with its line.
    """
    found = []
    for key, text in study.spec.needs.items():
        match = _FORM.fullmatch(text)
        if match is None or (match["what"] == "run" and match["detail"] and match["alike"]):
            raise HeatsError(
                f"`{text}` says nothing that can be found", place=study.place("needs", key),
                remedy="write STUDY#best, STUDY#best:KEY, STUDY#run or STUDY#run:ARM, all but the last with @KEY or "
                "without",
            )  # fmt: skip
        found.append(Need(key, match["study"], match["what"], match["detail"], match["alike"]))
    return found


def needed_study(study: Study, need: Need) -> Study:
    """The study that a need names, from the same folder; with the same preset where it has one.

    Raises:
        HeatsError: there is none.
    """
    folder = study.file.parent
    path = folder / f"{need.study}.yaml"
    if not path.exists():
        known = sorted(found.stem for found in folder.glob("*.yaml"))
        near = nearest(need.study, known)
        remedy = f"did you mean `{near}`?" if near else f"there are: {', '.join(known)}"
        place = study.place("needs", need.key)
        raise HeatsError(f"there is no study `{need.study}` in {folder}", place=place, remedy=remedy)
    if study.preset is not None:
        plain = read_study(path)
        if study.preset in plain.spec.presets:
            return read_study(path, study.preset)
        return plain
    return read_study(path)


def order_of(study: Study) -> list[Study]:
    """The study after all that it needs, each once, so that launching in this order fills every need.

    Raises:
        HeatsError: studies need each other in a circle; the circle is named.
    """
    done: dict[Path, Study] = {}

    def visit(current: Study, path: tuple[Study, ...]) -> None:
        names = [item.name for item in path]
        if current.name in names:
            circle = " -> ".join([*names[names.index(current.name) :], current.name])
            raise HeatsError(f"its needs go in a circle: {circle}", place=path[-1].place("needs"))
        for need in needs_of(current):
            visit(needed_study(current, need), (*path, current))
        done.setdefault(current.file, current)

    visit(study, ())
    return list(done.values())


def find_needed(
    store: Store, study: Study, seen: dict[Path, list[CellState]] | None = None
) -> Mapping[tuple[str, int], Mapping[str, Any]]:
    """By arm and seed, the values that are already there.

    Args:
        store, study: of which store and study.
        seen: by file, the cells of studies that were looked at already; those looked at here are added.

    Raises:
        HeatsError: a need can never be met (a wrong form, study, arm or key, or a circle).
    """
    from engine.study.cells import find_cells
    from engine.study.expand import Arm, arms_of

    needs = needs_of(study)
    if not needs:
        return {}
    order_of(study)
    found: dict[tuple[str, int], dict[str, Any]] = {}
    seen = {} if seen is None else seen
    for need in needs:
        source = needed_study(study, need)
        states = seen[source.file] if source.file in seen else find_cells(store, source, seen)
        _check_key(study, need, states)
        arm_names = {state.cell.arm for state in states}
        for arm in arms_of(study) or [Arm("", {})]:
            alike = states if need.alike is None else _alike(study, need, arm, states)
            best = need.detail if need.what == "run" and need.detail else best_arm(source, alike)
            if best is not None and best not in arm_names:
                raise HeatsError(f"the study {source.name} has no arm `{best}`", place=study.place("needs", need.key))
            of_best = [state for state in alike if state.cell.arm == best]
            for seed in study.spec.seeds:
                chosen = _settled(of_best, seed)
                if chosen is not None:
                    found.setdefault((arm.name, seed), {})[need.key] = _value(need, chosen)
    return found


def _settled(states: list[CellState], seed: int) -> CellState | None:
    """Whose value a seed gets, once nothing that is still trained could change that; None until then.

    That of the same seed. Where the other study has no such seed, the first of those that have finished.
    """
    same = [state for state in states if state.cell.seed == seed]
    if not same and not all(state.done for state in states):
        return None
    return next((state for state in same or states if state.standing == "finished"), None)


def _check_key(study: Study, need: Need, states: list[CellState]) -> None:
    """Refuse an option that the other study's task doesn't have, before anything waits for it."""
    wanted = [] if need.what == "run" else [need.detail or need.key]
    wanted += [need.alike] if need.alike is not None else []
    options = flatten(states[0].cell.config.model_dump()) if states else {}
    for key in wanted if states else []:
        if key in options:
            continue
        near = nearest(key, list(options))
        raise HeatsError(
            f"the study {need.study} has no option `{key}`", place=study.place("needs", need.key),
            remedy=f"did you mean `{near}`?" if near else None,
        )  # fmt: skip


def _alike(study: Study, need: Need, arm: Arm, states: list[CellState]) -> list[CellState]:
    """The cells of arms that share the value of an option with an arm in need.

    Raises:
        HeatsError: neither the arm nor the study's base says a value, or no cell has it.
    """
    assert need.alike is not None
    place = study.place("needs", need.key)
    values = {**flatten(study.spec.base), **arm.values}
    if need.alike not in values:
        raise HeatsError(f"the arm {arm.name} says no `{need.alike}`", place=place, remedy="give it one")
    wanted = _as_read(states, need.alike, values[need.alike])
    found = [state for state in states if flatten(state.cell.config.model_dump())[need.alike] == wanted]
    if states and not found:
        raise HeatsError(f"no arm of the study {need.study} has {need.alike} = {wanted}", place=place)
    return found


def _as_read(states: list[CellState], key: str, value: Any) -> Any:
    """A value of a study file as a config has it: YAML takes 1e-3 for text."""
    try:
        return flatten(resolve(type(states[0].cell.config), {key: value}).model_dump())[key] if states else value
    except HeatsError:  # it doesn't go with the defaults of other options
        return value


def _value(need: Need, state: CellState) -> Any:
    if need.what == "run":
        return state.run.id if state.run else None
    return flatten(state.cell.config.model_dump())[need.detail or need.key]


def best_arm(study: Study, states: list[CellState]) -> str | None:
    """The arm with the best mean of the study's metric, once every cell has finished; None before.

    Raises:
        HeatsError: the study names no metric.
    """
    if study.metric is None:
        raise HeatsError("names no metric to choose the best arm by", place=str(study.file))
    if any(not state.done for state in states) or not _all_tried(study, states):
        return None
    values: dict[str, list[float]] = {}
    for state in states:
        value = state.value(study.metric, study.spec.value)
        if state.standing == "finished" and value is not None and value == value:
            values.setdefault(state.cell.arm, []).append(value)
    sign = 1.0 if study.mode == "max" else -1.0
    return max(values, key=lambda arm: sign * sum(values[arm]) / len(values[arm]), default=None)


def _all_tried(study: Study, states: list[CellState]) -> bool:
    """Whether a search has begun all the trials that it may have; True for any other study."""
    from engine.study.expand import arms_of
    from engine.study.search import most_trials, parse_name

    if study.spec.search is None:
        return True
    begun: dict[str, set[int]] = {arm.name: set() for arm in arms_of(study)} or {"": set()}
    for state in states:
        parsed = parse_name(state.cell.arm)
        if parsed is not None and parsed[0] in begun:
            begun[parsed[0]].add(parsed[1])
    return all(len(numbers) >= most_trials(study) for numbers in begun.values())
