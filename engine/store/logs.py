"""Output logs of any size: a line index by byte offset, and lines as a terminal would have left them.

Never raises for what is in a file. Progress bars that rewrite one line with carriage returns are shown in their
last state, escape sequences are dropped, undecodable bytes replaced.
"""

from __future__ import annotations

import os
import re
from bisect import bisect_right
from pathlib import Path
from typing import TYPE_CHECKING

from engine.late import np

if TYPE_CHECKING:
    from numpy.typing import NDArray


_CHUNK_BYTES = 1 << 22
_LINE_BYTES = 1 << 16
"""Of a longer line only so much is read: a progress bar may write megabytes without a newline."""
_SHOWN_CHARACTERS = 4096
_SEARCH_LINES = 4000
_ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor moves
    r"|[\]P^_X][^\x07\x1b]*(?:\x07|\x1b\\)?"  # OSC and other strings: titles, links
    r"|[ -/]*[0-~])"  # the short ones
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def clean_line(raw: bytes) -> str:
    """One raw line as a terminal would have left it."""
    if b"\r" in raw:
        raw = _last_state(raw)
    text = raw.decode("utf-8", "replace")
    if "\x1b" in text:
        text = _ESCAPES.sub("", text)
    text = _CONTROLS.sub("", text.expandtabs(8) if "\t" in text else text)
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"


def _last_state(raw: bytes) -> bytes:
    """What is left of a line after its carriage returns: the last part that isn't blank."""
    for part in reversed(raw.split(b"\r")):
        if part.strip() and _ESCAPES.sub("", part.decode("utf-8", "replace")).strip():
            return part
    return b""


class LogFile:
    """A log that may be growing. `refresh` looks only at what was appended; `lines` reads only what is asked for.

    One thread may refresh while another reads lines: the index is replaced as a whole, never changed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.generation = 0
        """Grows when the file was replaced or cut, so that a viewer forgets what it keeps of it."""
        self._starts: NDArray[np.int64] = np.zeros(64, np.int64)
        self._whole = 0
        self._size = 0
        self._indexed = 0
        self._inode: int | None = None

    @property
    def whole_lines(self) -> int:
        """Lines that end in a newline, and so can't change any more."""
        return self._whole

    @property
    def line_count(self) -> int:
        """All lines; the last one may still be growing."""
        return self._whole + (1 if self._size > int(self._starts[self._whole]) else 0)

    @property
    def size(self) -> int:
        """Bytes seen so far."""
        return self._size

    def refresh(self) -> bool:
        """Take in what was appended since the last call; whether anything changed."""
        try:
            # Opened anew each time: network file systems are consistent from close to open only.
            descriptor = os.open(self.path, os.O_RDONLY)
        except OSError:
            return False
        try:
            status = os.fstat(descriptor)
            replaced = self._inode is not None and status.st_ino != self._inode
            if replaced or status.st_size < self._size:
                self.generation += 1
                self._starts, self._whole, self._size, self._indexed = np.zeros(64, np.int64), 0, 0, 0
            changed = status.st_size != self._size or replaced
            self._inode = status.st_ino
            self._index(descriptor, status.st_size)
        except OSError:
            return False
        finally:
            os.close(descriptor)
        return changed

    def _index(self, descriptor: int, size: int) -> None:
        while self._indexed < size:
            chunk = os.pread(descriptor, min(_CHUNK_BYTES, size - self._indexed), self._indexed)
            if not chunk:
                break
            ends = np.flatnonzero(np.frombuffer(chunk, np.uint8) == 10) + (self._indexed + 1)
            used = self._whole + 1 + len(ends)
            starts = self._starts
            if used > len(starts):
                starts = np.zeros(max(used, 2 * len(starts)), np.int64)
                starts[: self._whole + 1] = self._starts[: self._whole + 1]
            starts[self._whole + 1 : used] = ends
            self._starts = starts
            self._whole += len(ends)
            self._indexed += len(chunk)
        self._size = self._indexed

    def lines(self, start: int, stop: int) -> list[str]:
        """The lines from `start` up to but without `stop`, counted from 0; fewer where there aren't so many."""
        start, stop = max(0, start), min(stop, self.line_count)
        if start >= stop:
            return []
        try:
            descriptor = os.open(self.path, os.O_RDONLY)
        except OSError:
            return []
        try:
            return [clean_line(raw) for raw in self.raw_lines(descriptor, start, stop)]
        except OSError:
            return []
        finally:
            os.close(descriptor)

    def raw_lines(self, descriptor: int, start: int, stop: int) -> list[bytes]:
        """Lines as they stand in the opened file, escape sequences and all; for who opens it once for many."""
        begin, end = self._start_of(start), self._start_of(stop)
        if end - begin <= _LINE_BYTES * 4:
            block = os.pread(descriptor, end - begin, begin).removesuffix(b"\n")
            raw = block.split(b"\n")
            return (raw + [b""] * (stop - start))[: stop - start]
        return [
            _read_line(descriptor, self._start_of(number), self._start_of(number + 1)) for number in range(start, stop)
        ]

    def _start_of(self, number: int) -> int:
        return int(self._starts[number]) if number <= self._whole else self._size

    def find(self, pattern: str, start: int, *, backwards: bool = False) -> int | None:
        """The first line from `start` on (or up to `start`, going back) that holds the text; None where none does.

        Case matters only where the pattern has a capital letter.
        """
        exact = pattern != pattern.lower()
        if not pattern:
            return None
        for low, high in self._spans(start, backwards):
            if not self._may_hold(pattern, exact, low, high):
                continue
            texts = self.lines(low, high)
            numbers = range(len(texts) - 1, -1, -1) if backwards else range(len(texts))
            for number in numbers:
                if pattern in (texts[number] if exact else texts[number].lower()):
                    return low + number
        return None

    def find_all(self, pattern: str) -> NDArray[np.int64]:
        """The numbers of all lines that hold the text; case matters only where it has a capital letter."""
        exact = pattern != pattern.lower()
        found: list[int] = []
        for low, high in self._spans(0, False) if pattern else ():
            numbers, certain = self._candidates(pattern, exact, low, high)
            if not certain:
                texts = self.lines(low, high)
                held = [pattern in (text if exact else text.lower()) for text in texts]
                numbers = [at for at in numbers if at - low < len(held) and held[at - low]]
            found += numbers
        return np.asarray(found, np.int64)

    def _candidates(self, pattern: str, exact: bool, low: int, high: int) -> tuple[list[int], bool]:
        """The lines whose bytes hold the text, and whether a person sees it in them, too."""
        begin, end = self._start_of(low), self._start_of(high)
        block = self._bytes(begin, end) if end - begin <= 4 * _CHUNK_BYTES else b"\x1b"
        if not pattern.isascii() or b"\x1b" in block or b"\t" in block:
            return list(range(low, high)), False
        certain = b"\r" not in block
        block, sought = (block, pattern.encode()) if exact else (block.lower(), pattern.encode())
        ends = (self._starts[low + 1 : min(high, self._whole) + 1] - begin).tolist()
        numbers, at = [], block.find(sought)
        while at >= 0:
            number = bisect_right(ends, at)
            numbers.append(low + number)
            at = block.find(sought, ends[number]) if number < len(ends) else -1
        return numbers, certain or not numbers

    def _bytes(self, begin: int, end: int) -> bytes:
        try:
            descriptor = os.open(self.path, os.O_RDONLY)
        except OSError:
            return b""
        try:
            return os.pread(descriptor, end - begin, begin)
        except OSError:
            return b""
        finally:
            os.close(descriptor)

    def _may_hold(self, pattern: str, exact: bool, low: int, high: int) -> bool:
        """Whether lines are worth cleaning and comparing one by one: a hundred times faster where they aren't."""
        begin, end = self._start_of(low), self._start_of(high)
        if not pattern.isascii() or end - begin > _CHUNK_BYTES:
            return True
        block = self._bytes(begin, end)
        # Escape sequences and tabs may stand within what a person sees as the pattern.
        return b"\x1b" in block or b"\t" in block or pattern.encode() in (block if exact else block.lower())

    def _spans(self, start: int, backwards: bool) -> list[tuple[int, int]]:
        count = self.line_count
        if backwards:
            end = min(start + 1, count)
            return [(max(0, high - _SEARCH_LINES), high) for high in range(end, 0, -_SEARCH_LINES)]
        return [(low, min(count, low + _SEARCH_LINES)) for low in range(max(0, start), count, _SEARCH_LINES)]


