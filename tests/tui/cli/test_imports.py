"""What people wait for imports nothing heavy, and answers quickly."""

from __future__ import annotations

import subprocess
import sys

import pytest

from engine.store.paths import Store
from tests.tui.cli.stores import finished_run, process_environment

HEAVY = {"torch", "transformers", "tensorboard", "textual", "numpy", "scipy", "pandas", "matplotlib", "safetensors"}
SLOW = {"pydantic", "rich"}

_PROBE = """
import sys
from tui.cli.root import run
code = run(sys.argv[1:])
print("\\nLOADED", *{name.partition(".")[0] for name in sys.modules})
sys.exit(code)
"""


def _loaded(*words: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", _PROBE, *words], capture_output=True, text=True, timeout=250, check=False,
        env=process_environment(), stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return set(done.stdout.rpartition("LOADED")[2].split())


@pytest.mark.parametrize(
    "words",
    [
        ["list", "--json"],
        ["tasks", "multiplication"],
        ["watch", "last"],
        ["launch", "multiplication", "--dry-run"],
        ["checkpoints", "check", "last"],
        ["diff", "last", "last"],
        ["clone", "last", "--dry-run"],
        ["reproduce", "last", "--here", "--dry-run"],
    ],
)
def test_no_verb_imports_torch(store: Store, words: list[str]) -> None:
    finished_run(store)
    assert not _loaded("--runs-dir", str(store.root), *words) & HEAVY
