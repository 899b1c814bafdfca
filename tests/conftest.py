"""No test touches a person's own caches, locks or store."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.store.host import process_state
from engine.store.records import read_launch

# Two test processes with two spinning threads each would fight for two cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Programs that tests start import the code under test, whatever is installed.
_CHECKOUT = str(Path(__file__).parent.parent)
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (_CHECKOUT, os.environ.get("PYTHONPATH"))))


def pytest_configure(config: pytest.Config) -> None:
    """Programs that tests start answer Ctrl-C and a hang-up, however pytest itself was started.

    Under `nohup`, or in the background of a script, these signals are ignored, and children inherit that. A handler
    that does nothing ignores them here as before, but isn't inherited.
    """
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        return  # its children are workers, to whom the same applies
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--minutes", type=float, default=None, metavar="N",
        help="begin no test with the marker slow after so many minutes; all others come first",
    )  # fmt: skip


_STARTED = "HEATS_TESTS_STARTED"


def pytest_sessionstart() -> None:
    os.environ.setdefault(_STARTED, str(time.monotonic()))  # workers begin later than what they are a part of


def pytest_runtest_setup(item: pytest.Item) -> None:
    minutes = item.config.getoption("minutes")
    if minutes is None or not item.get_closest_marker("slow"):
        return
    if time.monotonic() - float(os.environ[_STARTED]) > 60 * minutes:
        pytest.skip(f"slow, and {minutes:g} minutes are over; `make test-all` has no limit")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Files with long tests first, half of them for each of two workers, so that none has one left at the end.

    Each worker begins with a half of the list, in its order, and one that is done takes over from the other's end.
    With a limit of time slow tests come last instead, so that those are left out that cost most for what they show.
    """
    slow: list[pytest.Item] = []
    if config.getoption("minutes") is not None:
        slow = [item for item in items if item.get_closest_marker("slow")]
        items[:] = [item for item in items if not item.get_closest_marker("slow")]
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    long = [path for path, tests in files.items() if any(map(_is_long, tests))]
    first, second = (
        [item for path in share for item in sorted(files.pop(path), key=lambda item: not _is_long(item))]
        for share in (long[::2], long[1::2])
    )
    rest = [item for tests in files.values() for item in tests]
    cut = max(0, len(items) // 2 - len(first))
    items[:] = [*first, *rest[:cut], *slow[::2], *second, *rest[cut:], *slow[1::2]]


def _is_long(item: pytest.Item) -> bool:
    return bool(item.get_closest_marker("slow") or item.get_closest_marker("e2e"))


@pytest.fixture(autouse=True)
def _own_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "state"))
    monkeypatch.setenv("HEATS_LOCK_DIR", str(home / "locks"))
    monkeypatch.delenv("HEATS_RUNS_DIR", raising=False)


@pytest.fixture
def store_root(tmp_path: Path) -> Iterator[Path]:
    """Where a test's store goes; nothing is there yet. What a failing test leaves running is ended."""
    root = tmp_path / "runs"
    yield root
    for path in root.glob("*/attempts/*/launch.json"):
        record = read_launch(path)
        if record is None:
            continue
        for pid, ticks in (
            (record.supervisor_pid, record.supervisor_ticks),
            (record.trainer_pid, record.trainer_ticks),
        ):
            if pid is not None and ticks is not None and process_state(pid, ticks) == "alive" and _is_ours(pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def _is_ours(pid: int) -> bool:
    """Whether a process is a trainer or a supervisor. Made-up records name other processes, this one among them."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return b"engine.train" in words or b"engine.launch.supervisor" in words
