"""`python -m engine.study.advance STORE`: bring the queue and all studies of a store as far as can be, and leave.

The supervisor's last act is to start this, so that a night's work needs nobody watching.
"""

from __future__ import annotations

import sys
from pathlib import Path

from engine.errors import HeatsError
from engine.store.paths import open_store
from engine.study.run import advance


def main(words: list[str] | None = None) -> int:
    """0 unless the store can't be read or written."""
    (root,) = sys.argv[1:] if words is None else words
    try:
        advance(open_store(Path(root)))
    except HeatsError as error:
        print(f"heats: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
