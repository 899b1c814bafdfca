"""`heats machine`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tui import format as form
from tui.cli.options import AsJson, RunsDir
from tui.cli.table import Cell, Column, render
from tui.cli.terminal import glyphs, paint, print_json, safe

if TYPE_CHECKING:
    from engine.launch.machine import MachineView
    from engine.launch.processes import Process
    from tui.machine import QueueView

_LOOK_SECONDS = 0.3


def command(as_json: AsJson = False, runs_dir: RunsDir = None) -> None:
    """Show how busy this machine is: CPU, memory, disk, GPUs, what waits for a slot, and the processes of each run."""
    import time

    from engine.store.index import list_runs
    from engine.store.paths import default_root, open_store
    from tui.machine import MachineMemory, read_queue

    root = default_root(runs_dir)
    runs = list_runs(open_store(root)) if root.is_dir() else []
    memory = MachineMemory(root)
    memory.look(runs)
    time.sleep(_LOOK_SECONDS)  # a share of the CPU shows only between two looks
    view, queue = memory.look(runs), read_queue(root)
    if as_json:
        print_json(_to_json(view, queue))
    else:
        _print(view, queue, {run.id: run.name for run in runs})


def _to_json(view: MachineView, queue: QueueView) -> dict[str, Any]:
    from dataclasses import asdict

    from tui.machine import figures_json

    return {
        "figures": figures_json(view),
        "gpus": [asdict(gpu) | {"processes": [pid for pid, _ in gpu.processes]} for gpu in view.gpus],
        "gpu_problem": view.gpu_problem,
        "slots": [{"slot": slot.name, "run": slot.run} for slot in queue.slots],
        "waiting": len(queue.waiting),
        "paused": queue.paused,
        "processes": [asdict(process) for process in (*view.processes, *view.foreign)],
    }


def _print(view: MachineView, queue: QueueView, names: dict[str, str]) -> None:
    from tui.machine import gauges, slot_words

    for gauge in gauges(view):
        share = "" if gauge.share is None else f"{_bar(gauge.share)} "
        text = gauge.text if glyphs() else gauge.text.replace("°C", "C")
        print(f"{gauge.label:<9}{share}{safe(text)}")
    print()
    for slot in queue.slots:
        print(f"slot {slot.name}: {safe(slot_words(slot))}")
    paused = f"; the queue is paused: {safe(queue.reason)}" if queue.paused else ""
    count = len(queue.waiting)
    print(f"{count} run{'' if count == 1 else 's'} wait{'s' if count == 1 else ''}{paused}")
    if not (view.processes or view.foreign):
        print("no run has processes here")
        return
    print()
    columns = [
        Column("process", flexible=True, head=20), Column("pid", right=True), Column("cpu", right=True),
        Column("memory", right=True), Column("gpu", right=True), Column("for", right=True),
        Column("command", flexible=True),
    ]  # fmt: skip
    rows: list[list[Cell]] = []
    last: str | None = None
    for process in (*view.processes, *view.foreign):
        whose = process.run or "foreign"
        if whose != last:
            title = "on the GPUs, of nobody here" if process.run is None else names.get(whose, whose)
            rows.append([Cell(safe(title), "bold"), *[Cell("")] * 6])
            last = whose
        rows.append(_row(process))
    print(render(columns, rows))


def _row(process: Process) -> list[Cell]:
    share = "-" if process.cpu_percent is None else f"{process.cpu_percent:.0f} %"
    return [
        Cell("  " * (process.depth + 1) + process.role), Cell(str(process.pid)), Cell(share),
        Cell(form.size(process.memory)), Cell(form.size(process.gpu_memory)),
        Cell(form.ago(process.since) if process.since else "-"), Cell(safe(process.command)),
    ]  # fmt: skip


def _bar(share: float, width: int = 10) -> str:
    full = round(share * width)
    drawn = ("█" * full + "░" * (width - full)) if glyphs() else ("#" * full + "." * (width - full))
    return paint(drawn, "red" if share > 0.95 else "yellow" if share > 0.85 else "green")
