"""The app starts without torch, and without anything else that is heavy."""

from __future__ import annotations

import json
import subprocess
import sys

HEAVY = ("torch", "tensorboard", "transformers", "lightning", "safetensors", "pandas", "scipy", "matplotlib")


def test_the_app_imports_nothing_heavy() -> None:
    code = (
        "import sys, json, tui.app, tui.heats_app, tui.screens.run, tui.screens.launch;"
        f"print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(done.stdout) == []


def test_the_door_waits_with_textual() -> None:
    """Textual reads its environment at import, so `run_app` must come first."""
    code = "import sys, tui.app; print('textual' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "False"
