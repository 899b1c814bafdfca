"""Every act of the app, once: bindings, footer, help sheet, palette and the user's keys are all made of this table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from tui.actions import (
    application,
    charts,
    checkpoints,
    compare,
    doctor,
    form,
    machine,
    moving,
    places,
    run,
    runs,
    studies,
)
from tui.actions.action import APP, CHECKPOINTS, LAUNCH, PANES, RUN, RUNS, Action, key_name

if TYPE_CHECKING:
    from textual.binding import Binding, BindingsMap

__all__ = [
    "ACTIONS",
    "APP",
    "CHECKPOINTS",
    "LAUNCH",
    "RUN",
    "RUNS",
    "Action",
    "actions_of",
    "bindings",
    "footer",
    "help_groups",
    "key_name",
    "keys_by_screen",
    "rebind",
    "use_keys",
]

_PARTS = (moving, places, runs, run, charts, compare, checkpoints, studies, machine, doctor, form, application)
ACTIONS: tuple[Action, ...] = tuple(action for part in _PARTS for action in part.ACTIONS)


"""With their usual keys; `actions_of` has them with those in force."""

_in_force: dict[str, tuple[str, ...]] = {}


def use_keys(keys: Mapping[str, tuple[str, ...]]) -> None:
    """Put a user's keys in force, by act: for whatever is bound or shown from now on."""
    _in_force.clear()
    _in_force.update(keys)


def _with_keys(action: Action, keys: Mapping[str, tuple[str, ...]]) -> Action:
    return replace(action, keys=keys[action.id]) if action.id in keys else action


def _of(where: str, keys: Mapping[str, tuple[str, ...]]) -> list[Action]:
    own = [_with_keys(action, keys) for action in ACTIONS if where in action.where]
    return own + ([] if where == APP else _of(APP, keys))


def actions_of(where: str) -> list[Action]:
    """The acts of one screen with the keys in force, those of the whole app last."""
    return _of(where, _in_force)


def keys_by_screen(keys: Mapping[str, tuple[str, ...]]) -> dict[str, list[Action]]:
    """All screens and their acts, as they would be with some keys in force."""
    return {where: _of(where, keys) for where in sorted({*PANES, LAUNCH})}


def bindings(where: str) -> list[Binding]:
    """The key bindings of a screen or of the app."""
    from textual.binding import Binding

    return [
        Binding(key, action.handler, action.label, show=bool(action.footer), id=f"{where}.{action.id}.{key}")
        for action in _of(where, _in_force)
        if where in action.where
        for key in action.keys
    ]


def footer(where: str, tab: str = "") -> list[Action]:
    """What the footer shows on a screen, the most useful first.

    Args:
        where: the screen.
        tab: the open one of its tabs, if it has any: what belongs to it comes first, what to others is left out.
    """
    shown = [action for action in actions_of(where) if action.footer and action.keys]
    shown.sort(key=lambda action: action.footer)
    if not tab:
        return shown
    tabs = {action.id: action.tabs or run.TABS_OF.get(action.id) or run.TABS_OF.get(action.group) for action in shown}
    fitting = [action for action in shown if not tabs[action.id] or tab in (tabs[action.id] or ())]
    return sorted(fitting, key=lambda action: (action.id not in ("help", "back"), not tabs[action.id]))


def rebind(found: BindingsMap, where: str) -> None:
    """Put the keys in force into the bindings of a screen or app, whose class was made with the usual ones."""
    for key, bound in list(found.key_to_bindings.items()):
        kept = [binding for binding in bound if not (binding.id or "").startswith(f"{where}.")]
        if kept:
            found.key_to_bindings[key] = kept
        else:
            del found.key_to_bindings[key]
    for binding in bindings(where):
        found.key_to_bindings.setdefault(binding.key, []).insert(0, binding)


def help_groups(where: str) -> dict[str, list[Action]]:
    """The help sheet of a screen: all its acts by group."""
    groups: dict[str, list[Action]] = {}
    for action in actions_of(where):
        groups.setdefault(action.group, []).append(action)
    return groups
