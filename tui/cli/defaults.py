"""Which options of a run differ from its task's defaults, without pydantic where that can be had.

Importing a task's config takes longer than `heats show` may take in all, so its defaults are kept in a throw-away
file on local disk, together with the modification times of the source files that they came from.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from pathlib import Path
from typing import Any

from engine.errors import HeatsError
from engine.store.files import read_json, write_json
from engine.store.paths import RunPaths

_SCHEMA = 1


def changed_from_defaults(run: RunPaths, task: str) -> dict[str, dict[str, Any]]:
    """`{key: {"default": ..., "value": ...}}` in the order of the run's config.

    Raises:
        HeatsError: its config can't be read, or its task isn't installed.
    """
    values = _read_config(run.config)
    defaults = {} if run.imported.exists() else _defaults(task)  # an imported run's task isn't ours
    unset = object()
    return {
        key: {"default": defaults.get(key), "value": value}
        for key, value in values.items()
        if defaults.get(key, unset) != value
    }


def _read_config(path: Path) -> dict[str, Any]:
    """A stored config by dotted key. `engine.config.resolve` does the same but needs pydantic."""
    import yaml

    try:
        content = yaml.load(path.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except OSError as error:
        raise HeatsError(f"config.yaml can't be read ({error.strerror})") from None
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError):
        raise HeatsError("config.yaml is damaged") from None
    if not isinstance(content, dict):
        raise HeatsError("config.yaml is damaged")
    return dict(_flat(content, ""))


def _flat(content: dict[Any, Any], prefix: str) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in content.items():
        found += _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else [(f"{prefix}{key}", value)]
    return found


def _defaults(task: str) -> dict[str, Any]:
    path = _cache_path(task)
    kept = read_json(path)
    if kept is not None and kept.get("schema") == _SCHEMA and _fresh(kept.get("sources")):
        defaults = kept.get("defaults")
        if isinstance(defaults, dict):
            return defaults
    return _compute(task, path)


def _cache_path(task: str) -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    # Another environment has other tasks under the same names.
    place = re.sub(r"\W+", "-", f"{sys.prefix}-{task}").strip("-")[-100:]
    return cache / "heats" / f"defaults-{place}.json"


def _fresh(sources: Any) -> bool:
    if not isinstance(sources, dict) or not sources:
        return False
    try:
        return all(os.stat(source).st_mtime_ns == changed for source, changed in sources.items())
    except OSError:
        return False


def _compute(task: str, path: Path) -> dict[str, Any]:
    from engine.config.resolve import flatten
    from engine.config.tasks import config_class

    try:
        config = config_class(task)()
    except HeatsError:
        raise
    except Exception as error:  # noqa: BLE001  somebody else's package
        raise HeatsError(f"the task `{task}` can't be loaded ({type(error).__name__}: {error})") from None
    defaults = flatten(config.model_dump())
    kinds = [type(config), *(type(section) for section in _sections(config))]
    modules = {base.__module__ for kind in kinds for base in kind.__mro__}
    files = {getattr(sys.modules[name], "__file__", None) for name in modules if name in sys.modules}
    sources = {file: os.stat(file).st_mtime_ns for file in files if file}
    with contextlib.suppress(OSError, HeatsError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, {"schema": _SCHEMA, "sources": sources, "defaults": defaults})
    return defaults


def _sections(config: Any) -> list[Any]:
    values = [getattr(config, name) for name in type(config).model_fields]
    sections = [value for value in values if hasattr(type(value), "model_fields")]
    return sections + [inner for section in sections for inner in _sections(section)]
