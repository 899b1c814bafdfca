"""Truncations and flipped bits in every file of a run: readers never raise, and nothing damaged is trained on."""

from __future__ import annotations

import random
import shutil
import time
from pathlib import Path
from typing import Any

from engine.errors import HeatsError
from engine.store.checkpoints import choose, scan
from engine.store.index import list_runs
from engine.store.metrics import RunHistory
from engine.store.paths import RunPaths, open_store
from engine.store.status import State
from tests.support import TINY, start, wait_for_state


def damage_campaign(root: Path, cases: int, chance: random.Random) -> dict[str, Any]:
    """Damage one file at a time of a copy of a finished run, and read everything.

    Returns:
        The number of cases, how many damaged checkpoints were noticed, the promises that broke, and the seconds.
    """
    began = time.monotonic()
    original = start(root, TINY).run
    wait_for_state(original, State.FINISHED)
    store = open_store(root)
    files = sorted(path.relative_to(original.folder) for path in original.folder.rglob("*") if path.is_file())
    broken: list[str] = []
    noticed = 0
    for number in range(cases):
        copy = RunPaths(root / f"20260101-000000_multiplication-copy_{number % 10000:04d}")
        shutil.copytree(original.folder, copy.folder)
        name = chance.choice(files)
        what = _damage(copy.folder / name, chance)
        try:
            listed = list_runs(store)
            assert len(listed) == 2, "a run has vanished from the list"
            RunHistory(copy).refresh()
            scan(copy)
            if name.parts[0] == "checkpoints":
                noticed += _never_chosen(copy, name.parts[1])
        except HeatsError as error:
            broken.append(f"{name} {what}: {error}")
        except Exception as error:  # noqa: BLE001  any exception at all is a broken promise
            broken.append(f"{name} {what}: {type(error).__name__} {error}")
        shutil.rmtree(copy.folder)
    return {"cases": cases, "noticed": noticed, "broken": broken, "seconds": time.monotonic() - began}


def _damage(path: Path, chance: random.Random) -> str:
    content = bytearray(path.read_bytes())
    if not content:
        path.unlink()
        return "removed"
    if chance.random() < 0.5:
        length = chance.randrange(len(content))
        path.write_bytes(bytes(content[:length]))
        return f"cut to {length} bytes"
    place = chance.randrange(len(content))
    content[place] ^= 1 << chance.randrange(8)
    path.write_bytes(bytes(content))
    return f"bit flipped in byte {place}"


def _never_chosen(run: RunPaths, folder: str) -> int:
    """A checkpoint with damage in a file that it vouches for is passed over."""
    chosen = choose(run).checkpoint
    intact = chosen is None or chosen.folder.name != folder
    manifest_survives = any(item.folder.name == folder and item.valid for item in scan(run))
    assert intact or manifest_survives, "a damaged checkpoint was chosen"
    return int(intact)
