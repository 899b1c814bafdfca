"""Ways in which a file of a run comes to harm, each to be undone again."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_PAGE = 4096


def _cut(content: bytes, chance: random.Random) -> bytes:
    return content[: chance.randrange(len(content) + 1)]


def _flip_one(content: bytes, chance: random.Random) -> bytes:
    return _flip(content, chance, 1)


def _flip_some(content: bytes, chance: random.Random) -> bytes:
    return _flip(content, chance, chance.randrange(2, 9))


def _flip(content: bytes, chance: random.Random, count: int) -> bytes:
    damaged = bytearray(content)
    for _ in range(count if damaged else 0):
        damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
    return bytes(damaged)


def _zero_page(content: bytes, chance: random.Random) -> bytes:
    """A block that the disk never wrote."""
    begin = chance.randrange(len(content) // _PAGE + 1) * _PAGE
    part = content[begin : begin + _PAGE]
    return content[:begin] + bytes(len(part)) + content[begin + len(part) :]


def _zero_tail(content: bytes, chance: random.Random) -> bytes:
    """What journals that keep sizes but not data leave after a power cut."""
    begin = chance.randrange(len(content) + 1)
    return content[:begin] + bytes(len(content) - begin)


def _behead(content: bytes, chance: random.Random) -> bytes:
    return content[chance.randrange(len(content) + 1) :]


def _insert(content: bytes, chance: random.Random) -> bytes:
    where = chance.randrange(len(content) + 1)
    return content[:where] + chance.randbytes(8) + content[where:]


def _empty(content: bytes, chance: random.Random) -> bytes:
    return b""


_OF_CONTENT: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "cut off": _cut,
    "one bit flipped": _flip_one,
    "some bits flipped": _flip_some,
    "a page of zeros": _zero_page,
    "zeros from somewhere on": _zero_tail,
    "its beginning lost": _behead,
    "bytes put in": _insert,
    "emptied": _empty,
}
_OF_PLACE = ("removed", "a folder in its place", "unreadable")
KINDS = (*_OF_CONTENT, *_OF_PLACE)


@contextmanager
def wounded(path: Path, kind: str, chance: random.Random) -> Iterator[bool]:
    """Damage a file within the block; gives whether anything of it changed."""
    whole, times = path.read_bytes(), path.stat()
    try:
        if kind in _OF_CONTENT:
            content = _OF_CONTENT[kind](whole, chance)
            path.write_bytes(content)
            yield content != whole
        else:
            path.unlink()
            if kind == "a folder in its place":
                path.mkdir()
            elif kind == "unreadable":
                _make_unreadable(path, whole)
            yield True
    finally:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        path.write_bytes(whole)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def _make_unreadable(path: Path, content: bytes) -> None:
    """There, but no one may open it. Root may open anything but a link to itself."""
    if os.geteuid() == 0:
        path.symlink_to(path.name)
    else:
        path.write_bytes(content)
        path.chmod(0)
