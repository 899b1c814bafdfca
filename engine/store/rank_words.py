"""Why processes of a run of several ended before their time: one small file each, whose first tells the reason."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Literal

from engine.store.files import read_json, write_json
from engine.store.paths import AttemptPaths
from engine.store.records import from_content

FAILED, LEFT = "failed", "left"


@dataclass(frozen=True)
class RankWord:
    """rank-N.json: the last word of the process of this rank. `time` in seconds since 1970.

    `word` is `failed`, or `left` where it was told to leave at once. `secondary`: it only noticed that another had
    gone.
    """

    rank: int
    time: float
    word: str = FAILED
    error: str = ""
    traceback: str = ""
    secondary: bool = False
    schema: int = 1

    def sentence(self, alone: bool = False) -> str:
        """What to tell people; with the rank, unless all say the same (`alone`)."""
        return self.error if alone or self.secondary else f"rank {self.rank}: {self.error}"


def say(
    attempt: AttemptPaths,
    rank: int,
    word: Literal["failed", "left"],
    error: str = "",
    traceback: str = "",
    *,
    secondary: bool = False,
) -> RankWord:
    """Leave a rank's last word, for the others and for the supervisor.

    Raises:
        MachineError: the attempt's folder can't be written.
    """
    said = RankWord(rank, time.time(), word, error, traceback, secondary)
    write_json(attempt.rank_word(rank), asdict(said))
    return said


def heard(attempt: AttemptPaths, world_size: int) -> list[RankWord]:
    """The last words that are there, causes before what they caused, each in the order of time. Never raises."""
    read = (from_content(RankWord, read_json(attempt.rank_word(rank))) for rank in range(world_size))
    found: list[RankWord] = [word for word in read if word is not None]
    return sorted(found, key=lambda word: (word.secondary, word.time))
