"""Tools that need torch, as processes of their own that the app waits for in a thread and ends when it closes."""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
import time
from collections.abc import Sequence
from typing import Any

from textual.worker import NoActiveWorker, get_current_worker

from engine.errors import HeatsError, MachineError
from engine.store.files import decode_number
from engine.store.paths import RunPaths, program
from engine.store.status import signal_name
from tui import format
from tui.cli.terminal import safe

_POLL_SECONDS = 0.1
_FEW = 8


def evaluate(run: RunPaths, wanted: str, split: str = "val") -> str:
    """Evaluate a checkpoint; what came out, in a few lines.

    Raises:
        HeatsError: there is no such checkpoint, the tool failed, or the app closes.
    """
    words = [*program("engine.tools.evaluate"), str(run.folder), "--checkpoint", wanted, "--split", split]
    result = _last_object(_output(words, run.id, "evaluation"))
    metrics = result.get("metrics")
    if not isinstance(metrics, dict):
        raise MachineError("the evaluation printed no result", place=run.id)
    figures = [f"{name} {format.number(decode_number(value))}" for name, value in sorted(metrics.items())]
    more = f"\nand {len(figures) - _FEW} more: heats evaluate {run.id}" if len(figures) > _FEW else ""
    step = result.get("checkpoint")
    return safe_lines(f"{run.id}, step {format.count(step)}, {split}:\n" + "\n".join(figures[:_FEW]) + more)


def verify(run: RunPaths) -> str:
    """Train the stretch between the last two checkpoints again; whether the same bits came out.

    Raises:
        HeatsError: it can't be done, the tool failed, or the app closes.
    """
    result = _last_object(_output([*program("engine.tools.verify"), str(run.folder)], run.id, "verification"))
    found = result.get("result")
    if not isinstance(found, dict) or "identical" not in found:
        raise MachineError("the verification printed no result", place=run.id)
    span = f"steps {format.count(found.get('from'))} to {format.count(found.get('to'))}"
    if found["identical"]:
        return safe_lines(f"{run.id}: identical, {span}, to the last bit")
    parted = found.get("parted") or {}
    where = f"; first at step {format.count(parted['first_step'])}" if parted.get("first_step") is not None else ""
    return safe_lines(f"{run.id}: NOT identical, {span}{where}\nall of it: heats verify {run.id}")


def safe_lines(text: str) -> str:
    """Lines without what could steer the terminal."""
    return "\n".join(safe(line) for line in text.split("\n"))


def _output(words: Sequence[str], place: str, what: str) -> str:
    """What a tool printed, once it has ended well."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        except OSError as error:
            raise MachineError(f"the {what} can't be started ({error.strerror})", place=place) from error
        while process.poll() is None:
            if _is_closing():
                process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(5)
                process.kill()
                process.wait()
                raise HeatsError(f"the {what} was ended", place=place)
            time.sleep(_POLL_SECONDS)
        out.seek(0)
        err.seek(0)
        said = [line for line in err.read().decode("utf-8", "replace").splitlines() if line.strip()]
        if process.returncode < 0:
            raise MachineError(f"the {what} was killed by {signal_name(-process.returncode)}", place=place)
        if process.returncode:
            last = said[-1].removeprefix("heats: ") if said else f"exit code {process.returncode}"
            raise HeatsError(safe(last)[:400])
        return out.read().decode("utf-8", "replace")


def _last_object(printed: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for line in printed.splitlines():
        with contextlib.suppress(ValueError):
            content = json.loads(line)
            if isinstance(content, dict):
                found = content
    return found


def _is_closing() -> bool:
    try:
        return get_current_worker().is_cancelled
    except NoActiveWorker:
        return False
