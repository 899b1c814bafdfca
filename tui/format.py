"""How numbers, times and statuses look, the same in the app and on the command line. Pure functions, no Rich."""

from __future__ import annotations

import math
import os
import time

from engine.store.status import State

STATE_COLORS = {
    State.QUEUED: "bright_black",
    State.STARTING: "cyan",
    State.RUNNING: "green",
    State.STOPPING: "yellow",
    State.FINISHED: "blue",
    State.STOPPED: "bright_black",
    State.FAILED: "red",
    State.KILLED: "red",
    State.PREEMPTED: "yellow",
    State.STALLED: "yellow",
    State.SILENT: "magenta",
    State.LOST: "red",
}
"""Colour by state; never the only sign of it."""


def number(value: float | None) -> str:
    """A metric in at most about eight characters: 0.00123, 12.3, 1.2e-05, NaN; a dash for none."""
    if value is None:
        return "-"
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("inf" if value > 0 else "-inf")
    if value == 0:
        return "0"
    size = abs(value)
    if 1e-3 <= size < 9999.5:
        return f"{value:.4g}"
    if 1 <= size < 99999.5:
        return f"{value:.0f}"
    return f"{value:.2e}" if value > 0 else f"{value:.1e}"


def count(value: int | None) -> str:
    """A whole number with thousands apart: 12,000; a dash for none."""
    return "-" if value is None else f"{value:,}"


def duration(seconds: float | None) -> str:
    """A span in its two largest units: 45s, 3m12s, 2h05m, 3d4h; a dash for none."""
    if seconds is None or not math.isfinite(seconds):
        return "-"
    whole = int(max(0.0, seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d{whole % 86400 // 3600}h"


def ago(moment: float | None, now: float | None = None) -> str:
    """How long ago a moment (seconds since 1970) was."""
    if moment is None:
        return "-"
    return duration((time.time() if now is None else now) - moment)


def clock(moment: float | None) -> str:
    """A moment in local time, to the second."""
    return "-" if moment is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))


def rate(steps_per_second: float | None) -> str:
    """A pace: 12.3/s, or seconds a step when slower than one a second."""
    if not steps_per_second:
        return "-"
    return f"{steps_per_second:.3g}/s" if steps_per_second >= 1 else f"{1 / steps_per_second:.3g}s/step"


def size(count_bytes: int | None) -> str:
    """Bytes in the largest fitting unit: 1.2 MiB."""
    if count_bytes is None:
        return "-"
    value = float(count_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    raise AssertionError("unreachable")


def progress(step: int, total: int | None) -> str:
    """`1,200/10,000`, or the step alone where the end isn't known."""
    return f"{step:,}/{total:,}" if total else f"{step:,}"


def unicode_works() -> bool:
    """Whether the locale promises UTF-8; glyphs and braille need it."""
    locale = os.environ.get("LC_ALL") or os.environ.get("LC_CTYPE") or os.environ.get("LANG") or ""
    return "utf" in locale.lower()


def state_label(state: State, *, ascii_only: bool = False) -> str:
    """Glyph and word: `● running`."""
    return f"{state.ascii_glyph if ascii_only else state.glyph} {state}"


def short(value: float) -> str:
    """An axis label in at most seven characters: 0.05, 12, 1.5k, 2M, 1e-05."""
    size = abs(value)
    for bound, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if size >= bound:
            return f"{value / bound:.4g}{unit}" if size < 1e12 else f"{value:.1e}"
    if size and size < 1e-3:
        return f"{value:.0e}".replace("e-0", "e-")
    return f"{value:.4g}"
