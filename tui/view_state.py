"""What a viewer chose: selection, order, filter, scale. Saved at each change, since a hang-up gives no time to."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from engine.errors import MachineError
from engine.store.files import read_json, write_atomic


@dataclass(frozen=True)
class ViewState:
    """The viewer's choices for one store."""

    selected: str | None = None
    sort: str = "age"
    reverse: bool = True
    filter: str = ""
    metric: str = "loss"
    log_y: bool = False
    smoothing: float = 0.0
    follow: bool = True
    wrap: bool = False
    """Break long lines of logs."""
    only_changed: bool = False
    """Show of configs only what differs from the defaults."""
    tab: str = "charts"
    """The tab that was open on a run's screen."""
    chart_axis: str = "step"
    chart_log_x: bool = False
    chart_clip: bool = False
    chart_bands: bool = False
    chart_columns: int = 0
    """Charts beside each other; 0 for as many as fit well."""
    chart_rows: int = 0
    chart_filter: str = ""
    chart_pinned: str = ""
    """Names of groups, one a line; so are those below."""
    chart_hidden: str = ""
    chart_order: str = ""
    chart_limits: str = ""
    """A group, and the limits of its y axis (nothing for a free one), a tab between them."""
    drafts: str = ""
    """What was typed into launch forms and not launched, as JSON (see `tui.form_origins`)."""
    theme: str = ""
    """`dark`, `light` or `contrast`; empty while none was chosen."""
    hinted: bool = False
    """Whether it was said once that there is a mode for slow links."""
    columns: tuple[str, ...] = ()
    """The columns of the runs table by their ids, options and metrics among them; none for what there is room for."""
    group: str = ""
    """What the runs are grouped by."""
    folded: tuple[str, ...] = ()
    opened: tuple[str, ...] = ()
    """Groups that were folded or opened by hand, by their keys."""
    marked: tuple[str, ...] = ()
    pinned: tuple[str, ...] = ()
    """Runs, by their ids."""
    show_archived: bool = False
    filters: tuple[str, ...] = ()
    """Saved filters, each as `name=text`."""
    checkpoint_scope: str = "all"
    problems_first: bool = False


def state_path(root: Path) -> Path:
    """Where the choices for a store are kept: under the user's state folder, never in the store."""
    record = read_json(root / ".store.json") or {}
    store_id = record.get("id")
    if not isinstance(store_id, str) or not store_id.isalnum():
        # No store yet: known by its place until it has an id.
        store_id = "at-" + hashlib.sha256(str(root.absolute()).encode()).hexdigest()[:12]
    base = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return base / "heats" / f"{store_id}.json"


def load(path: Path) -> ViewState:
    """The choices made last time; defaults for what is missing or of the wrong type."""
    content = read_json(path) or {}
    fallback = ViewState()
    values: dict[str, Any] = {}
    for field in fields(ViewState):
        value, default = content.get(field.name), getattr(fallback, field.name)
        if field.name == "selected":
            fits = isinstance(value, str)
        elif isinstance(default, float):
            fits = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1
        elif isinstance(default, tuple):
            value = _words(value)
            fits = value is not None
        else:
            fits = type(value) is type(default)
        if fits:
            values[field.name] = value
    return ViewState(**values)


def _words(value: Any) -> tuple[str, ...] | None:
    """A list of texts; None for anything else."""
    fits = isinstance(value, list) and all(isinstance(item, str) for item in value)
    return tuple(value) if fits else None


def save(path: Path, state: ViewState) -> None:
    """Keep the choices; losing them is no error (the disk may be full, the folder read-only)."""
    with contextlib.suppress(OSError, MachineError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, (json.dumps(asdict(state), indent=1) + "\n").encode())
