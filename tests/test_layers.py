"""Imports point one way, and what people wait for stays light: checked as contracts and in real processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.config.tasks import task_packages

ROOT = Path(__file__).parent.parent
HEAVY = ("torch", "transformers", "tensorboard", "safetensors", "numpy", "scipy", "pandas", "matplotlib")


def imported_by(modules: list[str], watched: tuple[str, ...]) -> list[str]:
    """Which of the watched modules a fresh interpreter has loaded after these imports."""
    code = (
        "import importlib, json, sys\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        f"print(json.dumps([name for name in {watched!r} if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    found: list[str] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_the_import_contracts_hold() -> None:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    environment = dict(os.environ) | {"PYTHONPATH": str(ROOT), "COLUMNS": "120"}
    done = subprocess.run(
        [*command, "--no-cache"], capture_output=True, text=True, cwd=ROOT, env=environment, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 broken" in done.stdout


def test_the_contracts_cover_every_installed_task() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    for package in task_packages().values():
        if package.startswith("engine.tasks."):
            assert f'"{package}.config"' in text, f"add {package}.config to the contract on task configs"


@pytest.mark.parametrize(
    "modules",
    [
        ["engine.store.summary", "engine.store.index", "engine.store.names", "engine.store.compare"],
        ["engine.store.checkpoints", "engine.store.create", "engine.store.stored_config"],
        ["engine.launch.actions"],
        ["engine.config.tasks", *[f"{package}.config" for package in task_packages().values()]],
    ],
    ids=["reading", "making", "launching", "configs"],
)
def test_what_people_wait_for_loads_nothing_heavy(modules: list[str]) -> None:
    assert imported_by(modules, HEAVY) == []


def test_launching_and_stopping_need_no_pydantic_until_a_config_is_read() -> None:
    assert imported_by(["engine.launch.actions"], ("pydantic", "yaml", "rich", "textual", "typer")) == []


def test_the_supervisor_starts_on_the_standard_library() -> None:
    watched = (*HEAVY, "pydantic", "pydantic_core", "yaml", "orjson", "psutil", "pynvml", "rich", "typer", "textual")
    assert imported_by(["engine.launch.supervisor"], watched) == []


def test_package_inits_import_nothing() -> None:
    packages = ["engine", *[path.parent for path in (ROOT / "engine").rglob("__init__.py")]]
    names = [".".join(path.relative_to(ROOT).parts) for path in packages if isinstance(path, Path)]
    assert len(names) >= 6
    assert imported_by(sorted(names), (*HEAVY, "pydantic", "yaml", "orjson", "engine.errors")) == []
