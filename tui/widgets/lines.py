"""Where a view's lines come from: the protocol, lines of a fixed text, and some lines out of many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from engine.late import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]
else:
    Numbers = Any


class Lines(Protocol):
    """Where lines come from; `engine.store.logs.LogFile` is one."""

    @property
    def generation(self) -> int:
        """Grows when lines that were whole have changed."""
        ...

    @property
    def whole_lines(self) -> int:
        """Lines that can't change any more."""
        ...

    @property
    def line_count(self) -> int:
        """All lines."""
        ...

    def lines(self, start: int, stop: int) -> list[str]:
        """The lines from `start` up to but without `stop`."""
        ...

    def find(self, pattern: str, start: int, *, backwards: bool = False) -> int | None:
        """The next line that holds a text."""
        ...


@runtime_checkable
class MarkedLines(Protocol):
    """Lines that say how they want to look: `head`, `muted`, `bad`, `warn`, `good`, `mark`, or nothing."""

    def kind(self, number: int) -> str: ...


class TextLines:
    """Lines of a text that doesn't change.

    Args:
        lines: the lines.
        kinds: how each looks (see MarkedLines); plain where left out.
    """

    generation = 0

    def __init__(self, lines: Sequence[str], kinds: Sequence[str] = ()) -> None:
        self._lines = list(lines)
        self._kinds = list(kinds)

    @property
    def whole_lines(self) -> int:
        return len(self._lines)

    @property
    def line_count(self) -> int:
        return len(self._lines)

    def lines(self, start: int, stop: int) -> list[str]:
        return self._lines[max(0, start) : stop]

    def kind(self, number: int) -> str:
        return self._kinds[number] if number < len(self._kinds) else ""

    def find(self, pattern: str, start: int, *, backwards: bool = False) -> int | None:
        numbers = range(min(start, len(self._lines) - 1), -1, -1) if backwards else range(start, len(self._lines))
        exact = pattern != pattern.lower()
        lines = self._lines if exact else [line.lower() for line in self._lines]
        return next((number for number in numbers if pattern and pattern in lines[number]), None)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TextLines) and (self._lines, self._kinds) == (other._lines, other._kinds)

    __hash__ = None  # type: ignore[assignment]


class SomeLines:
    """Some lines of another source, such as those of a level.

    Args:
        source: all lines.
        numbers: which of them, ascending.
        generation: to tell one choice from the next.
    """

    def __init__(self, source: Lines, numbers: Numbers, generation: int = 0) -> None:
        self.source = source
        self.numbers = numbers
        self.generation = generation

    @property
    def whole_lines(self) -> int:
        return len(self.numbers)

    @property
    def line_count(self) -> int:
        return len(self.numbers)

    def lines(self, start: int, stop: int) -> list[str]:
        found: list[str] = []
        wanted = self.numbers[max(0, start) : stop]
        # Neighbours are read together: one look at the file for a screenful that hangs together.
        for part in np.split(wanted, np.flatnonzero(np.diff(wanted) != 1) + 1) if len(wanted) else ():
            found += self.source.lines(int(part[0]), int(part[-1]) + 1)
        return found

    def find(self, pattern: str, start: int, *, backwards: bool = False) -> int | None:
        numbers = range(min(start, self.line_count - 1), -1, -1) if backwards else range(start, self.line_count)
        exact = pattern != pattern.lower()
        for number in numbers:
            for line in self.lines(number, number + 1):
                if pattern and pattern in (line if exact else line.lower()):
                    return number
        return None

    def place_of(self, number: int) -> int:
        """Where a line of the source stands here, or the one before it."""
        return max(0, int(np.searchsorted(self.numbers, number, "right")) - 1)


def find_all(source: Any, pattern: str) -> Numbers:
    """The numbers of all lines that hold a text; case matters only where the text has a capital letter."""
    if not pattern:
        return np.zeros(0, np.int64)
    if isinstance(source, SomeLines):
        found = find_all(source.source, pattern)
        return np.flatnonzero(np.isin(source.numbers, found)).astype(np.int64)
    if hasattr(source, "find_all"):
        numbers: Numbers = source.find_all(pattern)
        return numbers
    exact = pattern != pattern.lower()
    lines = source.lines(0, source.line_count)
    return np.asarray(
        [number for number, line in enumerate(lines) if pattern in (line if exact else line.lower())], np.int64
    )
