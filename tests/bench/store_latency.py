"""`python -m tests.bench.store_latency`: a refresh of the list on a store whose every file operation takes a while.

5,000 made runs, 200 of them live on another host and beating (a process of its own rewrites their beats and appends to
their metrics). Two views of the same refresh:

- system calls, counted by strace where it is installed: what a refresh asks of the file system, whatever that costs;
- time with delays: every call of `open`, `os.open`, `os.stat`, `os.lstat`, `os.scandir`, `os.listdir` and of
  `os.path`'s `exists`, `lexists` and `isdir` on a path of the store sleeps first, as long as a round trip to a server
  takes. Reads of an open file aren't delayed.
"""

from __future__ import annotations

import argparse
import builtins
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.store.files import write_json
from engine.store.paths import open_store
from engine.store.records import Beat, write_beat
from tests.bench.made_store import fill
from tests.bench.report import emit, median, skip

_OTHER_HOST = "node07"
_BEAT_SECONDS = 10.0


def make(store: Path, runs: int, live: int) -> list[Path]:
    """The store; the folders of the live runs' attempts, as if another machine trained them."""
    fill(store, runs - live)
    before = set(open_store(store).run_ids())
    fill(store, live, first=runs - live, live=live)
    attempts = []
    for name in sorted(set(open_store(store).run_ids()) - before):
        attempt = store / name / "attempts" / "001"
        record = json.loads((attempt / "launch.json").read_text())
        write_json(attempt / "launch.json", record | {"host": _OTHER_HOST, "boot_id": "another"})
        write_beat(attempt / "beat.json", Beat(time.time(), _BEAT_SECONDS))
        attempts.append(attempt)
    return attempts


def beat(attempts: list[Path], step: int) -> None:
    """What the live runs do between two refreshes."""
    for attempt in attempts:
        write_beat(attempt / "beat.json", Beat(time.time(), _BEAT_SECONDS))
        with open(attempt / "metrics.jsonl", "ab") as file:
            file.write(json.dumps({"step": step, "time": time.time(), "train/loss": 1.0}).encode() + b"\n")


class Delays:
    """Every look at a path of the store takes this long more.

    Args:
        root: the store.
        seconds: of delay a call.
    """

    def __init__(self, root: Path, seconds: float) -> None:
        self.root, self.seconds, self.calls = str(root), seconds, 0

    def __enter__(self) -> Delays:
        self._kept: list[tuple[Any, str, Any]] = []
        places = [(builtins, "open"), (os, "open"), (os, "stat"), (os, "lstat"), (os, "scandir"), (os, "listdir"),
                  (os.path, "exists"), (os.path, "lexists"), (os.path, "isdir")]  # fmt: skip
        for owner, name in places:
            original = getattr(owner, name)
            self._kept.append((owner, name, original))
            setattr(owner, name, self._slow(original))
        return self

    def __exit__(self, *_: object) -> None:
        for owner, name, original in self._kept:
            setattr(owner, name, original)

    def _slow(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def slow(path: Any = ".", *rest: Any, **named: Any) -> Any:
            inside = named.get("dir_fd") is not None or (
                isinstance(path, (str, os.PathLike)) and str(os.fspath(path)).startswith(self.root)
            )
            if inside:
                self.calls += 1
                time.sleep(self.seconds)
            return original(path, *rest, **named)

        return slow


def refreshes(root: Path, attempts: list[Path], delay: float, rounds: int) -> None:
    """The list of a viewer that stays, refreshed again and again."""
    from engine.store.index import list_lines

    store = open_store(root)
    list_lines(store)
    times, calls = [], []
    for number in range(rounds):
        beat(attempts, 3000 + number)
        with Delays(root, delay) as delays:
            began = time.perf_counter()
            lines = list_lines(store)
            times.append(time.perf_counter() - began)
        calls.append(delays.calls)
    running = sum(str(line.status) == "running" for line in lines)
    emit(
        f"store_latency/refresh, {delay * 1e3:g} ms a call", median(times), "s", lowest=min(times), calls=calls[-1],
        runs=len(lines), running=running, load=os.getloadavg()[0],
    )  # fmt: skip


_CODE = """
import sys
from pathlib import Path
from engine.store.index import list_lines
from engine.store.paths import open_store
store = open_store(Path(sys.argv[1]))
for _ in range(int(sys.argv[2])):
    list_lines(store)
"""


def count_calls(root: Path) -> None:
    """System calls of one more refresh: those of three less those of two."""
    if shutil.which("strace") is None:
        skip("store_latency/system calls", "strace isn't installed")
        return
    totals = []
    for times in (2, 3):
        with tempfile.NamedTemporaryFile() as summary:
            command = ["strace", "-f", "-c", "-o", summary.name, sys.executable, "-c", _CODE, str(root), str(times)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            found = {}
            for line in Path(summary.name).read_text().splitlines():
                match = re.match(r"\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", line)
                if match and match[2] != "total":
                    found[match[2]] = int(match[1])
            totals.append(found)
    names = totals[0].keys() | totals[1].keys()
    more = {name: totals[1].get(name, 0) - totals[0].get(name, 0) for name in names}
    most = dict(sorted(((name, count) for name, count in more.items() if count > 0), key=lambda item: -item[1])[:8])
    facts: dict[str, Any] = dict(most)
    emit("store_latency/system calls a refresh", sum(count for count in more.values() if count > 0), "calls", **facts)


def main() -> int:
    """Make the store, then measure."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.store_latency", description=__doc__)
    parser.add_argument("runs", nargs="?", type=int, default=5000, help="how many runs")
    parser.add_argument("--live", type=int, default=200, help="how many of them are live")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--delays", type=float, nargs="*", default=[0.0, 0.5, 2.0], help="in milliseconds")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="heats-latency-") as folder:
        os.environ["XDG_CACHE_HOME"] = f"{folder}/cache"
        os.environ["HEATS_LOCK_DIR"] = f"{folder}/locks"
        root = Path(folder) / "runs"
        attempts = make(root, options.runs, options.live)
        for delay in options.delays:
            refreshes(root, attempts, delay / 1000, options.rounds)
        count_calls(root)
    return 0


if __name__ == "__main__":
    sys.exit(main())
