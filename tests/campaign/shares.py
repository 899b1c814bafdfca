"""The kill campaign in shares, some of them at once, each a process of its own; what is done is kept in a log."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from engine.store.paths import RunPaths, open_store
from engine.store.status import State
from tests.campaign.kills import CONFIG
from tests.support import look, start

SHARE = 30
"""Kills by one process at most, mostly on one run: more would make its folder of attempts unlike any real one."""


def kill_campaign(folder: Path, kills: int, seed: int, parallel: int) -> dict[str, Any]:
    """Make so many kills.

    Returns:
        The number of kills by target, by the moment aimed at and by what they fell into, the number of runs and
        attempts, the promises that broke, and the seconds it took.
    """
    began = time.monotonic()
    log = folder / f"kills-{seed}-{kills}.jsonl"
    reference = _reference(folder / "undisturbed")
    count = min(kills, max(parallel, -(-kills // SHARE)))
    sizes = [kills // count + (number < kills % count) for number in range(count)]
    done = {record["share"] for record in _records(log) if "share" in record}
    with ThreadPoolExecutor(max_workers=max(1, parallel)) as pool, open(log, "a") as file:

        def work(number: int) -> None:
            command = [sys.executable, "-m", "tests.campaign.kills", str(folder)]
            words = [*map(str, (number, sizes[number], seed)), str(reference.folder)]
            process = subprocess.Popen([*command, *words], stdout=subprocess.PIPE, text=True)
            assert process.stdout is not None
            records = []
            for line in process.stdout:
                records.append(json.loads(line))
                if "target" in records[-1]:
                    _progress(number, len(records), sizes[number], records[-1], time.monotonic() - began)
            if process.wait():
                broken = [f"share {number} of the campaign ended with code {process.returncode}"]
                records.append({"share": number, "kills": 0, "runs": 0, "attempts": 0, "broken": broken, "died": True})
            # All of a share or nothing, so that a campaign that was broken off goes on with whole shares.
            file.write("".join(json.dumps(record) + "\n" for record in records))
            file.flush()

        list(pool.map(work, [number for number in range(len(sizes)) if number not in done]))
    records = _records(log)
    each = [record for record in records if "target" in record]
    shares = [record for record in records if "share" in record]
    return {
        "kills": len(each),
        "targets": dict(Counter(record["target"] for record in each)),
        "aimed": dict(Counter(record["aimed"] for record in each)),
        "hit": dict(Counter(record["hit"] for record in each)),
        "orphans": dict(Counter(record["then"] for record in each if record["then"] in ("stop", "stop --now", "kill"))),
        "runs": sum(share["runs"] for share in shares),
        "attempts": sum(share["attempts"] for share in shares),
        "broken": [one for share in shares for one in share["broken"]],
        "seconds": round(time.monotonic() - began, 1),
    }


def _reference(root: Path) -> RunPaths:
    """The undisturbed run; one of an earlier start is taken again if it has finished."""
    if (root / ".store.json").exists():
        store = open_store(root)
        for run_id in store.run_ids():
            if look(store.run(run_id)).status in (State.FINISHED, State.RUNNING, State.STARTING):
                return store.run(run_id)
    return start(root, CONFIG).run


def _records(log: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in log.read_text().splitlines()]
    except FileNotFoundError:
        return []


def _progress(share: int, number: int, of: int, record: dict[str, Any], seconds: float) -> None:
    place = f"{seconds:6.0f} s  share {share}  kill {number}/{of}"
    what = f"{record['target']:10} aimed at {record['aimed']:19} hit {record['hit']:25} next from {record['step']}"
    print(f"{place}  {what}{'  BROKEN: ' + '; '.join(record['broken']) if record['broken'] else ''}", flush=True)
