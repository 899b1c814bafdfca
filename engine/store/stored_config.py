"""The config that a run's next attempt will train by: what was stored, and every override since."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from engine.config.resolve import by_key, content_hash, flatten, parse_overrides, read_yaml_file, resolve
from engine.config.sections import RunConfig, TaskConfig
from engine.config.tasks import config_class
from engine.config.yaml_file import read_mapping
from engine.errors import HeatsError
from engine.store.paths import RunPaths
from engine.store.records import read_launch, read_run

__all__ = ["apply_overrides", "effective_config", "parse_overrides", "training_config"]


def effective_config(run: RunPaths, *, up_to_attempt: int | None = None) -> RunConfig:
    """The stored config with the overrides of all attempts (or those up to one) applied in order.

    Raises:
        HeatsError: config.yaml, run.json or a launch.json is missing or damaged, or the task isn't installed.
    """
    record = read_run(run.record)
    if record is None:
        raise HeatsError("its run.json is missing or damaged", place=run.id, remedy="see `heats show`")
    if os.path.exists(run.imported):
        raise HeatsError("it was imported, so there is nothing here to train it with", place=run.id)
    values = read_yaml_file(run.config)
    if not values:  # every option is written down when a run is made: without them all it would train by defaults
        raise HeatsError("is empty or damaged", place=str(run.config))
    for attempt in run.attempts():
        if up_to_attempt is not None and attempt.number > up_to_attempt:
            break
        launch = read_launch(attempt.launch)
        if launch is None and os.path.exists(attempt.launch):
            raise HeatsError("is damaged, so its overrides are unknown", place=str(attempt.launch))
        for key, change in (launch.overrides if launch else {}).items():
            if isinstance(change, dict) and "to" in change:
                values[key] = change["to"]
    return resolve(config_class(record.task), values, place=str(run.config))


def training_config(run: RunPaths, *, up_to_attempt: int | None = None) -> TaskConfig:
    """The same for what only our engine's runs can: checkpoints of ours, and retraining.

    Raises:
        HeatsError: as `effective_config`, or the run is of a command of the user's own.
    """
    config = effective_config(run, up_to_attempt=up_to_attempt)
    if not isinstance(config, TaskConfig):
        raise HeatsError("it runs a command of its own, whose checkpoints only that command knows", place=run.id)
    return config


def was_edited(run: RunPaths) -> bool:
    """Whether config.yaml says something else than when the run was made. False where that can't be told."""
    record = read_run(run.record)
    if record is None or not record.config_hash or os.path.exists(run.imported):
        return False
    try:
        return content_hash(read_mapping(run.config)[0]) != record.config_hash
    except (HeatsError, TypeError, ValueError, RecursionError):
        return False  # damage is told elsewhere


def apply_overrides(config: RunConfig, overrides: Mapping[str, Any], *, place: str | None = None) -> RunConfig:
    """A config with some options changed.

    Raises:
        HeatsError: an unknown key, a wrong type, or values that don't fit together.
    """
    return resolve(type(config), flatten(config.model_dump()) | by_key(type(config), overrides), place=place)
