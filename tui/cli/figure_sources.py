"""Where the figures of a run of the user's own script come from, for `heats show`."""

from __future__ import annotations

from typing import Any

from engine.store.files import read_json
from engine.store.paths import RunPaths

_WORDS = {"track": "engine.track", "tensorboard": "TensorBoard", "jsonl": "JSON lines", "csv": "CSV", "lines": "output"}


def read_sources(run: RunPaths) -> list[dict[str, Any]]:
    """What the newest attempt's collector says of them; empty for runs of our engine. Never raises."""
    attempts = run.attempts()
    content = read_json(attempts[-1].sources) if attempts else None
    found = content.get("sources") if content is not None else None
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def describe(run: RunPaths) -> list[str]:
    """A line a source, and what is to be known of them."""
    attempts = run.attempts()
    content = (read_json(attempts[-1].sources) if attempts else None) or {}
    lines = []
    for item in read_sources(run):
        path = f" {item['path']}" if item.get("path") and item.get("kind") != "lines" else ""
        remark = f"; {item['remark']}" if item.get("remark") else ""
        lines.append(f"{_WORDS.get(str(item.get('kind')), item.get('kind'))}{path} ({item.get('why')}){remark}")
    if content and not lines:
        lines.append("none was found yet: name files with exec.files, or lines with exec.pattern")
    return lines + ([str(content["note"])] if content.get("note") else [])
