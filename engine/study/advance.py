"""`python -m engine.study.advance STORE`: bring the queue and all studies of a store as far as can be, and leave.

The supervisor's last act is to start this, so that a night's work needs nobody watching. With `--prune` it only ends
what does badly in a search, and starts nothing: that is for supervisors whose runs go on, to whom everything started
here would otherwise fall.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from engine.errors import HeatsError
from engine.store.paths import open_store
from engine.study.run import advance_all, prune_all


def main(words: list[str] | None = None) -> int:
    """0 unless the store can't be read or written."""
    root, *options = sys.argv[1:] if words is None else words
    try:
        store = open_store(Path(root))
        _stand_somewhere(store.root)
        if options == ["--prune"]:
            prune_all(store)
        else:
            advance_all(store)
    except HeatsError as error:
        print(f"heats: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _stand_somewhere(folder: Path) -> None:
    """The working folder is handed on from run to run and may have been deleted since."""
    try:
        os.getcwd()
    except OSError:
        os.chdir(folder)


if __name__ == "__main__":
    sys.exit(main())