def _read_line(descriptor: int, begin: int, end: int) -> bytes:
    """One raw line; of a very long one its end if that rewrites the line, else its beginning."""
    if end - begin <= _LINE_BYTES:
        return os.pread(descriptor, end - begin, begin).removesuffix(b"\n")
    rest = os.pread(descriptor, _LINE_BYTES, end - _LINE_BYTES).removesuffix(b"\n")
    _, found, after = rest.partition(b"\r")
    return after if found and after.strip() else os.pread(descriptor, _LINE_BYTES, begin)


def tail(path: Path, count: int) -> list[str]:
    """The last lines of a log, read from its end; nothing where there is no such file."""
    if count <= 0:
        return []
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return []
    try:
        size = os.fstat(descriptor).st_size
        ends = _last_newlines(descriptor, size, count + 1)
        closed = bool(ends) and ends[0] == size - 1
        bounds = ends if closed or not size else [size, *ends]
        starts = [end + 1 for end in bounds[1:]]
        if len(starts) < count and bounds:
            starts.append(0)  # the file begins within what is asked for
        pairs = list(zip(starts, bounds, strict=False))[:count]
        return [clean_line(_read_line(descriptor, begin, end)) for begin, end in reversed(pairs)]
    except OSError:
        return []
    finally:
        os.close(descriptor)


def _last_newlines(descriptor: int, size: int, count: int) -> list[int]:
    """Where the last newlines are, the last one first."""
    found: list[int] = []
    block_bytes = 1 << 16
    end = size
    while end > 0 and len(found) < count:
        begin = max(0, end - block_bytes)
        block = os.pread(descriptor, end - begin, begin)
        positions = np.flatnonzero(np.frombuffer(block, np.uint8) == 10)[::-1]
        found += [begin + int(position) for position in positions[: count - len(found)]]
        end, block_bytes = begin, min(block_bytes * 2, _CHUNK_BYTES)
    return found
