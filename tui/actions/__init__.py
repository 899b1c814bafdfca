"""Every act of the app, once: bindings, footer, help sheet and command palette are all made of this table."""

from __future__ import annotations

from textual.binding import Binding

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
from tui.actions.action import APP, CHECKPOINTS, LAUNCH, RUN, RUNS, Action, key_name

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
]

_PARTS = (moving, places, runs, run, charts, compare, checkpoints, studies, machine, doctor, form, application)
ACTIONS: tuple[Action, ...] = tuple(action for part in _PARTS for action in part.ACTIONS)


def actions_of(where: str) -> list[Action]:
    """The acts of one screen, those of the whole app last."""
    return [action for action in ACTIONS if where in action.where] + (
        [] if where == APP else [action for action in ACTIONS if APP in action.where]
    )


def bindings(where: str) -> list[Binding]:
    """The key bindings of a screen or of the app."""
    return [
        Binding(key, action.handler, action.label, show=bool(action.footer), id=f"{where}.{action.id}.{key}")
        for action in ACTIONS
        if where in action.where
        for key in action.keys
    ]


def footer(where: str) -> list[Action]:
    """What the footer shows on a screen, the most useful first."""
    return sorted((action for action in actions_of(where) if action.footer), key=lambda action: action.footer)


def help_groups(where: str) -> dict[str, list[Action]]:
    """The help sheet of a screen: all its acts by group."""
    groups: dict[str, list[Action]] = {}
    for action in actions_of(where):
        groups.setdefault(action.group, []).append(action)
    return groups
