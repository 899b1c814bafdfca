"""What threads tell the app. Each message is immutable and says which run and which request it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from textual.message import Message

if TYPE_CHECKING:
    from engine.store.buckets import Buckets, Curve
    from engine.store.logs import LogFile
    from engine.store.records import Event
    from engine.store.summary import RunSummary


@dataclass(frozen=True)
class RunView:
    """What the panes beside the table show of one run, at one moment."""

    run_id: str
    groups: tuple[str, ...]
    """The metrics there are to choose from: `loss` stands for train/loss and val/loss."""
    group: str
    """The one whose curves are here."""
    curves: Mapping[str, Curve]
    log: LogFile | None
    log_size: int
    events: tuple[Event, ...]
    alerts: tuple[str, ...]
    config: str
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Facts:
    """What a filter may ask of runs beyond what lists show."""

    configs: Mapping[str, Mapping[str, Any]]
    """By run id, the options by dotted key."""
    saved: frozenset[str]
    """The ids of runs that have checkpoints."""


NO_FACTS = Facts({}, frozenset())


class FactsRead(Message):
    """What a filter asked for; only the newest counts."""

    def __init__(self, facts: Facts) -> None:
        super().__init__()
        self.facts = facts

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, FactsRead)


class RunsListed(Message):
    """The runs of the store, oldest first; only the newest list counts."""

    def __init__(self, runs: tuple[RunSummary, ...], problem: str | None) -> None:
        super().__init__()
        self.runs = runs
        self.problem = problem

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, RunsListed)


class NewestRead(Message):
    """The newest runs of a large store, oldest first, and how many there are: shown before the rest is read."""

    def __init__(self, runs: tuple[RunSummary, ...], everything: int) -> None:
        super().__init__()
        self.runs = runs
        self.everything = everything


class SparksRead(Message):
    """New curves for live rows, by run id."""

    def __init__(self, sparks: Mapping[str, Buckets]) -> None:
        super().__init__()
        self.sparks = sparks


class RunRead(Message):
    """News of the selected run; an answer to an earlier selection is dropped by its generation."""

    def __init__(self, view: RunView, generation: int) -> None:
        super().__init__()
        self.view = view
        self.generation = generation

    def can_replace(self, message: Message) -> bool:
        return (
            isinstance(message, RunRead)
            and message.generation == self.generation
            and message.view.run_id == self.view.run_id
        )


class PollEnded(Message):
    """The reading thread has said all it had to say."""


class ActDone(Message):
    """A launch, stop or resume came back: with what to tell, or with the sentence of its error."""

    def __init__(
        self,
        told: str,
        *,
        failed: bool = False,
        run_id: str | None = None,
        then: Callable[[], None] | None = None,
    ) -> None:
        super().__init__()
        self.told = told
        self.failed = failed
        self.run_id = run_id
        self.then = then
