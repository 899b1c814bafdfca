"""A run's config as lines: by section, what differs from the task's defaults marked, and what attempts changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.store.paths import RunPaths
from engine.store.records import read_launch, read_run
from tui.cli.terminal import safe


@dataclass(frozen=True)
class Entry:
    """One option: its value at the start and now, the task's default, and what attempts made of it."""

    key: str
    value: Any
    default: Any = None
    known: bool = False
    """Whether the task, as it is installed, has this option, so that there is a default to compare with."""
    help: str = ""
    changes: tuple[tuple[int, Any, Any], ...] = ()
    """Attempt, value before, value from then on."""

    @property
    def differs(self) -> bool:
        """Whether it isn't what somebody gets who says nothing."""
        return bool(self.changes) or (self.known and self.value != self.default)


@dataclass(frozen=True)
class Config:
    """A run's options in the order of its file; `problem` where they or the defaults can't be had."""

    entries: tuple[Entry, ...] = ()
    text: str = ""
    """The file."""
    effective: str = ""
    """The same with the changes of all attempts, as YAML."""
    problem: str = ""


def read_config(run: RunPaths) -> Config:
    """Read a run's config, what its attempts changed, and the defaults of its task. Never raises for what is there."""
    from engine.store.plain_yaml import YamlValues

    try:
        text = run.config.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        return Config(problem=f"there is no config.yaml ({error.strerror})")
    values = YamlValues().read(run.config)
    if values is None:
        return Config(text=text, problem="its config.yaml is damaged; shown as it stands")
    record = read_run(run.record)
    options, problem = _options(record.task if record else "")
    changes: dict[str, list[tuple[int, Any, Any]]] = {}
    for attempt in run.attempts():
        launch = read_launch(attempt.launch)
        for key, change in (launch.overrides if launch else {}).items():
            if isinstance(change, dict) and "to" in change:
                changes.setdefault(key, []).append((attempt.number, change.get("from"), change["to"]))
    entries = []
    for key in [*values, *(key for key in changes if key not in values)]:
        option = options.get(key)
        made = tuple(changes.get(key, ()))
        value = made[-1][2] if made else values.get(key)
        default, known = (option.default, True) if option is not None else (None, False)
        entries.append(Entry(key, value, default, known, option.help if option is not None else "", made))
    return Config(tuple(entries), text, _effective(run) or text, problem)


def _options(task: str) -> tuple[dict[str, Any], str]:
    from engine.config.options import list_options
    from engine.config.tasks import config_class
    from engine.errors import HeatsError

    try:
        return {option.key: option for option in list_options(config_class(task))}, ""
    except HeatsError as error:
        return {}, f"defaults are unknown: {error}"


def _effective(run: RunPaths) -> str:
    from engine.config.resolve import dump_yaml
    from engine.errors import HeatsError
    from engine.store.stored_config import effective_config

    try:
        return dump_yaml(effective_config(run))
    except HeatsError:
        return ""


def config_lines(
    config: Config, width: int, *, only_changed: bool, ascii_only: bool = False
) -> tuple[list[str], list[str], list[Entry | None]]:
    """The lines, how each looks, and the option that each is about.

    Args:
        config: as read.
        width: cells; where there are many the help stands behind.
        only_changed: leave out what is as its default.
        ascii_only: no glyphs.
    """
    if not config.entries:
        plain = [safe(line) for line in config.text.splitlines()]
        return plain, [""] * len(plain), [None] * len(plain)
    shown = [entry for entry in config.entries if entry.differs or not only_changed]
    lines: list[str] = []
    kinds: list[str] = []
    about: list[Entry | None] = []
    section = None
    for entry in shown:
        head, _, name = entry.key.rpartition(".")
        if head != section:
            section = head
            if lines:
                lines, kinds, about = [*lines, ""], [*kinds, ""], [*about, None]
            if head:
                lines.append(safe(head))
                kinds.append("head")
                about.append(None)
        mark = ("*" if ascii_only else "●") if entry.differs else " "
        text = f"{mark} {name:<24} {value_text(entry.value):<14}"
        notes = difference(entry)
        if notes:
            text += f" {notes}"
        elif width >= 110 and entry.help:
            text += f" {entry.help.splitlines()[0]}"
        lines.append(safe(text.rstrip()))
        kinds.append("warn" if entry.changes else ("mark" if entry.differs else ""))
        about.append(entry)
    return lines, kinds, about


def difference(entry: Entry) -> str:
    """How an option differs, in words."""
    words = [f"default {value_text(entry.default)}"] if entry.known and entry.value != entry.default else []
    words += [f"attempt {number}: {value_text(old)} -> {value_text(new)}" for number, old, new in entry.changes]
    return "; ".join(words)


def summary(config: Config, *, only_changed: bool) -> str:
    """How many options there are and how many differ."""
    if not config.entries:
        return config.problem or "no options"
    differing = sum(entry.differs for entry in config.entries)
    changed = sum(bool(entry.changes) for entry in config.entries)
    known = any(entry.known for entry in config.entries)
    parts = [f"{len(config.entries)} options"]
    parts.append(f"{differing} not as the task's default" if known else "defaults unknown")
    parts += [f"{changed} changed by later attempts"] if changed else []
    parts += ["only these are shown: d shows all"] if only_changed else []
    parts += [config.problem] if config.problem and known else []
    return ", ".join(parts)


def entry_text(entry: Entry) -> str:
    """An option in one line: key, value, and what it is."""
    notes = difference(entry)
    return safe(
        f"{entry.key} = {value_text(entry.value)}"
        + (f" ({notes})" if notes else "")
        + (f": {entry.help}" if entry.help else "")
    )


def value_text(value: Any) -> str:
    """A value as it stands in the file."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    if isinstance(value, float):
        return f"{value:g}" if f"{value:g}" and float(f"{value:g}") == value else repr(value)
    return str(value)
