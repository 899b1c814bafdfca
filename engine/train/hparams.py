"""TensorBoard's table of runs: each run's options beside its figures, in the form that its plugin hparams reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.config.resolve import flatten
from engine.config.sections import TaskConfig

_LEFT_OUT = ("checkpoint.", "guard.")
"""Sections that say how a run is kept and watched: columns that nobody compares."""


def shown_options(config: TaskConfig) -> dict[str, bool | float | str]:
    """The options that the table shows, by dotted key, as the kinds of value that it knows."""
    flat = flatten(config.model_dump())
    return {key: _plain(value) for key, value in flat.items() if not key.startswith(_LEFT_OUT)}


def _plain(value: Any) -> bool | float | str:
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int | float):
        return float(value)
    return "" if value is None else str(value)


def session_start(options: Mapping[str, bool | float | str], name: str, moment: float) -> Any:
    """The summary value that makes a run a row of the table.

    No `experiment` is written: without one the plugin gathers columns from all runs, so that runs of several tasks can
    stand in one table (it takes the first `experiment` that it finds to hold for all).

    Args:
        options: see `shown_options`.
        name: the run's id.
        moment: when it began, in seconds since 1970.
    """
    from tensorboard.compat.proto import summary_pb2
    from tensorboard.plugins.hparams import metadata, plugin_data_pb2

    start = plugin_data_pb2.SessionStartInfo(start_time_secs=moment, group_name=name)
    for key, value in options.items():
        # A field of the kind that the value has; setting one by name needs no class of protobuf's own.
        kind = "bool_value" if isinstance(value, bool) else "string_value" if isinstance(value, str) else "number_value"
        setattr(start.hparams[key], kind, value)
    content = metadata.create_summary_metadata(plugin_data_pb2.HParamsPluginData(session_start_info=start))
    return summary_pb2.Summary.Value(tag=metadata.SESSION_START_INFO_TAG, metadata=content, tensor=metadata.NULL_TENSOR)
