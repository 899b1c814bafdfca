"""What the engine says of itself: events.jsonl, the most trusted evidence of a run's status."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from engine.store.files import encode_number
from engine.train.appender import LineAppender


class EventLog:
    """Writes an attempt's events, each at once."""

    def __init__(self, path: Path) -> None:
        self._appender = LineAppender(path)

    def write(self, name: str, step: int | None = None, **facts: Any) -> None:
        """Append one event; durable before this returns if the disk allows."""
        record = {"event": name, "time": time.time(), "step": step} | {
            key: _plain(value) for key, value in facts.items()
        }
        self._appender.append((json.dumps(record) + "\n").encode())
        self._appender.sync()

    def close(self) -> None:
        self._appender.close()


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return encode_number(value)
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return value
