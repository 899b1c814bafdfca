"""A package outside heats adds a task and its studies: the documented example, installed and used as people would."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from engine.store.paths import RunPaths, program
from engine.store.status import State
from tests.support import wait_for_state

EXAMPLE = Path(__file__).parents[3] / "docs" / "own-task"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example, installed into a folder of its own by pip, without a network."""
    source = shutil.copytree(EXAMPLE, tmp_path_factory.mktemp("source") / "own-task")
    place = tmp_path_factory.mktemp("packages")
    command = [
        sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index",
        "--disable-pip-version-check", "--target", str(place), str(source),
    ]  # fmt: skip
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode and "setuptools" in done.stderr:
        pytest.skip("setuptools, which builds the example, isn't installed")
    assert done.returncode == 0, done.stderr
    return place


def heats(packages: Path, root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A heats command where the example is installed."""
    environment = dict(os.environ)
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (environment.get("PYTHONPATH"), str(packages))))
    return subprocess.run(
        [*program("tui.cli"), "--runs-dir", str(root), *words], cwd=root.parent, env=environment, capture_output=True,
        text=True, check=False,
    )  # fmt: skip


def test_the_task_is_listed_with_its_options_and_trains(installed: Path, store_root: Path) -> None:
    assert "spirals" in [task["name"] for task in json.loads(heats(installed, store_root, "tasks", "--json").stdout)]
    assert "model.width = 32" in heats(installed, store_root, "tasks", "spirals").stdout
    words = ("launch", "spirals", "train.max_steps=60", "train.num_threads=1", "optim.lr=0.01", "--detach")
    done = heats(installed, store_root, *words)
    assert done.returncode == 0, done.stderr
    (folder,) = store_root.glob("*_spirals-w32_*")
    found = wait_for_state(RunPaths(folder), State.FINISHED)
    assert found.step == 60
    assert found.metrics["val/accuracy"] > 0.5


def test_its_studies_are_found_by_name(installed: Path, store_root: Path) -> None:
    done = heats(installed, store_root, "study", "show", "spirals-width", "--preset", "smoke")
    assert done.returncode == 0, done.stderr
    assert "Does a wider perceptron" in done.stdout
    assert "6 runs" in done.stdout


def test_without_the_package_its_runs_are_still_listed(installed: Path, store_root: Path, tmp_path: Path) -> None:
    words = ("launch", "spirals", "train.max_steps=5", "train.num_threads=1", "--detach")
    assert heats(installed, store_root, *words).returncode == 0
    (folder,) = store_root.glob("*_spirals-w32_*")
    wait_for_state(RunPaths(folder), State.FINISHED)
    without = heats(tmp_path / "nothing", store_root, "list", "--json")
    assert json.loads(without.stdout)[0]["status"] == "finished"
    resumed = heats(tmp_path / "nothing", store_root, "resume", "last")
    assert resumed.returncode == 2
    assert "unknown task `spirals`" in resumed.stderr
