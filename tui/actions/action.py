"""What an act is, and the names of the screens that have acts."""

from __future__ import annotations

from dataclasses import dataclass

APP, RUNS, RUN, LAUNCH, CHART, COMPARE = "app", "runs", "run", "launch", "chart", "compare"
CHECKPOINTS, STUDIES, STUDY, MACHINE, DOCTOR = "checkpoints", "studies", "study", "machine", "doctor"
TRASH = "trash"

ONLY_APP, ONLY_RUNS, ONLY_RUN, ONLY_LAUNCH = (frozenset({name}) for name in (APP, RUNS, RUN, LAUNCH))
BOTH = frozenset({RUNS, RUN})
PLACES = (RUNS, STUDIES, CHECKPOINTS, MACHINE, DOCTOR)
"""The screens that the digits go to, in their order."""
PANES = frozenset({RUNS, RUN, CHART, COMPARE, CHECKPOINTS, STUDIES, STUDY, MACHINE, DOCTOR, TRASH})
"""The screens that are looked at, as against the form, which is typed into."""
INNER = PANES - {RUNS}
"""Those from which Esc leads back."""


MOVING = "Move"
"""The group of the acts that only move."""


@dataclass(frozen=True)
class Action:
    """One act.

    `handler` is the name of the screen's (or app's) method behind `action_`; `where` are the screens that have it.
    """

    id: str
    keys: tuple[str, ...]
    label: str
    help: str
    handler: str
    where: frozenset[str] = PANES
    group: str = MOVING
    destructive: bool = False
    changes: bool = False
    """Whether it changes the store, and so is refused when read-only."""
    footer: int = 0
    """Rank in the footer, 1 first; 0 leaves it out."""
    short: str = ""
    """The label where room is dear."""
    tabs: tuple[str, ...] = ()
    """The tabs of its screen on which it means something; none for all."""

    @property
    def shown_keys(self) -> str:
        """The keys as people read them."""
        return " ".join(key_name(key) for key in self.keys)


KEY_NAMES = {
    "slash": "/", "asterisk": "*", "question_mark": "?", "colon": ":", "plus": "+", "minus": "-", "equals_sign": "=",
    "left_square_bracket": "[", "right_square_bracket": "]", "enter": "Enter", "escape": "Esc", "tab": "Tab",
    "shift+tab": "Shift+Tab", "up": "Up", "down": "Down", "left": "Left", "right": "Right",
    "pageup": "PgUp", "pagedown": "PgDn",
    "home": "Home", "end": "End", "comma": ",", "full_stop": ".", "less_than_sign": "<", "greater_than_sign": ">",
    "left_curly_bracket": "{", "right_curly_bracket": "}", "left_parenthesis": "(", "right_parenthesis": ")",
    "space": "Space", "delete": "Del", "backspace": "Backspace",
}  # fmt: skip


def key_name(key: str) -> str:
    """`ctrl+d` as Ctrl+d, `question_mark` as ?."""
    return KEY_NAMES.get(key) or (f"Ctrl+{key[5:]}" if key.startswith("ctrl+") else key)
