"""The user's own keys: a small file, an act and its keys a line. Its mistakes are said, and cost nobody their keys.

# ~/.config/heats/keys.yaml, or $XDG_CONFIG_HOME/heats/keys.yaml; `heats keys` lists the acts
stop: ctrl+k
sort: [o, f3]
quit: ["Q", ctrl+c]
"""

from __future__ import annotations

import difflib
import os
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tui.actions import ACTIONS, keys_by_screen
from tui.actions.action import KEY_NAMES, LAUNCH, Action

_MOST_BYTES = 1 << 16
_NEVER_WITHOUT = frozenset({"quit", "palette", "help"})
_SAME_FOR_A_TERMINAL = {
    "ctrl+i": "Tab", "ctrl+m": "Enter", "ctrl+j": "Enter on some terminals", "ctrl+h": "Backspace",
    "ctrl+left_square_bracket": "Esc",
}  # fmt: skip
_REPLACED = {
    "solidus": "slash", "reverse_solidus": "backslash", "commercial_at": "at", "hyphen_minus": "minus",
    "plus_sign": "plus", "low_line": "underscore",
}  # fmt: skip
_WORDS = {
    "esc": "escape", "return": "enter", "pgup": "pageup", "pgdn": "pagedown", "pgdown": "pagedown", "del": "delete",
    "ins": "insert", "spacebar": "space", "bksp": "backspace",
}  # fmt: skip
_ARROWS = {"↑": "up", "↓": "down", "←": "left", "→": "right"}
_NAMED = frozenset(
    {"escape", "enter", "tab", "space", "backspace", "delete", "insert", "up", "down", "left", "right", "home", "end",
     "pageup", "pagedown", *(f"f{number}" for number in range(1, 25))}
)  # fmt: skip


@dataclass(frozen=True)
class Keymap:
    """The keys that a user gave to acts, by act, and what was wrong in the file, a sentence each."""

    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


NO_KEYMAP = Keymap()


