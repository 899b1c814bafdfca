"""One app for one browser tab: `python -m tui.served STORE [--read-only] [--theme NAME]`, started by `heats serve`."""

from __future__ import annotations

import ctypes
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Run the app on the pipes of the server."""
    if sys.platform == "linux":  # whatever ends the server, even SIGKILL, ends its apps
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    from tui.heats_app import HeatsApp
    from tui.keymap import load

    root, *options = sys.argv[1:]
    theme = options[options.index("--theme") + 1] if "--theme" in options else None
    HeatsApp(Path(root), read_only="--read-only" in options, theme=theme, keymap=load()).run()


if __name__ == "__main__":
    main()
