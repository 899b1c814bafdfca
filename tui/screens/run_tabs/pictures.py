"""The tab of pictures: of the data as training saw it, and of what `heats explain` has drawn, as half blocks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.style import Style
from rich.text import Text
from textual.app import ComposeResult
from textual.widget import Widget
from textual.widgets import Static

from engine.store.files import decode_number
from engine.store.paths import RunPaths
from engine.store.summary import RunSummary
from tui import format
from tui.cli.terminal import safe
from tui.copying import Copyable, fixed
from tui.half_blocks import Pixels, cells_of, plain_lines, read_pixels
from tui.screens.run_tabs.tab import RunTab
from tui.screens.runs import update_text
from tui.widgets.text_pane import TextPane

_MOST = 40
"""Pictures that are shown: each takes some twenty lines."""
_HEIGHT = 48


def has_pictures(run: RunPaths) -> bool:
    """Whether anything was drawn of a run."""
    return run.pictures.is_dir()


def picture_lines(run: RunPaths, width: int, *, ascii_only: bool) -> list[Text]:
    """A run's figures of `heats explain` and its pictures, those of explanations first, as styled lines.

    Args:
        run: which run.
        width: columns.
        ascii_only: shades of letters instead of half blocks.
    """
    lines = [Text(line) for line in _figures(run.pictures / "explain" / "explain.json")]
    try:
        paths = sorted(run.pictures.glob("*/*.png"), key=lambda path: (path.parent.name != "explain", path.name))
    except OSError:
        paths = []
    for path in paths[:_MOST]:
        pixels = read_pixels(path, max(1, width - 2), _HEIGHT)
        lines.append(Text(safe(f"{path.parent.name}: {path.stem.replace('_', ' ')}"), Style(bold=True)))
        if pixels is None:
            lines.append(Text("  can't be read"))
        else:
            lines += _plain(pixels) if ascii_only else _coloured(pixels)
        lines.append(Text(""))
    if len(paths) > _MOST:
        lines.append(Text(f"and {len(paths) - _MOST} more in {safe(str(run.pictures))}"))
    return lines


def _coloured(pixels: Pixels) -> Iterator[Text]:
    for cells in cells_of(pixels):
        line = Text("  ", no_wrap=True)
        for upper, lower in cells:
            line.append(
                "▀", Style(color="#{:02x}{:02x}{:02x}".format(*upper), bgcolor="#{:02x}{:02x}{:02x}".format(*lower))
            )
        yield line


def _plain(pixels: Pixels) -> Iterator[Text]:
    return (Text(f"  {line}", no_wrap=True) for line in plain_lines(pixels))


def _figures(path: Path) -> Iterator[str]:
    """What an explanation has found, where there is one that can be read."""
    try:
        found: Any = json.loads(path.read_bytes())
        yield safe(f"step {format.count(found['checkpoint'])}, {found['split']}, {found['samples']} samples")
        for name in ("accuracy", "worst_group", "dot_flip"):
            if name in found["figures"]:
                yield safe(f"  {name.replace('_', ' ')}  {format.number(decode_number(found['figures'][name]))}")
        for name, shares in found["saliency"].items():
            ratio = decode_number(shares["ratio"])
            yield safe(f"  {name.replace('_', ' ')} in the cue  {format.number(ratio)} times its share of the area")
        yield ""
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return


class PicturesTab(RunTab):
    """The run's pictures."""

    NAME = "pictures"

    def __init__(self) -> None:
        super().__init__()
        self._shown: tuple[float, int] | None = None

    def compose(self) -> ComposeResult:
        yield Static(id="pictures-head", classes="head", markup=False)
        yield TextPane(id="pictures-lines")

    @property
    def pane(self) -> TextPane:
        """The pictures."""
        return self.query_one("#pictures-lines", TextPane)

    def panes(self) -> list[Widget]:
        return [self.pane]

    def update_run(self, run: RunSummary | None) -> None:
        self._read()

    def on_resize(self) -> None:
        self._read()

    def _read(self) -> None:
        paths, width, plain, known = self.run_paths, self.size.width, self.ascii_only, self._shown
        if not width:
            return

        def read() -> tuple[tuple[float, int], list[Text]] | None:
            state = (_newest(paths), width)
            return None if state == known else (state, picture_lines(paths, width, ascii_only=plain))

        self.run_screen.ask("pictures", "reads the pictures", read, self._take)

    def _take(self, found: tuple[tuple[float, int], list[Text]] | None) -> None:
        if found is None:
            return
        self._shown, lines = found
        self.pane.show(lines)
        command = f"heats explain {self.run_paths.id}"
        said = f"{command} draws them anew" if lines else f"there are none yet: {command} draws what its model looks at"
        update_text(self.query_one("#pictures-head", Static), said)

    def copyables(self) -> Sequence[Copyable]:
        return (fixed("p", "the path of the pictures", str(self.run_paths.pictures)),)


def _newest(run: RunPaths) -> float:
    """When anything was last drawn; 0 where nothing was."""
    moments = [0.0]
    for folder in ("data", "explain"):
        try:
            moments.append((run.pictures / folder).stat().st_mtime)
        except OSError:
            continue
    return max(moments)
