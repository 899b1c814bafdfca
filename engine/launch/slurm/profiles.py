"""What jobs ask of a cluster, under names of the user's own: ~/.config/heats/slurm.yaml.

a100:
  partition: gpu
  time: 8:00:00
  gres: gpu:a100:1
  cpus: 8
  memory: 32G
  modules: [cuda/12.4]
  setup:
    - source ~/venv/bin/activate
  options: {constraint: a100, qos: normal}
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from engine.config.options import nearest
from engine.config.yaml_file import Lines, read_mapping
from engine.errors import HeatsError

DEFAULT = "default"
WARN_SECONDS = 180
_TIME = re.compile(r"(?:(?P<days>\d+)-)?(?P<rest>\d+(?::\d+){0,2})")
_WORD = re.compile(r"[^\s'\"`$;&|<>\\]+")
_OPTION = re.compile(r"[a-z][a-z0-9-]*")
_OURS = {
    "job-name", "array", "output", "error", "open-mode", "requeue", "no-requeue", "signal", "chdir", "comment", "wrap",
    "parsable", "wait", "input",
}  # fmt: skip
_FIELDS_OF = {"partition": "partition", "account": "account", "time": "time", "gres": "gres", "cpus": "cpus-per-task",
              "memory": "mem"}  # fmt: skip


@dataclass(frozen=True)
class Profile:
    """What a job asks for. `warn_seconds` before its time limit it is told, saves, and goes back into the queue."""

    name: str = DEFAULT
    partition: str | None = None
    account: str | None = None
    time: str | None = None
    gres: str | None = None
    cpus: str | None = None
    memory: str | None = None
    warn_seconds: int = WARN_SECONDS
    modules: tuple[str, ...] = ()
    """Loaded by `module load`, in this order."""
    setup: tuple[str, ...] = ()
    """Lines of shell that come before training."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Further options of sbatch, by their long names; an empty value stands for an option without one."""

    def sbatch_options(self) -> dict[str, str]:
        """What it asks for, as long options of sbatch."""
        own = {option: getattr(self, name) for name, option in _FIELDS_OF.items()}
        return {name: value for name, value in own.items() if value is not None} | dict(self.options)


def profiles_path() -> Path:
    """Where the user's profiles are looked for."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "heats" / "slurm.yaml"


def read_profiles(path: Path | None = None) -> dict[str, Profile]:
    """All profiles by name; none where there is no file.

    Raises:
        HeatsError: a mistake in the file, with its line.
    """
    path = path or profiles_path()
    if not path.exists():
        return {}
    import yaml

    _, lines = read_mapping(path, "file of profiles")
    # All values as they are written: YAML would make the number 28,800 of `8:00:00`.
    content = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader) or {}
    return {name: _profile(name, section, path, lines) for name, section in content.items()}


def find_profile(name: str | None, path: Path | None = None) -> Profile:
    """The profile of a name. Without one: `default` where the user has such a one, else the cluster's own defaults.

    Raises:
        HeatsError: there is none of this name, or a mistake in the file.
    """
    path = path or profiles_path()
    profiles = read_profiles(path)
    if name is None:
        return profiles.get(DEFAULT, Profile())
    if name in profiles:
        return profiles[name]
    close = nearest(name, list(profiles))
    if not profiles:
        remedy = "write one there, as `NAME:` with lines such as `  partition: gpu` and `  time: 8:00:00`"
    else:
        remedy = f"did you mean `{close}`?" if close else f"there are {', '.join(profiles)}"
    raise HeatsError(f"there is no profile `{name}`", place=str(path), remedy=remedy)


def _profile(name: str, section: Any, path: Path, lines: Lines) -> Profile:
    def mistake(message: str, key: str | None = None, remedy: str | None = None) -> HeatsError:
        line = lines.get((name, key) if key else (name,)) or lines.get((name,))
        return HeatsError(message, place=f"{path}, line {line}" if line else str(path), remedy=remedy)

    if section in ("", None):
        return Profile(name)
    if not isinstance(section, dict):
        raise mistake(f"profile `{name}` must hold `key: value` lines")
    known = [item.name for item in fields(Profile) if item.name != "name"]
    values: dict[str, Any] = {}
    for key, value in section.items():
        if key not in known:
            close = nearest(str(key), known)
            remedy = f"did you mean `{close}`?" if close else f"other options of sbatch go under `options`: {key}: ..."
            raise mistake(f"profile `{name}` has an unknown key `{key}`", key, remedy)
        if key in ("modules", "setup"):
            values[key] = _texts(value)
            if values[key] is None or any("\n" in text for text in values[key] if key == "modules"):
                raise mistake(f"`{key}` of profile `{name}` must be a list of lines", key)
        elif key == "options":
            if not isinstance(value, dict):
                raise mistake(f"`options` of profile `{name}` must hold `key: value` lines", key)
            values[key] = {str(option).removeprefix("--"): str(given) for option, given in value.items()}
        elif not isinstance(value, str) or not _WORD.fullmatch(value):
            raise mistake(f"`{key}` of profile `{name}` must be one word", key)
        else:
            values[key] = value
    for option, given in values.get("options", {}).items():
        if not _OPTION.fullmatch(option) or (given and not _WORD.fullmatch(given)):
            raise mistake(f"`{option}: {given}` is no option of sbatch", "options")
        if option in _OURS or option in _FIELDS_OF.values():
            own = next((name for name, other in _FIELDS_OF.items() if other == option), None)
            remedy = f"write `{own}: {given}` above `options`" if own else "leave it out: heats sets it"
            raise mistake(f"`{option}` can't stand in `options`", "options", remedy)
    if any("\n" in module or not _WORD.fullmatch(module) for module in values.get("modules", ())):
        raise mistake(f"`modules` of profile `{name}` must be names of modules", "modules")
    if "warn_seconds" in values:
        if not values["warn_seconds"].isdigit() or not 10 <= int(values["warn_seconds"]) <= 65535:
            raise mistake("`warn_seconds` must be a whole number from 10 to 65535", "warn_seconds")
        values["warn_seconds"] = int(values["warn_seconds"])
    limit = values.get("time")
    seconds = time_seconds(limit) if limit is not None else None
    if limit is not None and seconds is None and limit.lower() not in ("unlimited", "infinite"):
        raise mistake(f"`time: {limit}` is no time", "time", "write it as HH:MM:SS, D-HH:MM:SS, or minutes")
    if seconds is not None and seconds <= values.get("warn_seconds", WARN_SECONDS):
        warn = values.get("warn_seconds", WARN_SECONDS)
        remedy = "give it more time, or a smaller `warn_seconds`"
        raise mistake(f"a job of {limit} would be told to save {warn} s before its end: at once", "time", remedy)
    return Profile(name, **values)


def time_seconds(text: str) -> int | None:
    """SLURM's way of writing a time limit, in seconds; None for what is none."""
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    parts = [int(part) for part in found["rest"].split(":")]
    if found["days"] is not None:  # D-H, D-H:M, D-H:M:S
        hours, minutes, seconds = [*parts, 0, 0][:3]
        return int(found["days"]) * 86400 + hours * 3600 + minutes * 60 + seconds
    if len(parts) == 1:
        return parts[0] * 60
    hours, minutes, seconds = parts if len(parts) == 3 else [0, *parts]
    return hours * 3600 + minutes * 60 + seconds


def _texts(value: Any) -> tuple[str, ...] | None:
    if isinstance(value, str):
        return tuple(value.splitlines())
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    return None
