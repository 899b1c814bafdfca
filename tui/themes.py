"""Dark, light and high contrast, in the colours of Okabe and Ito, which people who see fewer colours can tell apart.

Okabe and Ito, "Color Universal Design" (2008). Statuses and logs name the terminal's sixteen colours; each theme says
what these look like. Where Okabe-Ito colours would be too pale on white, the light theme takes the same hues darker.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from rich.terminal_theme import TerminalTheme
from textual.color import Color
from textual.theme import Theme

if TYPE_CHECKING:
    from textual.app import App

THEME_NAMES = ("dark", "light", "contrast")
_PREFIX = "heats-"


def theme_named(name: str) -> str:
    """The name that Textual knows a theme by."""
    return f"{_PREFIX}{name}"


THEMES = (
    Theme(
        name=theme_named("dark"), dark=True, primary="#0072b2", secondary="#56b4e9", accent="#e69f00",
        warning="#e69f00", error="#e8743b", success="#009e73", foreground="#e4e4e4", background="#121212",
        surface="#1b1b1b", panel="#262626", variables={"text-error": "#ff8f5a", "text-muted": "#a4a4a4"},
    ),
    Theme(
        name=theme_named("light"), dark=False, primary="#0072b2", secondary="#00598c", accent="#8a5a00",
        warning="#8a5a00", error="#a63d00", success="#00664a", foreground="#1c1c1c", background="#fafafa",
        surface="#f0f0f0", panel="#e2e2e2",
        variables={
            "text-accent": "#7a4f00", "text-error": "#a63d00", "text-warning": "#7a4f00", "text-muted": "#595959",
            "panel-lighten-1": "#a8a8a8",
        },
    ),
    Theme(
        name=theme_named("contrast"), dark=True, primary="#f0e442", secondary="#56b4e9", accent="#f0e442",
        warning="#f0e442", error="#ff9a5c", success="#00d39b", foreground="#ffffff", background="#000000",
        surface="#000000", panel="#303030",
        variables={
            "text-muted": "#ffffff", "text-accent": "#f0e442", "text-error": "#ff9a5c", "text-disabled": "#d0d0d0",
            "border": "#ffffff", "panel-lighten-1": "#ffffff", "scrollbar": "#ffffff",
        },
    ),
)  # fmt: skip
"""What `App.register_theme` gets."""

_ANSI = {
    "dark": (
        "black #1b1b1b", "red #e8743b", "green #00a67a", "yellow #e69f00", "blue #56b4e9", "magenta #cc79a7",
        "cyan #9ad4f5", "white #d0d0d0", "bright_black #9a9a9a",
    ),
    "light": (
        "black #1c1c1c", "red #a63d00", "green #00664a", "yellow #7a4f00", "blue #005f94", "magenta #8f3f6b",
        "cyan #00597a", "white #4a4a4a", "bright_black #5c5c5c",
    ),
    "contrast": (
        "black #000000", "red #ff9a5c", "green #00d39b", "yellow #f0e442", "blue #7cc8f5", "magenta #eaa6cc",
        "cyan #b5e3ff", "white #ffffff", "bright_black #d0d0d0",
    ),
}  # fmt: skip
"""The terminal's colours by name: the nine that are used; the other bright ones look as their plain twins do."""


def ansi_colours(name: str) -> dict[str, str]:
    """What the terminal's colours look like in a theme (`dark`, `light`, `contrast`)."""
    return {colour: value for colour, _, value in (entry.partition(" ") for entry in _ANSI[name])}


def _terminal_theme(theme: Theme) -> TerminalTheme:
    colours = ansi_colours(theme.name.removeprefix(_PREFIX))
    plain = [_rgb(colours[name]) for name in ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")]
    bright = [_rgb(colours["bright_black"]), *plain[1:7], _rgb(str(theme.foreground))]
    return TerminalTheme(_rgb(str(theme.background)), _rgb(str(theme.foreground)), plain, bright)


def _rgb(colour: str) -> tuple[int, int, int]:
    return Color.parse(colour).rgb


TERMINAL_THEMES = {theme.name: _terminal_theme(theme) for theme in THEMES}


def first_theme() -> str:
    """The theme for somebody who has chosen none: light where the terminal says that its background is."""
    background = os.environ.get("COLORFGBG", "").rpartition(";")[2]
    return "light" if background in ("7", "15") else "dark"


def register(app: App[None]) -> None:
    """Make the themes known to an app."""
    for theme in THEMES:
        app.register_theme(theme)
