"""`python -m tests.bench.chart_terminal`: charts in a real terminal, ours beside W&B LEET: time, bytes, CPU."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from tests.bench import made_curves
from tests.bench.report import emit, median, skip
from tests.bench.terminal import Terminal, missing_tmux, over

_STEPS, _METRICS, _SERIES = 50_000, 20, 10
_IDLE, _LIVE = 15.0, 20.0


def heats(root: Path, home: Path, *, columns: int = 80, rows: int = 24) -> Terminal:
    """Our app on a store."""
    words = [str(Path(sys.executable).with_name("python")), "-m", "tui.cli", "--runs-dir", str(root)]
    return Terminal(words, columns=columns, rows=rows, env=_env(home))


def _env(home: Path) -> dict[str, str]:
    names = ("PATH", "PYTHONPATH", "OMP_NUM_THREADS")
    kept = {name: os.environ[name] for name in names if name in os.environ}
    return kept | {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "XDG_STATE_HOME": str(home / "state")}


def leet(run: Path, home: Path) -> Terminal:
    """LEET on a run."""
    words = [str(Path(made_curves.peer_python()).with_name("wandb")), "leet", "run", str(run)]
    return Terminal(words, env=_env(home))


def paint(folder: Path, rounds: int) -> None:
    """From the start of the program to the chart of a run of a million scalars."""
    root = folder / "long"
    made_curves.our_run(root, _STEPS, _METRICS)
    log = next(root.glob("*/attempts/001/metrics.jsonl"))
    cold: list[float] = []
    again: list[float] = []
    for number in range(rounds):
        home = folder / f"home-{number}"
        for found in (cold, again):
            with heats(root, home) as terminal:
                found.append(terminal.until(lambda screen: "⣿" in screen or "50k" in screen))
                time.sleep(4.0)  # what was read is kept after it is shown
    theirs: list[float] = []
    why = made_curves.missing_wandb()
    if why is None:
        writer = made_curves.wandb_run(folder / "theirs", _STEPS, _METRICS)
        run = made_curves.wandb_folder(folder / "theirs")
        writer.wait()
        last = str(_STEPS - 1)
        for number in range(rounds):
            with leet(run, folder / f"leet-{number}") as terminal:
                theirs.append(terminal.until(lambda screen: last in screen))
    else:
        skip("chart_terminal/leet", why)
    facts = {"scalars": _STEPS * _METRICS, "log_bytes": log.stat().st_size, "load": os.getloadavg()[0]}
    peer = median(theirs) if theirs else None
    emit("chart_terminal/paint of 10^6 scalars, cold", median(cold), "s", "wandb leet", peer, **facts)
    emit("chart_terminal/paint of 10^6 scalars, again", median(again), "s", "wandb leet", peer, **facts)


def live(folder: Path) -> None:
    """Bytes a second and CPU with ten series that get a point twice a second, and with nothing happening."""
    ours = _live_ours(folder)
    theirs = _live_leet(folder) if made_curves.missing_wandb() is None else {}
    for name, (sent, share) in ours.items():
        peer = theirs.get(name)
        load = os.getloadavg()[0]
        emit(f"chart_terminal/{name}, sent", sent, "B/s", "wandb leet", peer[0] if peer else None, load=load)
        emit(
            f"chart_terminal/{name}, computed", 100 * share, "% of a core", "wandb leet",
            100 * peer[1] if peer else None, load=load,
        )  # fmt: skip


def _live_ours(folder: Path) -> dict[str, tuple[float, float]]:
    root = folder / "live"
    path = made_curves.our_run(root, 1500, _SERIES, live=True)
    found = {}
    with heats(root, folder / "home-live") as terminal:
        terminal.until(lambda screen: "running" in screen)
        terminal.settle()
        terminal.keys("z")
        terminal.until(lambda screen: "chart 1 of" in screen)
        for columns in ("{", "{"):
            terminal.keys(columns)
        time.sleep(1.0)
        terminal.settle()
        found["nothing happening"] = over(terminal, _IDLE)
        ended = threading.Event()
        writer = threading.Thread(target=_log_on, args=(path, ended))
        writer.start()
        time.sleep(3.0)
        found["grid live at 2 Hz, 80x24"] = over(terminal, _LIVE)
        ended.set()
        writer.join()
    ten = folder / "ten"
    path = _ten_series(ten)
    with heats(ten, folder / "home-ten") as terminal:
        terminal.until(lambda screen: "running" in screen)
        terminal.settle()
        terminal.keys("z")
        terminal.until(lambda screen: "chart 1 of" in screen)
        terminal.keys("Enter")
        terminal.settle()
        ended = threading.Event()
        writer = threading.Thread(target=_log_on, args=(path, ended, True))
        writer.start()
        time.sleep(3.0)
        found["ten series in one chart live at 2 Hz, 80x24"] = over(terminal, _LIVE)
        ended.set()
        writer.join()
    return found


def _ten_series(root: Path) -> Path:
    path = made_curves.our_run(root, 10, 1, live=True)
    path.write_text("".join(_one_chart(line) for line in made_curves.lines(1500, _SERIES, total=3000)))
    return path


def _one_chart(line: str) -> str:
    """The same with the metrics as parts of one chart: m00/loss, m01/loss."""
    return re.sub(r"train/metric_(\d\d)", r"m\1/loss", line)


def _log_on(path: Path, ended: threading.Event, together: bool = False) -> None:
    step = 1500
    with path.open("a") as file:
        while not ended.wait(0.5):
            step += 1
            line = made_curves.lines(1, _SERIES, step, 3000)[0]
            line = re.sub(r'"time": [0-9.]+', f'"time": {time.time()}', line)
            file.write(_one_chart(line) if together else line)
            file.flush()


def _live_leet(folder: Path) -> dict[str, tuple[float, float]]:
    found = {}
    done = made_curves.wandb_run(folder / "leet-idle", 1500, _SERIES)
    run = made_curves.wandb_folder(folder / "leet-idle")
    done.wait()
    with leet(run, folder / "leet-home") as terminal:
        terminal.until(lambda screen: "1499" in screen)
        terminal.settle(seconds=10.0)
        found["nothing happening"] = over(terminal, _IDLE)
    writer = made_curves.wandb_run(folder / "leet-live", 3000, _SERIES, rate=2.0)
    try:
        run = made_curves.wandb_folder(folder / "leet-live")
        with leet(run, folder / "leet-home") as terminal:
            terminal.until(lambda screen: "metric_00" in screen)
            time.sleep(3.0)
            found["grid live at 2 Hz, 80x24"] = over(terminal, _LIVE)
    finally:
        writer.kill()
        writer.wait()
    return found


def main() -> None:
    """Paint, then live."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=("paint", "live"))
    arguments = parser.parse_args()
    why = missing_tmux()
    if why is not None:
        skip("chart_terminal", why)
        return
    folder = Path(tempfile.mkdtemp(prefix="heats-bench-"))
    try:
        if arguments.only != "live":
            paint(folder, arguments.rounds)
        if arguments.only != "paint":
            live(folder)
    except (TimeoutError, subprocess.SubprocessError) as error:
        skip("chart_terminal", f"it never came to be so: {error}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