def keymap_path() -> Path:
    """Where the file is looked for."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "heats" / "keys.yaml"


def load(path: Path | None = None) -> Keymap:
    """Read the user's keys. A file that isn't there is no mistake; any other is said, never raised."""
    path = path or keymap_path()
    try:
        with open(path, "rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        return Keymap()
    except OSError as error:
        return Keymap({}, (f"{path}: can't be read ({error.strerror}); the usual keys hold",))
    if len(content) > _MOST_BYTES:
        return Keymap({}, (f"{path}: is far too long for a table of keys; the usual keys hold",))
    return understand(content.decode(errors="replace"), str(path))


def understand(text: str, place: str = "keys.yaml") -> Keymap:
    """What a file of keys says. Pure.

    Args:
        text: its content.
        place: its name, for what is said of mistakes.
    """
    import yaml

    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark is not None else ""
        return Keymap(
            {}, (f'{place}{line}: is no YAML; put odd keys in quotes, as in `help: "?"`; the usual keys hold',)
        )
    except RecursionError:
        return Keymap({}, (f"{place}: is nested without end; the usual keys hold",))
    if node is None:
        return Keymap()
    if not isinstance(node, yaml.MappingNode):
        return Keymap({}, (f"{place} line 1: write an act and its keys a line, as in `stop: ctrl+k`",))
    problems: list[str] = []
    asked: dict[str, tuple[int, tuple[str, ...]]] = {}
    for name_node, keys_node in node.value:
        line = name_node.start_mark.line + 1
        try:
            name, keys = _line(name_node, keys_node)
            if name in asked:
                raise _Mistake(f"`{name}` stands in line {asked[name][0]} already; that one counts")
        except _Mistake as mistake:
            problems.append(f"{place} line {line}: {mistake}")
        else:
            asked[name] = (line, keys)
    refused = _settle(asked)
    problems += [f"{place} line {line}: {said}" for line, said in sorted(refused)]
    return Keymap({name: keys for name, (_, keys) in asked.items()}, tuple(problems))


class _Mistake(Exception):
    """What is wrong with a line."""


def _line(name_node: Any, keys_node: Any) -> tuple[str, tuple[str, ...]]:
    acts = {action.id: action for action in ACTIONS}
    name = str(name_node.value)
    if name not in acts:
        near = difflib.get_close_matches(name, acts, n=1)
        raise _Mistake(
            f"there is no act `{name}`; " + (f"did you mean `{near[0]}`?" if near else "`heats keys` lists them")
        )
    given = keys_node.value if isinstance(keys_node.value, list) else [keys_node]
    if any(not isinstance(getattr(item, "value", None), str) for item in given):
        raise _Mistake(f"the keys of `{name}` are no key and no list of keys; its usual keys stay")
    words = [str(item.value) for item in given if str(item.value) not in ("", "none", "null", "~")]
    keys = tuple(dict.fromkeys(_key(word, name) for word in words))
    if not keys and name in _NEVER_WITHOUT:
        raise _Mistake(f"`{name}` can't be without a key; it keeps {acts[name].shown_keys}")
    typed = [key for key in keys if LAUNCH in acts[name].where and _is_typed(key)]
    if typed:
        raise _Mistake(f"`{typed[0]}` is typed as text in the form; `{name}` keeps {acts[name].shown_keys}")
    return name, keys


def _key(word: str, name: str) -> str:
    key = parse_key(word)
    if key is None:
        raise _Mistake(f"`{word}` is no key; `{name}` keeps its usual ones (keys look like s, S, ctrl+k, f5, Enter, /)")
    if key in _SAME_FOR_A_TERMINAL:
        raise _Mistake(
            f"a terminal can't tell `{word}` from {_SAME_FOR_A_TERMINAL[key]}; `{name}` keeps its usual keys"
        )
    return key


def _is_typed(key: str) -> bool:
    return len(key) == 1 or (key not in _NAMED and "+" not in key) or key == "space"


def parse_key(word: str) -> str | None:
    """A key as people write it (`K`, `?`, `Ctrl+d`, `PgUp`, `↑`) by its name in Textual; None where it is none."""
    shown = {title: name for name, title in KEY_NAMES.items()} | _ARROWS
    *modifiers, last = (
        word.split("+") if word not in ("+",) and not word.endswith("++") else [*word[:-2].split("+"), "+"]
    )
    modifiers = [modifier.lower() for modifier in modifiers if modifier]
    if not set(modifiers) <= {"ctrl", "shift", "alt"}:
        return None
    if len(last) == 1 and last not in shown:
        if not last.isprintable() or last == " ":
            return "space" if last == " " and not modifiers else None
        key = last if last.isalnum() else _sign(last)
        if key is None:
            return None
        if "ctrl" in modifiers:
            key = key.lower()
    else:
        low = last.lower()
        key = shown.get(last) or _WORDS.get(low) or (low if low in _NAMED else None) or _named_sign(low)
        if key is None:
            return None
    order = [modifier for modifier in ("alt", "ctrl", "shift") if modifier in modifiers]
    return "+".join([*order, key])


def _sign(character: str) -> str | None:
    try:
        name = unicodedata.name(character).lower().replace("-", "_").replace(" ", "_")
    except ValueError:
        return None
    return _REPLACED.get(name, name)


def _named_sign(word: str) -> str | None:
    """`question_mark` and the like, which Textual's own documents use."""
    return word if word in KEY_NAMES or word in _REPLACED.values() else None


def _settle(asked: dict[str, tuple[int, tuple[str, ...]]]) -> list[tuple[int, str]]:
    """Take back, last line first, what gives one key two meanings on a screen; says of each why."""
    acts = {action.id: action for action in ACTIONS}
    refused: list[tuple[int, str]] = []
    while True:
        clash = _last_clash(asked)
        if clash is None:
            return refused
        name, key, other, where = clash
        line, _ = asked.pop(name)
        shown = next(title for title in (KEY_NAMES.get(key, key),))
        kept = acts[name].shown_keys or "no key"
        refused.append(
            (line, f"`{shown}` is the key of `{other.id}` ({other.label}) on the screen {where}; `{name}` keeps {kept}")
        )


def _last_clash(asked: Mapping[str, tuple[int, tuple[str, ...]]]) -> tuple[str, str, Action, str] | None:
    """The clash whose line is furthest down: the act, the key, who has it, and on which screen."""
    found: list[tuple[int, str, str, Action, str]] = []
    for where, actions in keys_by_screen({name: keys for name, (_, keys) in asked.items()}).items():
        holders: dict[str, Action] = {}
        for action in actions:
            for key in action.keys:
                other = holders.setdefault(key, action)
                if other is action:
                    continue
                for mine, others in ((action, other), (other, action)):
                    if mine.id in asked:
                        found.append((asked[mine.id][0], mine.id, key, others, where))
    if not found:
        return None
    _, name, key, other, where = max(found, key=lambda item: item[0])
    return name, key, other, where


def changed(actions: Sequence[Action]) -> list[str]:
    """The ids of the acts whose keys aren't the usual ones."""
    usual = {action.id: action.keys for action in ACTIONS}
    return [action.id for action in actions if usual.get(action.id) != action.keys]
