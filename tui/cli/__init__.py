"""The `heats` command. This file imports next to nothing: every verb pays for what is imported here."""

from __future__ import annotations

import os
import sys

_INTERRUPTED = 130
_BROKEN_PIPE = 141


def main() -> int:
    """Run the command line of this process and leave with its exit code: 0 done, 1 failed, 2 misuse."""
    # Start-up allocates a lot and frees nothing: collecting meanwhile costs a tenth of it. Long work turns it on again.
    import gc

    gc.disable()
    try:
        # A name in another alphabet must not end a listing on a terminal that can't show it.
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="replace")
        from tui.cli.root import run

        code = run(sys.argv[1:])
        sys.stdout.flush()
    except KeyboardInterrupt:
        code = _INTERRUPTED
    except BrokenPipeError:
        # Whoever read us (`heats list | head`) has left. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = _BROKEN_PIPE
    if "textual" in sys.modules:
        return code  # the app has threads to join
    # Taking the interpreter down tidily costs some 30 ms, and there is nothing left to tidy.
    sys.stderr.flush()
    os._exit(code)
