"""What a run stands on, as lines: who launched it and how, its code with all that git lacks, machine and packages."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.store.paths import RunPaths
from engine.store.provenance import environment_changes, recorded
from engine.store.records import read_launch, read_run
from tui import format
from tui.cli.terminal import safe
from tui.event_lines import columns

_PACKAGES_FIRST = ("torch", "heats", "numpy", "safetensors", "transformers", "triton")
_MOST_PATCH_LINES = 50_000


@dataclass(frozen=True)
class Environment:
    """What one attempt stands on. `patch` are the code's uncommitted changes as a diff."""

    attempt: int
    attempts: tuple[int, ...]
    pairs: tuple[tuple[str, str], ...]
    """Names and values; an empty value makes the name a heading."""
    packages: tuple[tuple[str, str], ...]
    patch: str
    command: str
    place: str
    """Where the run lies."""


def read_environment(run: RunPaths, attempt: int | None) -> Environment:
    """Read what an attempt stands on, the newest by default. Never raises for what is there."""
    numbers = tuple(found.number for found in run.attempts())
    number = attempt if attempt in numbers else (numbers[-1] if numbers else 0)
    record = read_run(run.record)
    launch = read_launch(run.attempt(number).launch) if number else None
    known = recorded(run, number or None)
    here, code = known.environment, known.code
    command = shlex.join(record.command) if record and record.command else ""
    patch = known.patch.decode("utf-8", "replace")
    pairs: list[tuple[str, str]] = [("Run", ""), ("id", run.id)]
    if record is not None:
        pairs += [("name", record.name), ("task", record.task)]
        pairs += [("study", f"{record.study}, arm {record.arm}")] if record.study else []
        pairs += [("made from", record.parent)] if record.parent else []
        pairs += [("made", format.clock(record.created)), ("by", command or "-")]
    pairs.append(("folder", str(run.folder)))
    pairs.append((f"Attempt {number} of {len(numbers)}", ""))
    if launch is not None:
        pairs += [("started", format.clock(launch.started or launch.created)), ("host", launch.host)]
        if launch.resumed_from_step is not None:
            pairs.append(("resumed from", f"step {launch.resumed_from_step:,}"))
        pairs += [("working folder", launch.folder or "-"), ("command", shlex.join(launch.command) or "-")]
        pairs += [("pids", f"supervisor {launch.supervisor_pid or '-'}, trainer {launch.trainer_pid or '-'}")]
        if launch.processes > 1:
            each = f" on {launch.nodes} machines" if launch.nodes > 1 else ""
            pairs.append(("processes", f"{launch.processes}{each}, under torchrun"))
        pairs += [(f"${name}", str(value)) for name, value in launch.environment.items()]
    pairs.append(("Code", ""))
    lines = patch.count("\n")
    pairs.append(("commit", known.commit or "none: it isn't in git"))
    pairs.append(("uncommitted", f"a patch of {lines:,} lines, below" if lines else "nothing"))
    pairs += [(str(name).replace("_", " "), _text(value)) for name, value in code.items() if name not in ("commit",)]
    changes = environment_changes(recorded(run).environment, here) if number and number != numbers[0] else []
    if changes:
        pairs.append(("Changed since the run began", ""))
        pairs += [(change.key, f"{_text(change.first)} -> {_text(change.second)}") for change in changes]
    pairs.append(("Machine", ""))
    for name, value in here.items():
        if name not in ("schema", "packages", "code"):
            shown = format.size(value) if name.endswith("_bytes") and isinstance(value, int) else _text(value)
            pairs.append((name.removesuffix("_bytes").replace("_", " "), shown))
    found = here.get("packages")
    packages = found if isinstance(found, dict) else {}
    ordered = sorted(packages.items(), key=lambda pair: (pair[0] not in _PACKAGES_FIRST, pair[0]))
    return Environment(
        number, numbers, tuple(pairs), tuple((str(name), str(version)) for name, version in ordered), patch, command,
        str(run.folder),
    )  # fmt: skip


def environment_lines(found: Environment, width: int) -> tuple[list[str], list[str]]:
    """The lines and how each looks."""
    lines: list[str] = []
    kinds: list[str] = []

    def add(rows: Sequence[str], kind: str = "") -> None:
        lines.extend(rows)
        kinds.extend([kind] * len(rows))

    room = max((len(name) for name, value in found.pairs if value), default=0)
    for name, value in found.pairs:
        if not value:
            add([""] if lines else [])
            add([safe(name)], "head")
            continue
        add([safe(f"  {name:<{room}}  {value}")])
    if found.packages:
        add([""])
        add([f"{len(found.packages)} packages"], "head")
        add([safe(line) for line in columns(found.packages, width)])
    if found.patch.strip():
        add([""])
        add(["Uncommitted changes"], "head")
        rows = found.patch.split("\n")
        for row in rows[:_MOST_PATCH_LINES]:
            add([safe(row.expandtabs(4))], _diff_kind(row))
        if len(rows) > _MOST_PATCH_LINES:
            add([f"and {len(rows) - _MOST_PATCH_LINES:,} more lines: v opens all of it in the pager"], "muted")
    return lines, kinds


def _diff_kind(row: str) -> str:
    if row.startswith(("+++", "---", "diff ", "index ")):
        return "mark"
    return {"+": "good", "-": "bad", "@": "muted"}.get(row[:1], "")


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or value == []:
        return "none"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)
