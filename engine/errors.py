"""The one kind of error that people see: what is wrong, where, and what to do."""

from __future__ import annotations


class HeatsError(Exception):
    """A mistake that a user can put right; shown as one sentence, never as a traceback.

    Args:
        message: what is wrong, in one clause.
        place: where: a key, a file with its line, a run.
        remedy: what to do about it.
    """

    exit_code = 2

    def __init__(self, message: str, *, place: str | None = None, remedy: str | None = None) -> None:
        self.message = message
        self.place = place
        self.remedy = remedy
        super().__init__(str(self))

    def __str__(self) -> str:
        head = f"{self.place}: {self.message}" if self.place else self.message
        return f"{head}; {self.remedy}" if self.remedy else head


class MachineError(HeatsError):
    """The request was sound but the machine could not do it (disk full, no rights, a process that won't start)."""

    exit_code = 1
