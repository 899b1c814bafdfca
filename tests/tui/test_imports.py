"""The app starts without torch, and without anything else that is heavy."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.engine.store.made import add_attempt, log_steps, make_run, make_store

HEAVY = ("torch", "tensorboard", "transformers", "lightning", "safetensors", "pandas", "scipy", "matplotlib")


def test_the_app_imports_nothing_heavy() -> None:
    code = (
        "import sys, json, tui.app, tui.heats_app, tui.screens.run, tui.screens.launch;"
        f"print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(done.stdout) == []


def test_numpy_comes_with_the_first_curve_and_not_in_the_thread_that_hears_the_keys(store_root: Path) -> None:
    """Its import takes as long as a fifth of all others: no paint waits for it, and no key."""
    log_steps(add_attempt(make_run(make_store(store_root))), range(1, 200))
    code = """
import asyncio, sys, threading
from pathlib import Path

class Watch:
    def find_spec(self, name, *_):
        if name == "numpy":
            threads.append(threading.current_thread() is threading.main_thread())

threads = []
sys.meta_path.insert(0, Watch())
from tui.heats_app import HeatsApp

async def look():
    app = HeatsApp(Path(sys.argv[1]))
    async with app.run_test(size=(120, 40)) as pilot:
        for _ in range(600):
            if app.tracker.view is not None:
                break
            await pilot.pause(0.05)
        await pilot.pause()

print(threads)
asyncio.run(look())
print(threads)
"""
    words = [sys.executable, "-c", code, str(store_root)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout.splitlines() == ["[]", "[False]"], done.stderr


def test_the_door_waits_with_textual() -> None:
    """Textual reads its environment at import, so `run_app` must come first."""
    code = "import sys, tui.app; print('textual' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "False"
