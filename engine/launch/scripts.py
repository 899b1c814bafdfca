"""What is different about a run whose attempts aren't trained by our engine: its program, its folder, its code."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import HeatsError
from engine.store.paths import RunPaths, program
from engine.store.records import RunRecord, read_run

if TYPE_CHECKING:
    from engine.config.sections import RunConfig

ENGINE = "engine.train"


def runs_script(task: str) -> bool:
    """Whether attempts of a task run a command of the user's own, in a folder that belongs to it.

    Raises:
        HeatsError: no task of this name is installed.
    """
    from engine.config.tasks import config_class

    return config_class(task).trainer != ENGINE


def how_it_runs(run: RunPaths) -> dict[str, Any]:
    """The fields of an attempt's launch.json that its task decides: the program, and where it works."""
    from engine.config.tasks import config_class

    record = read_run(run.record)
    try:
        trainer = config_class(record.task).trainer if record is not None else ENGINE
    except HeatsError:  # whoever starts it will say so
        trainer = ENGINE
    facts: dict[str, Any] = {"command": (*program(trainer), str(run.folder))}
    if record is not None and record.folder is not None and os.path.isdir(record.folder):
        facts["folder"] = record.folder
    return facts


def working_folder(task: str, given: Path | None = None) -> Path | None:
    """The folder in which a new run's command works: the one given, else this process's; None for our engine's runs.

    Raises:
        HeatsError: the folder given isn't there.
    """
    if not runs_script(task):
        return None
    if given is not None and not given.is_dir():
        raise HeatsError("its working folder has gone", place=str(given), remedy="launch it anew from where it works")
    return given or Path.cwd()


def code_of(task: str, config: RunConfig | None, folder: Path | None) -> Path | None:
    """The folder whose code an attempt trains with: the task's package, or the script's folder.

    Args:
        task: which task.
        config: the run's, for the script's name.
        folder: the command's working folder; None for our engine's runs.
    """
    from engine.config.tasks import package_folder

    if folder is None:
        return package_folder(task)
    for word in command_words(config):
        path = folder / word
        if path.suffix in (".py", ".sh", ".jl", ".R", ".lua") and path.is_file():
            return path.parent.resolve()
    return folder


def code_of_run(record: RunRecord | None, config: RunConfig) -> Path | None:
    """The same for a run that is there; None where its record can't be read."""
    if record is None:
        return None
    return code_of(record.task, config, Path(record.folder) if record.folder is not None else None)


def command_words(config: RunConfig | None) -> list[str]:
    """The words of the command of a config that has one."""
    words = getattr(config, "words", None)
    return list(words()) if callable(words) else []


def names_files_of(repository: Path, config: RunConfig) -> str:
    """A word of the command that names a file of a repository by its whole path; empty where none does."""
    return next((word for word in command_words(config) if word.startswith(f"{repository}/")), "")


def refuse_missing_program(config: RunConfig, folder: Path | None) -> None:
    """Refuse a command whose program isn't there, before a run is made of it.

    Raises:
        HeatsError: with what to do about it.
    """
    words = command_words(config)
    if folder is None or not words:
        return
    name = words[0]
    if os.sep in name:
        found: str | None = str(folder / name) if os.access(folder / name, os.X_OK) else None
    else:
        found = shutil.which(name)
    if found is None or os.path.isdir(found):
        what = "isn't there or can't be run" if os.sep in name else "is no program that can be found"
        raise HeatsError(f"`{name}` {what}", place="exec", remedy="write the command as you would in a shell")
    script = words[1] if len(words) > 1 else ""
    if os.path.basename(name).startswith("python") and script.endswith(".py") and not (folder / script).is_file():
        raise HeatsError("there is no such script", place=str(folder / script), remedy="launch from where it works")
