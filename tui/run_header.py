"""The lines above a run's tabs: what it is doing and why, how far it is, and what is wrong. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len

from tui import format
from tui.cli.terminal import safe
from tui.widgets.run_columns import coarse_age, fit_text, short_name

if TYPE_CHECKING:
    from engine.store.summary import RunSummary

_BAR = 20


def state_line(run: RunSummary, now: float, *, why: bool = True, ascii_only: bool = False) -> str:
    """What a run is doing, for how long or how long ago, and why: `✔ finished 5m ago, at step 160`."""
    text = format.state_label(run.status, ascii_only=ascii_only)
    if run.since is not None:
        age = coarse_age(run.since, now)
        if run.status.is_final:
            text += " just now" if age == "now" else f" {age} ago"
        elif age != "now":
            text += f" for {age}"
    reason = safe(run.reason) if why else ""
    said = f"{run.status} "
    return text + (f", {reason.removeprefix(said)}" if reason.startswith(said) else f": {reason}" if reason else "")


def title_line(run: RunSummary, width: int, now: float, *, ascii_only: bool = False, with_step: bool = False) -> str:
    """Name, status, since when, and why; or, where it is the only line, how far it is."""
    marks = "".join(sign for sign, on in (("*", run.star), ("#", run.archived)) if on)
    head = f"{marks + ' ' if marks else ''}{safe(short_name(run))}  "
    text = head + state_line(run, now, ascii_only=ascii_only)
    if with_step:
        state = state_line(run, now, why=False, ascii_only=ascii_only)
        text = f"{head}{state}  {format.progress(run.step, run.total_steps)}"
    return fit_text(text, width, ellipsis="~" if ascii_only else "…").rstrip()


def progress_line(run: RunSummary, width: int, *, ascii_only: bool = False) -> str:
    """A bar, steps, pace, time left, losses and attempts: as many of these as fit, in this order."""
    parts = [format.progress(run.step, run.total_steps)]
    if run.total_steps:
        share = min(1.0, run.step / run.total_steps)
        cells = min(_BAR, max(6, width // 6))
        full = int(share * cells)
        bar = ("#" * full + "-" * (cells - full)) if ascii_only else ("━" * full + "╌" * (cells - full))
        parts.insert(0, f"{bar} {share:.0%}")
    if run.status.is_live:
        parts += [format.rate(run.rate)] if run.rate else []
        parts += [f"{_to_the_minute(run.left)} left"] if run.left else []
    parts += [f"loss {format.number(run.loss)}"] if run.loss is not None else []
    best = [(name, value) for name, value in run.best.items() if name != "step"][:1]
    parts += [f"best {name} {format.number(value)}" for name, value in best]
    parts += [f"attempt {run.attempts}"] if run.attempts > 1 else []
    parts += [" ".join(f"+{tag}" for tag in run.tags)] if run.tags else []
    parts += [f"{run.study}/{run.arm}"] if run.study else []
    text, separator = "", "  |  " if ascii_only else "  ·  "
    for part in parts:
        longer = f"{text}{separator if text else ''}{safe(part)}"
        if cell_len(longer) <= width or not text:
            text = longer
    return text


def wrong_lines(run: RunSummary, width: int, most: int, *, ascii_only: bool = False) -> list[str]:
    """The newest alerts, why it isn't to be trusted, and damage; the rest is counted."""
    found: Sequence[str] = (
        *((f"not to be trusted: {run.suspect}",) if run.suspect else ()),
        *reversed(run.problems),
        *reversed(run.alerts),
    )  # fmt: skip
    sign, cut = ("!", "~") if ascii_only else ("▲", "…")
    shown = [fit_text(f"{sign} {safe(text)}", width, ellipsis=cut).rstrip() for text in found[:most]]
    if shown and len(found) > most:
        more = f"  (+{len(found) - most}: 5 Events)"
        shown[-1] = fit_text(shown[-1], max(0, width - len(more)), ellipsis=cut).rstrip() + more
    return shown


def _to_the_minute(seconds: float) -> str:
    """A figure that jumps each second helps nobody."""
    return format.duration(seconds if seconds < 60 else seconds // 60 * 60)
