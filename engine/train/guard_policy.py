"""What is done about what the guard finds: when to speak, when to act, and when enough is enough."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from engine.config.sections import GuardSection

Action = Literal["none", "cut_lr", "rollback", "stop"]
_RANK: dict[str, int] = {"none": 0, "cut_lr": 1, "rollback": 2, "stop": 3}
_MEASURED_SELDOM = frozenset({"share", "no_weight_moved", "worse_than_chance"})
"""Causes that are over at the first look that finds them gone: they are looked for seldom."""


@dataclass(frozen=True)
class Finding:
    """Something that is wrong: the step at which it was first seen, its value, and the level that it passed."""

    cause: str
    message: str
    step: int
    value: float
    level: float


@dataclass(frozen=True)
class Note:
    """What people are told: an alert, or that one is over."""

    event: Literal["alert", "alert_over"]
    cause: str
    message: str
    facts: dict[str, Any]


@dataclass(frozen=True)
class Decision:
    """What follows from a look: what to say, and what to do about which finding."""

    notes: tuple[Note, ...] = ()
    action: Action = "none"
    finding: Finding | None = None
    reason: str = ""
    """Of a stop."""


@dataclass
class _Episode:
    opened: int
    last: int
    acted: int


class PolicyMachine:
    """Turns findings into alerts and actions. An episode of one cause is one alert, however long it lasts.

    Holds the learning rate's multiplier and the counts that bound the actions; all of it is in the checkpoint.
    """

    def __init__(self, options: GuardSection) -> None:
        self.options = options
        self._policies = options.policies()
        self._episodes: dict[str, _Episode] = {}
        self._multiplier = 1.0
        self._cut_step = 0
        self._cuts = 0
        self.rollbacks: list[tuple[int, int]] = []
        """(from step, to step) of each that isn't forgotten yet."""

    def lr_multiplier(self, step: int) -> float:
        """What the scheduled rate of the step after `step` completed ones is multiplied by.

        After a cut it rises back to 1, by the same factor each step, over `guard.recover_steps`.
        """
        if self._multiplier == 1.0:
            return 1.0
        recover = self.options.recover_steps
        if not recover:
            return self._multiplier
        left = 1.0 - (step - self._cut_step) / recover
        return float(self._multiplier**left) if left > 0 else 1.0

    def decide(self, step: int, found: dict[str, Finding | None]) -> Decision:
        """Take in what a look has found.

        Args:
            step: the step of the look.
            found: by cause that was looked for, the finding or None.
        """
        self._forget(step)
        notes: list[Note] = []
        wanted: list[tuple[Action, Finding]] = []
        for cause, finding in found.items():
            policy = self._policies[cause]
            if policy == "ignore":
                continue
            if finding is None:
                notes += self._calm(step, cause)
                continue
            episode = self._episodes.get(cause)
            if episode is None:
                episode = self._episodes[cause] = _Episode(step, step, step)
                facts = {"policy": policy, "value": finding.value, "level": finding.level, "first_step": finding.step}
                notes.append(Note("alert", cause, finding.message, facts))
                acts = True
            else:
                acts = step - episode.acted >= max(1, self.options.cooldown_steps)
            episode.last = step
            action = _action(policy)
            if acts and action != "none":
                episode.acted = step
                wanted.append((action, finding))
        action, first = max(wanted, key=lambda item: _RANK[item[0]], default=("none", None))
        if first is None:
            return Decision(tuple(notes))
        action, reason = self._bounded(action, first)
        if action == "cut_lr":
            self._cuts += 1
            self._multiplier = self.lr_multiplier(step) * self.options.cut_factor
            self._cut_step = step
        return Decision(tuple(notes), action, first, reason)

    def rolled_back(self, before: list[tuple[int, int]], from_step: int, to_step: int) -> None:
        """A rollback has put an older state back, which must not undo the count that bounds rollbacks.

        Args:
            before: the rollbacks so far.
            from_step, to_step: of this one.
        """
        self.rollbacks = [*before, (from_step, to_step)]

    def _bounded(self, action: Action, finding: Finding) -> tuple[Action, str]:
        """The action, or a stop where it was taken too often."""
        options = self.options
        if action == "cut_lr" and self._cuts >= options.max_cuts:
            return "stop", f"{finding.message}; the learning rate was cut {self._cuts} times already (guard.max_cuts)"
        if action == "rollback" and len(self.rollbacks) >= options.max_rollbacks:
            count = len(self.rollbacks)
            return "stop", f"{finding.message}; the run was rolled back {count} times already (guard.max_rollbacks)"
        return action, finding.message if action == "stop" else ""

    def _forget(self, step: int) -> None:
        """After a long quiet stretch cuts and rollbacks no longer count."""
        recover = self.options.recover_steps
        if not recover:
            return
        if self._cuts and step - self._cut_step >= recover:
            self._multiplier, self._cut_step, self._cuts = 1.0, 0, 0
        if self.rollbacks and step - max(start for start, _ in self.rollbacks) >= recover:
            self.rollbacks = []

    def _calm(self, step: int, cause: str) -> list[Note]:
        episode = self._episodes.get(cause)
        needed = 0 if cause in _MEASURED_SELDOM else self.options.cooldown_steps
        if episode is None or step - episode.last < needed:
            return []
        del self._episodes[cause]
        message = f"{cause.replace('_', ' ')}: nothing more since step {episode.last:,}"
        return [Note("alert_over", cause, message, {"since": episode.opened, "until": episode.last})]

    def state_dict(self) -> dict[str, Any]:
        return {
            "episodes": [[cause, item.opened, item.last, item.acted] for cause, item in self._episodes.items()],
            "multiplier": self._multiplier.hex(),
            "cut_step": self._cut_step,
            "cuts": self._cuts,
            "rollbacks": [list(pair) for pair in self.rollbacks],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._episodes = {cause: _Episode(*steps) for cause, *steps in state["episodes"]}
        self._multiplier = float.fromhex(state["multiplier"])
        self._cut_step, self._cuts = state["cut_step"], state["cuts"]
        self.rollbacks = [(start, to) for start, to in state["rollbacks"]]


def _action(policy: str) -> Action:
    if policy == "cut_lr":
        return "cut_lr"
    if policy == "rollback":
        return "rollback"
    return "stop" if policy == "stop" else "none"
