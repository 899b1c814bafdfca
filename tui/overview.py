"""What is said of the selected run beside the table, the most important first. Pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui import format
from tui.cli.terminal import safe
from tui.run_header import state_line
from tui.widgets.run_columns import coarse_age

if TYPE_CHECKING:
    from engine.store.last_figures import LastFigures
    from engine.store.summary import RunSummary

_STALE_SECONDS = 60.0
_MOST_GPUS = 4


def overview_lines(
    run: RunSummary, figures: LastFigures | None, now: float, width: int, *, ascii_only: bool = False
) -> list[str]:
    """A run in a few lines, each in one: state, progress, alerts, load, where it belongs, tags and note.

    Args:
        run: which run.
        figures: its newest host figures.
        now: seconds since 1970.
        width: cells there are.
        ascii_only: no glyphs.
    """
    sign = "!" if ascii_only else "▲"
    lines = [state_line(run, now, ascii_only=ascii_only), progress_line(run, width, ascii_only=ascii_only)]
    lines += [f"{sign} {safe(text)}" for text in (*run.alerts[-2:], *run.problems[-1:])]
    load = figures_line(figures, now) if run.status.is_live else ""
    lines += [load] if load else []
    lines.append(_belongs_line(run))
    words = [*(f"+{tag}" for tag in run.tags), *([safe(" ".join(run.note.split()))] if run.note else [])]
    lines += [" ".join(words)] if words else []
    lines.append(safe(run.id))
    return [line[: max(1, width)] for line in lines]


def progress_line(run: RunSummary, width: int, *, ascii_only: bool = False) -> str:
    """How far a run is: a bar, steps, share, pace and the time that is left."""
    words = [format.progress(run.step, run.total_steps)]
    share = min(1.0, run.step / run.total_steps) if run.total_steps else None
    if share is not None:
        words.append(f"{share:.0%}")
    if run.status.is_live:
        words += [format.rate(run.rate)] if run.rate else []
        words += [f"{format.duration(run.left)} left"] if run.left is not None else []
    text = "  ".join(words)
    room = min(30, width - len(text) - 2)
    if share is None or room < 6:
        return f"step {text}"
    full = int(room * share)
    bar = "#" * full + "-" * (room - full) if ascii_only else "━" * full + "╌" * (room - full)
    return f"{bar}  {text}"


def figures_line(figures: LastFigures | None, now: float) -> str:
    """GPU and CPU of a run, and how old the figures are where they are old; empty where nothing is known."""
    if figures is None:
        return ""
    values, words = figures.values, []
    own = values.get("run_cpu_percent", values.get("trainer_cpu_percent"))
    if own is not None or "cpu_percent" in values:
        whole = f" (machine {values['cpu_percent']:.0f} %)" if "cpu_percent" in values else ""
        words.append(
            f"CPU {own:.0f} %{whole}" if own is not None else f"CPU of the machine {values['cpu_percent']:.0f} %"
        )
    memory = values.get("run_memory", values.get("trainer_memory"))
    words += [f"memory {format.size(int(memory))}"] if memory is not None else []
    gpus = sorted(int(name[3:-8]) for name in values if name.startswith("gpu") and name.endswith("_percent"))
    for number in gpus[:_MOST_GPUS]:
        used, total = values.get(f"gpu{number}_memory_used"), values.get(f"gpu{number}_memory_total")
        room = f" {format.size(int(used))} of {format.size(int(total))}" if used is not None and total else ""
        words.append(f"GPU {number} {values[f'gpu{number}_percent']:.0f} %{room}")
    words += [f"{len(gpus) - _MOST_GPUS} more GPUs"] if len(gpus) > _MOST_GPUS else []
    if words and now - figures.time > _STALE_SECONDS:
        words.append(f"{coarse_age(figures.time, now)} ago")
    return "  ".join(words)


def _belongs_line(run: RunSummary) -> str:
    words = [run.task]
    words += [f"{run.study} / {run.arm}" if run.arm else run.study] if run.study else []
    words += [f"seed {run.seed}"] if run.seed is not None else []
    words += [f"attempt {run.attempts}"] if run.attempts > 1 else []
    words += [f"on {run.host}"] if run.host else []
    best = [f"best {name} {format.number(value)}" for name, value in run.best.items() if name != "step"]
    words += best[:1]
    return "  ".join(safe(word) for word in words if word)
