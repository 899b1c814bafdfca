"""The door to the full-screen app. Textual reads its environment when it is imported, so it is imported late."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tui.heats_app import HeatsApp as HeatsApp

_LOW_BANDWIDTH = {
    "TEXTUAL_ANIMATIONS": "none",
    "TEXTUAL_SMOOTH_SCROLL": "0",
    "TEXTUAL_FPS": "10",
    "TEXTUAL_COLOR_SYSTEM": "256",
}

_NEW_OBJECTS = 20_000
"""Between two looks for garbage among the newest; Python's 700 are passed at each redraw."""


def run_app(
    store_root: Path, *, read_only: bool, low_bandwidth: bool, ascii_only: bool, mouse: bool, theme: str | None = None
) -> None:
    """Open the app on a store, which may not exist yet, and stay until it is closed.

    Args:
        store_root: the store's folder.
        read_only: refuse whatever would change the store.
        low_bandwidth: for slow links: nothing is animated, fewer colours, the table scrolls by half pages.
        ascii_only: no glyphs beyond ASCII.
        mouse: take the mouse; without it the terminal's own selection works.
        theme: `dark`, `light` or `contrast`; else as chosen last.
    """
    if low_bandwidth:
        for name, value in _LOW_BANDWIDTH.items():
            os.environ.setdefault(name, value)
    for name in ("COLUMNS", "LINES"):
        os.environ.pop(name, None)  # exported, they would stand above the terminal's real size, after each resize too
    # Nothing that is imported ever becomes garbage: looking for it takes a tenth of the time to the first paint, and
    # some milliseconds between keys ever after. Later it is looked for where there may be some, a little less often.
    gc.disable()
    from tui.heats_app import HeatsApp
    from tui.keymap import load

    app = HeatsApp(
        store_root, read_only=read_only, low_bandwidth=low_bandwidth, ascii_only=ascii_only, theme=theme, keymap=load()
    )
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, 10, 10)
    gc.enable()
    app.run(mouse=mouse)


def __getattr__(name: str) -> Any:
    if name == "HeatsApp":
        from tui.heats_app import HeatsApp

        return HeatsApp
    raise AttributeError(name)
