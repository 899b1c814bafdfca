"""Brings together what a script logs in several ways: one axis of steps, each metric from one source. Pure.

Files and `engine.track` know their steps best. What only lines of output tell is then set at the step that the files
had reached when the line was printed, whatever the line itself called its step.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

from engine.store.metrics import ROLLED_BACK
from engine.tasks.exec.naming import is_ignored

Record = tuple[int, float, dict[str, float]]
"""A line of metrics.jsonl: step, time (seconds since 1970), figures."""
_KEPT = 20_000
"""So many lines of output can be set anew on the files' steps."""


@dataclass
class Ledger:
    """Decides what is written, in which order.

    Args:
        ignore: patterns of metrics to leave out.
        earlier_step: the last step that earlier attempts logged; what lies past this attempt's first is shadowed.
        expects_own_steps: files or `engine.track` will tell the steps: lines wait for them, to the end if need be.
    """

    ignore: Sequence[str] = ()
    earlier_step: int | None = None
    expects_own_steps: bool = False
    last_step: int = 0
    last_values: dict[str, float] = field(default_factory=dict)
    _own_steps: bool = False
    _owners: dict[str, str] = field(default_factory=dict)
    _began: bool = False
    _first_from_lines: int | None = None
    _lines: list[Record] = field(default_factory=list)
    _placed: int = 0
    _times: list[float] = field(default_factory=list)
    _steps: list[int] = field(default_factory=list)

    def take(self, source: str, rows: Sequence[Record]) -> list[Record]:
        """Figures of a file or of `engine.track`, with steps of their own; what is to be written now."""
        out: list[Record] = []
        for step, moment, values in rows:
            mine = {
                name: value
                for name, value in values.items()
                if self._owners.setdefault(name, source) == source and not is_ignored(name, self.ignore)
            }
            if not mine:
                continue
            if not self._own_steps:
                self._own_steps = True
                out += self._take_back()
            out += self._record(step, moment, mine)
            if not self._times or moment >= self._times[-1]:
                self._times.append(moment)
                self._steps.append(step)
        return out

    def take_line(self, step: int, moment: float, values: dict[str, float]) -> list[Record]:
        """Figures of a line of output; what is to be written now."""
        mine = {name: value for name, value in values.items() if not is_ignored(name, self.ignore)}
        if not mine:
            return []
        if len(self._lines) < _KEPT or self._own_steps:
            self._lines.append((step, moment, mine))
        if self._own_steps or self.expects_own_steps:
            return []
        if self._first_from_lines is None:
            self._first_from_lines = step
        self._placed = 0
        return self._record(step, moment, mine)

    def settle(self, *, last: bool = False) -> list[Record]:
        """Lines of output whose place among the files' steps is known by now; all that are left at the end."""
        out: list[Record] = []
        if not self._own_steps:
            if last and self.expects_own_steps:  # nobody else ever came
                for step, moment, values in self._lines:
                    out += self._record(step, moment, values)
                self._lines.clear()
            return out
        newest = self._times[-1] if self._times else 0.0
        while self._placed < len(self._lines):
            _, moment, values = self._lines[self._placed]
            if moment > newest and not last:
                break
            self._placed += 1
            free = {name: value for name, value in values.items() if name not in self._owners}
            place = bisect_right(self._times, moment)
            if free and self._steps:
                out += self._record(self._steps[max(0, place - 1)], moment, free, quietly=True)
        return out

    def _take_back(self) -> list[Record]:
        """What was written at the steps of lines is shadowed: files tell the steps from here on."""
        self._placed = 0
        if self._first_from_lines is None:
            return []
        back: Record = (max(0, self._first_from_lines - 1), 0.0, {ROLLED_BACK: float(self.last_step)})
        self.last_step = back[0]
        self.last_values.clear()
        return [back]

    def _record(self, step: int, moment: float, values: dict[str, float], *, quietly: bool = False) -> list[Record]:
        out: list[Record] = []
        if not self._began:
            self._began = True
            if self.earlier_step is not None and step <= self.earlier_step:
                out.append((max(0, step - 1), moment, {ROLLED_BACK: float(self.earlier_step)}))
        self.last_values |= values
        if not quietly or step > self.last_step:
            self.last_step = step
        out.append((step, moment, values))
        return out
