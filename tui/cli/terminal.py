"""What this terminal can show, and safe text for it. No Rich: the light verbs stand on this."""

from __future__ import annotations

import os
import re
import shutil
import sys
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:  # `heats --help` has no need of the store
    from engine.errors import HeatsError
    from engine.store.status import State

_CODES = {
    "red": 31, "green": 32, "yellow": 33, "blue": 34, "magenta": 35, "cyan": 36, "bright_black": 90,
    "bold": 1, "dim": 2,
}  # fmt: skip
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[@-_]?")
_STYLE = re.compile(r"\x1b\[[0-9;:]*m")
_forced_ascii = False


def force_ascii() -> None:
    """Show no glyphs beyond ASCII, whatever the locale says."""
    global _forced_ascii
    _forced_ascii = True


def glyphs() -> bool:
    """Whether glyphs beyond ASCII may be shown."""
    from tui.format import unicode_works

    return not _forced_ascii and unicode_works()


def is_terminal(stream: TextIO | None = None) -> bool:
    """Whether a stream (stdout) is a terminal."""
    try:
        return (stream or sys.stdout).isatty()
    except ValueError:  # closed
        return False


def can_redraw() -> bool:
    """Whether stdout is a terminal on which lines can be drawn over."""
    return is_terminal() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown")


def colour_works() -> bool:
    """Whether stdout takes colours and nobody asked for none."""
    return can_redraw() and not os.environ.get("NO_COLOR")


def paint(text: str, colour: str | None) -> str:
    """The text in a colour, or as it is where colours don't work."""
    if colour is None or not colour_works():
        return text
    return f"\x1b[{_CODES[colour]}m{text}\x1b[0m"


def columns() -> int | None:
    """How wide output may be; None in a pipe, where nothing should be cut off."""
    if is_terminal() or os.environ.get("COLUMNS", "").isdigit():
        return max(20, shutil.get_terminal_size((80, 24)).columns)
    return None


def label(state: State, width: int = 0) -> str:
    """A status as glyph and word, coloured where that works."""
    from tui.format import STATE_COLORS, state_label

    return paint(state_label(state, ascii_only=not glyphs()).ljust(width), STATE_COLORS[state])


def safe(text: str) -> str:
    """Text from a file on one line, without what could steer the terminal."""
    return _CONTROL.sub("", _ESCAPES.sub("", " ".join(text.split()) if "\n" in text or "\t" in text else text))


def safe_log_line(line: str, *, colours: bool) -> str:
    """A line of a program's output as a terminal shows it at last: after its carriage returns, without cursor moves."""
    # A bar that was wiped at the end leaves blanks: what was last to be seen is the last part that isn't blank.
    parts = [part for part in line.split("\r") if _ESCAPES.sub("", part).strip()]
    shown = parts[-1] if parts else ""
    if not colours:
        return _CONTROL.sub("", _ESCAPES.sub("", shown))
    texts = [_CONTROL.sub("", _ESCAPES.sub("", text)) for text in _STYLE.split(shown)]
    styles = _STYLE.findall(shown)
    mixed = "".join(text + style for text, style in zip(texts, [*styles, ""], strict=True))
    return f"{mixed}\x1b[0m" if styles else mixed


def uncoloured(text: str) -> str:
    """A text of ours without its colours, to measure it."""
    return _STYLE.sub("", text)


def cells(text: str) -> int:
    """How many columns of the terminal a text takes."""
    if text.isascii():
        return len(text)
    import unicodedata

    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )


def pad(text: str, width: int, *, right: bool = False) -> str:
    """The text filled up with spaces to a width in columns."""
    space = " " * (width - cells(text))
    return space + text if right else text + space


def cut(text: str, width: int, *, head: int | None = None) -> str:
    """The text in at most `width` columns: the end is left out, or, with `head`, what follows its first `head`."""
    if cells(text) <= width:
        return text
    mark = "…" if glyphs() else "~"
    if width <= 1:
        return mark[:width]
    first = width - 1 if head is None else min(head, max(0, width - 9))
    kept, tail = text[:first], text[len(text) - (width - 1 - first) :] if width - 1 > first else ""
    while cells(kept + mark + tail) > width:
        kept, tail = (kept[:-1], tail) if kept else ("", tail[1:])
    return kept + mark + tail


def complain(sentence: str) -> None:
    """One line on stderr."""
    print(f"heats: {safe(' '.join(sentence.split()))}", file=sys.stderr)


def ring() -> None:
    """Ring the terminal's bell, where there is a terminal; pipes and files get nothing."""
    for stream in (sys.__stdout__, sys.__stderr__):  # the live panel keeps what is printed for its next drawing
        if stream is not None and is_terminal(stream):
            stream.write("\a")
            stream.flush()
            return


def point(error: HeatsError) -> None:
    """Under a complaint about a text that was typed: the text, and a caret at the character in question."""
    start = getattr(error, "start", None)
    if start is not None:
        # Each odd character becomes one blank, so that the caret stands where it should.
        shown = "".join(character if character.isprintable() else " " for character in error.text)  # type: ignore[attr-defined]
        print(f"  {shown}\n  {' ' * cells(start)}^", file=sys.stderr)


def hint(sentence: str) -> None:
    """What to type next: on stderr and for people only, so that stdout stays fit for scripts."""
    if is_terminal(sys.stderr):
        print(safe(sentence), file=sys.stderr)


def print_json(content: Any) -> None:
    """An object or array on stdout."""
    import json

    print(json.dumps(content, indent=2, ensure_ascii=False, default=str))
