"""`python -m tests.campaign [--kills N] [--damage N] [--seed S] [--parallel P] [--folder F]`: kill and damage runs.

Outside the test suite because of its length. Prints a line a kill and one line of JSON at the end; exit code 1 if a
promise broke, and then the runs are left where they are. Started again with the same --seed and --folder, it goes on
with the shares that aren't done yet.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.campaign.damage import damage_campaign
from tests.campaign.shares import kill_campaign


def main() -> int:
    """Run both campaigns, or the one whose number isn't 0."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description=__doc__)
    parser.add_argument("--kills", type=int, default=300, help="SIGKILLs (300)")
    parser.add_argument("--damage", type=int, default=2000, help="damaged files (2000)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30), help="of all draws")
    parser.add_argument("--parallel", type=int, default=2, help="runs that are killed at once (2)")
    parser.add_argument("--folder", type=Path, help="where the runs go, and where to go on (a temporary folder)")
    given = parser.parse_args()
    folder = (given.folder or Path(tempfile.gettempdir()) / f"heats-campaign-{given.seed}").absolute()
    folder.mkdir(parents=True, exist_ok=True)
    os.environ |= {"HEATS_LOCK_DIR": f"{folder}/locks", "XDG_CACHE_HOME": f"{folder}/cache"}
    print(f"seed {given.seed}, runs in {folder}", flush=True)
    report: dict[str, Any] = {"campaign": "heats", "seed": given.seed, "folder": str(folder)}
    if given.damage:
        report["damage"] = damage_campaign(folder / "damage", given.damage, random.Random(given.seed))
    if given.kills:
        report["kills"] = kill_campaign(folder, given.kills, given.seed, given.parallel)
    broken = [one for name in ("damage", "kills") for one in report.get(name, {}).get("broken", [])]
    for one in broken:
        print(f"BROKEN {one}", flush=True)
    print(json.dumps(report), flush=True)
    if not broken and given.folder is None:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
