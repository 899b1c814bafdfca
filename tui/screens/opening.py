"""Opening a screen by its name: imported when somebody goes there, and said where it isn't to be had."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tui.heats_app import HeatsApp


def open_screen(app: HeatsApp, module: str, name: str, *arguments: Any, **options: Any) -> None:
    """Show a screen of `tui.screens`.

    Args:
        app: shows it.
        module: the module's name there.
        name: the class.
        arguments, options: what it is made with.
    """
    full = f"tui.screens.{module}"
    try:
        found = getattr(import_module(full), name)
    except ModuleNotFoundError as error:
        if error.name != full:
            raise
        app.tell(f"this heats has no {module} screen", failed=True)
        return
    app.push_screen(found(*arguments, **options))
