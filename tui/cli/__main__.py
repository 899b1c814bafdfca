"""`python -m tui.cli` is the same as `heats`."""

from __future__ import annotations

import sys

from tui.cli import main

sys.exit(main())
