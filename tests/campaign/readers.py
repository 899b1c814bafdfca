"""Everything that reads a run without training it, called as `list`, `show`, `watch`, `logs` and the app call it; and
what of the damage they must name.

What nobody can know: a changed digit, letter or name in what is still valid JSON (no checksum is kept of it), a log
that ends a line early, anything in output.log, system.jsonl, tb/, environment.json, code.patch, beat.json and
requests/. Of checkpoints the three files that training goes on from are hashed, byte by byte; of the manifest only
its table of files and its step count.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from engine.errors import HeatsError
from engine.store.checkpoints import FILES, MANIFEST, choose, scan, verify
from engine.store.compare import checkpoint_differences, metric_differences
from engine.store.index import list_runs
from engine.store.logs import LogFile, tail
from engine.store.metrics import RunHistory
from engine.store.names import find_run
from engine.store.paths import RunPaths, Store
from engine.store.stored_config import effective_config
from engine.store.summary import summarize
from tui.cli.follow import ending, watch_run
from tui.cli.root import run as run_verb

HANG_SECONDS = 30


class Hangs(BaseException):
    """A reader has not come back."""


@dataclass
class Findings:
    """What reading a damaged run brought."""

    raised: list[str] = field(default_factory=list)
    """Exceptions that no reader may raise."""
    refused: list[str] = field(default_factory=list)
    """Sentences with which a reader refused."""
    named: list[str] = field(default_factory=list)
    """All problems that were named, by whomever."""
    chosen: list[Path] = field(default_factory=list)
    """Checkpoints from which a resume would have gone on."""


def read_all(store: Store, run: RunPaths, whole: RunPaths, *, verbs: bool) -> Findings:
    """Read a damaged run in every way.

    Args:
        store: where it is.
        run: which run.
        whole: an undamaged copy, to compare with.
        verbs: the verbs of the command line too, in this process.
    """
    found = Findings()

    def attempt(what: str, act: Callable[[], Any]) -> Any:
        try:
            with _limit():
                return act()
        except HeatsError as error:
            found.refused.append(f"{what}: {error}")
            if not str(error).strip() or "\n" in str(error):
                found.raised.append(f"{what} refuses without a sentence: {error!r}")
        except Hangs:
            found.raised.append(f"{what} hangs")
        except Exception as error:  # noqa: BLE001  any other exception is a broken promise
            found.raised.append(f"{what}: {type(error).__name__}: {error}")
        return None

    summary = attempt("summary", lambda: summarize(run))
    if summary is not None:
        found.named += summary.problems
        attempt("json", lambda: json.dumps(summary.to_json(), allow_nan=False, ensure_ascii=False).encode())
        attempt("watch", lambda: ending(next(watch_run(run, _no_pause))))
        listed = attempt("list", lambda: [item.id for item in list_runs(store, rescan=True)])
        if listed is not None and run.id not in listed:
            found.raised.append("the run has vanished from the list")
    attempt("name", lambda: find_run(store, run.id[-4:]))
    for item in attempt("checkpoints", lambda: scan(run)) or ():
        found.named += [f"{item.folder.name}: {one}" for one in attempt("verify", partial(verify, item)) or ()]
    for wanted in ("latest", "best", "20"):
        choice = attempt(f"choose {wanted}", partial(choose, run, wanted))
        if choice is not None and choice.checkpoint is not None:
            found.chosen.append(choice.checkpoint.folder)
    history = RunHistory(run)
    attempt("curves", lambda: (history.refresh(), history.refresh()))
    if history.damaged:
        found.named.append(f"{history.damaged} damaged lines in metrics.jsonl")
    for paths in run.attempts():
        attempt("logs", partial(_read_log, paths.output))
    attempt("config", lambda: effective_config(run))
    attempt("curves compared", lambda: metric_differences(run, whole))
    for folder in sorted(whole.checkpoints.iterdir()):
        attempt("checkpoints compared", partial(checkpoint_differences, run.checkpoints / folder.name, folder))
    if verbs:
        for words in [["list"], ["list", "--json"], ["show"], ["show", "--json"], ["logs"]]:
            given = [*words, *([run.id] if words[0] != "list" else []), "--runs-dir", str(store.root)]
            attempt(" ".join(words), partial(_verb, given))
    found.named += found.refused
    return found


def _no_pause(seconds: float) -> None:
    raise HeatsError("it is being made just now")


def _read_log(path: Path) -> None:
    log = LogFile(path)
    log.refresh()
    log.lines(0, 200)
    log.find("step", 0)
    tail(path, 50)


def _verb(words: list[str]) -> None:
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = run_verb(words)
    if "Traceback" in out.getvalue() + err.getvalue():
        raise AssertionError(f"a traceback: {err.getvalue()[-500:]}")
    if code not in (0, 1, 2):
        raise AssertionError(f"exit code {code}")
    if code and not err.getvalue().startswith("heats"):
        raise AssertionError(f"exit code {code} without a sentence: {err.getvalue()[:500]!r}")


@contextlib.contextmanager
def _limit() -> Iterator[None]:
    def ring(number: int, frame: FrameType | None) -> None:
        raise Hangs

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(HANG_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def must_be_named(run: RunPaths, path: Path, whole: bytes) -> bool:
    """Whether a reader can know, from the bytes of this file and of those that vouch for it, that it was damaged."""
    name = path.relative_to(run.folder)
    there = os.path.lexists(path)
    if name.parts[0] == "checkpoints":
        if path.name in FILES:
            return True
        return path.name != MANIFEST or _vouched(path) != _vouched_in(whole)
    if not there:
        return False  # nothing says that it ever was there
    content = _content(path)
    if path.name in ("run.json", "launch.json", "exit.json", "notes.json", "resume.json"):
        return content is None or not isinstance(_json(content), dict)
    if path.name == "config.yaml":
        return content is None or content == b""
    if path.name == "events.jsonl":
        return content is None or any(not isinstance(_json(line), dict) for line in _closed_lines(content))
    if path.name == "metrics.jsonl":
        return content is not None and any(_json(line) is None for line in _closed_lines(content) if line)
    return False


def _closed_lines(content: bytes) -> list[bytes]:
    return content[: content.rfind(b"\n") + 1].split(b"\n")[:-1]


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _json(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _vouched(path: Path) -> Any:
    content = _content(path)
    return None if content is None else _vouched_in(content)


def _vouched_in(text: bytes) -> Any:
    content = _json(text)
    return (content.get("step"), content.get("files")) if isinstance(content, dict) else None
