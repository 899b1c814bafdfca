"""`python -m tui.cli` is the same as `heats`."""

from __future__ import annotations

import os
import sys

import tui
from tui.cli import main


def _hand_down_our_code() -> None:
    """Let the programs that we start import the code that we run.

    Python put the working folder first on our path. If we come from there, a checkout that isn't installed, our
    programs wouldn't find it, since they leave the working folder out.
    """
    home = os.path.dirname(tui.__path__[0])
    given = os.environ.get("PYTHONPATH")
    if not sys.flags.safe_path and home == sys.path[0] and home not in (given or "").split(os.pathsep):
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (home, given)))


if __name__ == "__main__":
    _hand_down_our_code()
    sys.exit(main())
