"""From one screen to another about runs. Screens are imported when somebody goes there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tui.heats_app import HeatsApp


def open_run(app: HeatsApp, run_id: str) -> None:
    """A run's own screen."""
    from tui.screens.run import RunScreen

    app.push_screen(RunScreen(run_id))


def open_compare(app: HeatsApp, run_ids: Sequence[str]) -> None:
    """Runs side by side."""
    from tui.screens.compare import CompareScreen

    app.push_screen(CompareScreen(run_ids))


def open_chart(app: HeatsApp, run_ids: Sequence[str], metric: str | None) -> None:
    """The curves of several runs in one chart, of the metrics that measure the same as one."""
    from tui.run_curves import DEFAULT_GROUP, group_of

    try:
        screen = import_module("tui.screens.chart").ChartScreen
    except ImportError:
        app.tell("this version of heats has no chart of several runs yet", failed=True)
        return
    app.push_screen(screen(list(run_ids), group_of(metric) if metric else DEFAULT_GROUP))


def copy_text(app: HeatsApp, text: str, what: str) -> None:
    """Put a text on the terminal's clipboard."""
    try:
        copy = import_module("tui.copying").copy
    except (ImportError, AttributeError):
        app.copy_to_clipboard(text)
        app.tell(f"{what} was sent to the terminal's clipboard")
    else:
        copy(app, text, what)


def open_clone(app: HeatsApp, run_id: str) -> None:
    """The launch form, filled with the options of a run."""
    from tui.screens.launch import LaunchScreen

    app.push_screen(LaunchScreen(clone_of=run_id))


def copyable(key: str, label: str, text: Callable[[], str], file: str) -> Any:
    """Something to copy or to write to a file, as the app's clipboard wants it; None where there is none yet."""
    try:
        return import_module("tui.copying").Copyable(key, label, text, file)
    except (ImportError, AttributeError):
        return None


def copyables(items: Iterable[tuple[str, str, str, str]]) -> list[Any]:
    """The same for several texts that are known: key, label, text, file."""
    found = [copyable(key, label, partial(str, text), file) for key, label, text, file in items]
    return [item for item in found if item is not None]
