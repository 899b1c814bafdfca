"""Copying to the clipboard of the terminal's own machine, and writing to a file, which always works."""

from __future__ import annotations

import base64
import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import HeatsError, MachineError
from tui import format
from tui.screens.confirm import Choice, ConfirmScreen
from tui.screens.prompt import PromptScreen

if TYPE_CHECKING:
    from tui.heats_app import HeatsApp
    from tui.screens.pane import HeatsScreen

MOST_BYTES = 74_000
"""Terminals cut a sequence of more than 100 kB, and base64 makes three bytes four."""
_SCREEN_BYTES = 700


@dataclass(frozen=True)
class Copyable:
    """Something that can be copied.

    Args:
        key: its letter in the list (none of j, k, q and n).
        label: what it is, as in "copied the log".
        text: gives it; called in a thread.
        file: a name for a file of it.
    """

    key: str
    label: str
    text: Callable[[], str]
    file: str


def fixed(key: str, label: str, text: str, file: str = "copy.txt") -> Copyable:
    """Something short that is known already."""
    return Copyable(key, label, lambda: text, file)


def osc52(text: str, *, tmux: bool = False, screen: bool = False) -> str:
    """The sequence that asks a terminal to take a text into its clipboard.

    Args:
        text: the text.
        tmux: wrapped for the terminal around tmux, too (it needs `allow-passthrough on`; the plain one `set-clipboard
            on`).
        screen: the same for GNU screen, which takes short pieces only.
    """
    plain = f"\x1b]52;c;{base64.b64encode(text.encode('utf-8', 'replace')).decode()}\x07"
    if tmux:
        return plain + "\x1bPtmux;" + plain.replace("\x1b", "\x1b\x1b") + "\x1b\\"
    if screen:
        parts = (plain[at : at + _SCREEN_BYTES] for at in range(0, len(plain), _SCREEN_BYTES))
        return "".join(f"\x1bP{part}\x1b\\" for part in parts)
    return plain


def copy(app: HeatsApp, text: str, label: str) -> None:
    """Ask the terminal to take a text, and say so: whether it did nobody can know."""
    size = len(text.encode("utf-8", "replace"))
    if size > MOST_BYTES:
        app.tell(f"{label}: {format.size(size)} are too much for a terminal; W writes it to a file", failed=True)
        return
    if not text:
        app.tell(f"{label}: there is nothing in it", failed=True)
        return
    in_tmux = bool(os.environ.get("TMUX"))
    driver = app._driver
    if driver is not None:
        driver.write(osc52(text, tmux=in_tmux, screen=bool(os.environ.get("STY"))))
    if in_tmux:
        app.run_worker(
            lambda: _to_tmux(text), name="tmux", description="copies to tmux", exit_on_error=False, thread=True
        )
    buffer = " (also in tmux's own buffer)" if in_tmux else ""
    app.tell(f"copied {label}, {format.size(size)}{buffer}; a terminal may refuse that unseen: W writes it to a file")


def _to_tmux(text: str) -> None:
    """Into tmux's own buffer, whose paste key then has it whatever the outer terminal thinks of clipboards."""
    try:
        subprocess.run(
            ["tmux", "load-buffer", "-"], input=text.encode("utf-8", "replace"), check=False, timeout=5,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return


def ask_copy(screen: HeatsScreen) -> None:
    """Let a person choose among what the screen offers, and copy it."""

    def chosen(item: Copyable) -> None:
        screen.ask("copy", f"copies {item.label}", item.text, lambda text: copy(screen.heats, text, item.label))

    _choose(screen, "Copy what?", chosen)


def ask_write(screen: HeatsScreen) -> None:
    """Let a person choose among what the screen offers, and write it to a file, which is asked for."""

    def chosen(item: Copyable) -> None:
        def answered(path: str | None) -> None:
            if path is not None:
                target = Path(path).expanduser()
                told = f"wrote {item.label} to {target}"
                screen.ask(
                    "write", f"writes {item.label}", lambda: write_new(target, item.text()),
                    lambda size: screen.heats.tell(f"{told} ({format.size(size)})"),
                )  # fmt: skip

        prompt = PromptScreen(
            f"Write {item.label} to which file?", (), value=str(Path.cwd() / item.file), check=_check_path
        )
        screen.heats.push_screen(prompt, answered)

    _choose(screen, "Write what to a file?", chosen)


def write_new(target: Path, text: str) -> int:
    """Write a file that isn't there yet; its size in bytes.

    Raises:
        HeatsError: it is there.
        MachineError: it can't be written.
    """
    content = text.encode("utf-8", "replace")
    try:
        with target.open("xb") as file:
            file.write(content)
    except FileExistsError:
        raise HeatsError("is there already", place=str(target), remedy="name a file that isn't") from None
    except OSError as error:
        raise MachineError(f"can't be written ({error.strerror})", place=str(target)) from error
    return len(content)


def _check_path(text: str) -> str | None:
    path = Path(text).expanduser()
    if not text.strip() or path.is_dir():
        return "name a file"
    if path.exists():
        return "it is there already: name a file that isn't"
    return None if path.parent.is_dir() else f"there is no folder {path.parent}"


def _choose(screen: HeatsScreen, title: str, chosen: Callable[[Copyable], None]) -> None:
    items: Sequence[Copyable] = screen.copyables()
    if not items:
        screen.heats.tell("there is nothing to copy here")
        return
    if len(items) == 1:
        chosen(items[0])
        return

    def decided(key: str | None) -> None:
        item = next((item for item in items if item.key == key), None)
        if item is not None:
            chosen(item)

    choices = [Choice(item.key, item.label, item.key) for item in items]
    screen.heats.push_screen(ConfirmScreen(title, (), choices), decided)
