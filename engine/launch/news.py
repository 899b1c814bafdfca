"""What was appended to a file since the last look, for the supervisor: on the standard library alone."""

from __future__ import annotations

from pathlib import Path


class NewLines:
    """Whole lines as they come; a half one waits for its end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def read(self) -> bytes:
        """The lines that are new.

        Raises:
            OSError: the file isn't there, or can't be read.
        """
        with open(self._path, "rb") as file:
            file.seek(self._offset)
            block = file.read()
        end = block.rfind(b"\n") + 1
        self._offset += end
        return block[:end]
