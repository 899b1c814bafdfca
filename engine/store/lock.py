"""The liveness lock of a run: held exactly as long as any process of it lives.

The launcher takes it, the supervisor and the trainer inherit the descriptor. It lies on node-local disk, because
flock over network file systems is emulated or missing, and not in the login's runtime folder, which is deleted at
the last logout.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time
from pathlib import Path

from engine.errors import MachineError


def lock_folder() -> Path:
    """This user's folder for locks on this machine, made if needed.

    Raises:
        MachineError: it can't be made, or belongs to somebody else.
    """
    # Not $TMPDIR: schedulers give each job one of its own, and two shells of one user must find the same lock.
    folder = Path(os.environ.get("HEATS_LOCK_DIR") or f"/tmp/heats-{os.getuid()}")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.lstat()
    except OSError as error:
        raise MachineError(f"can't be made ({error.strerror})", place=str(folder)) from error
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise MachineError("is not a folder of yours", place=str(folder), remedy="remove it or set HEATS_LOCK_DIR")
    return folder


def lock_path(store_id: str, run_id: str) -> Path:
    """Where the lock of a run lies on this machine."""
    return lock_folder() / f"{store_id}-{run_id}.lock"


def acquire(path: Path, patience_seconds: float = 0.0) -> int | None:
    """Take a run's lock; the descriptor, to be inherited by children, or None when somebody of the run is left.

    Args:
        path: the lock's path.
        patience_seconds: how long to go on trying: a run that has just ended lets go within moments.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + patience_seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # A probe holds the lock for a microsecond, so one refusal proves nothing.
            if time.monotonic() >= deadline + 0.02:
                os.close(descriptor)
                return None
            time.sleep(0.005)
        else:
            return descriptor


def is_held(path: Path) -> bool:
    """Whether any process of the run is left. About a microsecond; takes the lock for that long at most."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except (OSError, ValueError):  # a damaged launch.json may name what no file can be called
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)
