"""Which tasks there are. A task is a package registered under the entry point group `heats.tasks`."""

from __future__ import annotations

import importlib
import importlib.util
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path

from engine.config.options import nearest
from engine.config.sections import RunConfig, TaskConfig
from engine.errors import HeatsError

ENTRY_POINT_GROUP = "heats.tasks"
STUDIES_GROUP = "heats.studies"
"""Packages outside heats whose folders hold study files."""


@cache
def task_packages() -> dict[str, str]:
    """Every installed task by name, with its package: `{"multiplication": "engine.tasks.multiplication"}`."""
    return {point.name: point.value for point in sorted(entry_points(group=ENTRY_POINT_GROUP))}


def task_package(name: str) -> str:
    """The package of a task.

    Raises:
        HeatsError: no task of this name is installed.
    """
    packages = task_packages()
    if name not in packages:
        suggestion = nearest(name, list(packages))
        remedy = f"did you mean `{suggestion}`?" if suggestion else f"there are: {', '.join(packages)}"
        raise HeatsError(f"unknown task `{name}`", remedy=remedy)
    return packages[name]


def study_folders() -> list[Path]:
    """The folders of study files that installed packages bring. A package that can't be found is left out."""
    found = []
    for point in sorted(entry_points(group=STUDIES_GROUP)):
        try:
            spec = importlib.util.find_spec(point.value)
        except (ImportError, ValueError, AttributeError):
            continue
        found += [Path(place) for place in (spec.submodule_search_locations or [] if spec else [])]
    return found


def config_class(task_name: str) -> type[RunConfig]:
    """The config class of a task, imported without anything heavy.

    Raises:
        HeatsError: no task of this name is installed.
    """
    module = importlib.import_module(f"{task_package(task_name)}.config")
    found: type[RunConfig] = module.Config
    return found


def training_class(task_name: str) -> type[TaskConfig]:
    """The config class of a task that our engine trains.

    Raises:
        HeatsError: no such task is installed, or it runs a command of the user's own.
    """
    found = config_class(task_name)
    if not issubclass(found, TaskConfig):
        raise HeatsError(f"the task `{task_name}` runs a command of its own, which our engine doesn't train")
    return found


def package_folder(task_name: str) -> Path | None:
    """The folder of a task's package, where its code's git state is found.

    Raises:
        HeatsError: no task of this name is installed.
    """
    spec = importlib.util.find_spec(task_package(task_name))
    locations = list(spec.submodule_search_locations or []) if spec else []
    return Path(locations[0]) if locations else None
