"""The filter language of `heats list --filter` and of the app: text in, a pure test of runs out.

    status:running task:mult loss<0.5 NOT (tag:paper OR has:star) "two words"

Terms side by side must all hold. A comparison with something that a run doesn't have is false, so its NOT is true.
"""

from __future__ import annotations

import difflib
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from engine.errors import HeatsError
from engine.store import filter_values as values
from engine.store.filter_lexer import FilterError, Kind, Token, read_tokens
from engine.store.filter_values import Comparison, Subject, is_ambiguous
from engine.store.status import State

__all__ = ["SUMMARY", "Filter", "FilterError", "parse"]

SUMMARY = (
    "Terms side by side must all hold; OR, NOT or a leading -, and ( ) combine them. "
    "Fields: status:running task:mult name: study: arm: tag: host: seed: has:note|tag|star|checkpoint|alert. "
    "Comparisons with a metric or an option: loss<0.5 optim.lr=0.001 model.kind=latent val/exact_match>0.9 step>100 "
    "loss=nan age<2h created>2026-01-01; a name's last part will do where that is clear (lr>=1e-3), "
    "options first, then val/ metrics. "
    'Anything else, or "two words", is looked for in id, name, task, tags and note.'
)
FIELDS = ("status", "task", "study", "arm", "tag", "has", "name", "id", "host", "seed", "note")
HAVES = ("note", "tag", "star", "checkpoint", "alert", "study", "problem", "archived")
GROUPS = {"live": State.is_live.fget, "ended": State.is_final.fget}  # type: ignore[attr-defined]
_DEEPEST = 50
_LONGEST = 4000


@dataclass(frozen=True)
class _Text:
    text: str

    def holds(self, subject: Subject) -> bool:
        return self.text in subject.haystack


@dataclass(frozen=True)
class _Field:
    field: str
    wanted: str

    def holds(self, subject: Subject) -> bool:
        return values.field_holds(subject.run, self.field, self.wanted)


@dataclass(frozen=True)
class _Status:
    states: frozenset[str]

    def holds(self, subject: Subject) -> bool:
        return str(subject.run.status) in self.states


@dataclass(frozen=True)
class _Has:
    what: str

    def holds(self, subject: Subject) -> bool:
        if self.what == "checkpoint":
            return subject.has_checkpoint
        return values.has(subject.run, self.what)


@dataclass(frozen=True)
class _Not:
    inner: _Node

    def holds(self, subject: Subject) -> bool:
        return not self.inner.holds(subject)


@dataclass(frozen=True)
class _Many:
    """All of the parts, or any of them."""

    parts: tuple[_Node, ...]
    every: bool

    def holds(self, subject: Subject) -> bool:
        if self.every:
            return all(part.holds(subject) for part in self.parts)
        return any(part.holds(subject) for part in self.parts)


_Node = _Text | _Field | _Status | _Has | _Not | _Many | Comparison


@dataclass(frozen=True)
class Filter:
    """A parsed filter. Without terms it lets every run through."""

    text: str
    _root: _Node | None
    _comparisons: tuple[tuple[int, Comparison], ...] = ()
    needs_checkpoints: bool = False
    """Whether it asks which runs have checkpoints, which takes a look into their folders."""

    @property
    def is_empty(self) -> bool:
        """Whether every run passes."""
        return self._root is None

    @property
    def needs_config(self) -> bool:
        """Whether it may ask for options of the config, which take reading."""
        return any(comparison.needs_config for _, comparison in self._comparisons)

    def matches(
        self, run: Any, config: Mapping[str, Any] | None = None, *, has_checkpoint: bool = False,
        now: float | None = None,
    ) -> bool:  # fmt: skip
        """Whether a run passes.

        Args:
            run: a `RunSummary`, or a line of the index.
            config: its options, flat by dotted key.
            has_checkpoint: whether it has any checkpoint; see `needs_checkpoints`.
            now: what ages are counted from, in seconds since 1970; the present if not given.
        """
        if self._root is None:
            return True
        return self._root.holds(Subject(run, config or {}, has_checkpoint, time.time() if now is None else now))

    def check_names(self, run: Any, config: Mapping[str, Any]) -> None:
        """Refuse a short name that could be several options or metrics of a run.

        Raises:
            FilterError: pointing at the name.
        """
        for position, comparison in self._comparisons:
            names = is_ambiguous(comparison.name, tuple(config), tuple(run.metrics))
            if names:
                several = " or ".join(f"`{name}`" for name in names[:4])
                raise FilterError(f"`{comparison.name}` could be {several}", self.text, position, "write it in full")

    def unknown_names(self, options: Iterable[str], metrics: Iterable[str]) -> list[tuple[str, str | None]]:
        """The names that it compares but no run has, each with one that may have been meant.

        Args:
            options: the dotted keys of any run.
            metrics: the metrics of any run.
        """
        known = tuple(options), tuple(metrics)
        parts = {part for name in known[0] for part in (name, name.rpartition(".")[2])}
        parts |= {part for name in known[1] for part in (name, name.rpartition("/")[2])}
        found = []
        for name in dict.fromkeys(item.name for _, item in self._comparisons if item.needs_config):
            if values.locate(name, *known) is None and not is_ambiguous(name, *known):
                found.append((name, next(iter(difflib.get_close_matches(name, parts, 1)), None)))
        return found


def parse(text: str) -> Filter:
    """Understand a filter.

    Raises:
        FilterError: what is wrong, and at which character.
    """
    if len(text) > _LONGEST:
        raise FilterError(f"a filter of {len(text)} characters is too long", text[:_LONGEST], 0)
    parser = _Parser(text, read_tokens(text))
    root = parser.whole()
    return Filter(text, root, tuple(parser.comparisons), parser.asks_checkpoints)


class _Parser:
    """OR binds least, then terms side by side (AND may stand between them), then NOT."""

    def __init__(self, text: str, tokens: list[Token]) -> None:
        self.text = text
        self.tokens = tokens
        self.at = 0
        self.depth = 0
        self.comparisons: list[tuple[int, Comparison]] = []
        self.asks_checkpoints = False

    def whole(self) -> _Node | None:
        if self._peek().kind is Kind.END:
            return None
        node = self._either()
        left = self._peek()
        if left.kind is not Kind.END:
            raise self._error("there is no `(` for this `)`", left)
        return node

    def _peek(self) -> Token:
        return self.tokens[self.at]

    def _next(self) -> Token:
        token = self.tokens[self.at]
        if token.kind is not Kind.END:
            self.at += 1
        return token

    def _error(self, message: str, token: Token, remedy: str | None = None) -> FilterError:
        return FilterError(message, self.text, token.position, remedy)

    def _either(self) -> _Node:
        parts = [self._every()]
        while self._peek().kind is Kind.OR:
            self._next()
            parts.append(self._every())
        return parts[0] if len(parts) == 1 else _Many(tuple(parts), every=False)

    def _every(self) -> _Node:
        parts = [self._negated()]
        while True:
            kind = self._peek().kind
            if kind is Kind.AND:
                self._next()
            elif kind in (Kind.OR, Kind.CLOSE, Kind.END):
                return parts[0] if len(parts) == 1 else _Many(tuple(parts), every=True)
            parts.append(self._negated())

    def _negated(self) -> _Node:
        negative = False
        while self._peek().kind is Kind.NOT:
            self._next()
            negative = not negative
        node = self._term()
        return _Not(node) if negative else node

    def _term(self) -> _Node:
        token = self._next()
        if token.kind is Kind.OPEN:
            self.depth += 1
            if self.depth > _DEEPEST:
                raise self._error("the parentheses are nested too deeply", token)
            node = self._either()
            if self._next().kind is not Kind.CLOSE:
                raise self._error("this `(` is never closed", token)
            self.depth -= 1
            return node
        if token.kind is Kind.WORD:
            return self._word(token)
        if token.kind is Kind.OPERATOR:
            raise self._error(f"`{token.text}` needs a name before it", token, "as in loss<0.5")
        where = {Kind.END: "at the end", Kind.CLOSE: "before `)`"}.get(token.kind, f"before {token.text}")
        raise self._error(f"a term is missing {where}", token)

    def _word(self, token: Token) -> _Node:
        operator = self._peek()
        if operator.kind is not Kind.OPERATOR:
            return _Text(token.text.lower())
        self._next()
        value = self._next()
        if value.kind is not Kind.VALUE:
            raise self._error(f"`{token.text}{operator.text}` needs a value", value)
        if operator.text == ":":
            return self._field(token, value)
        try:
            comparison = values.compare(token.text, operator.text, value.text, quoted=value.quoted)
        except HeatsError as error:
            raise self._error(error.message, value, error.remedy) from None
        self.comparisons.append((token.position, comparison))
        return comparison

    def _field(self, token: Token, value: Token) -> _Node:
        field = token.text.lower()
        if field not in FIELDS:
            near = difflib.get_close_matches(field, FIELDS, n=1)
            remedy = (
                f"did you mean `{near[0]}:`?" if near else f"there are {', '.join(FIELDS)}; quote text with a colon"
            )
            raise self._error(f"there is no field `{token.text}:`", token, remedy)
        wanted = value.text.lower()
        if field == "status":
            return _Status(self._states(wanted, value))
        if field == "has":
            self._one_of(wanted, HAVES, value)
            self.asks_checkpoints |= wanted == "checkpoint"
            return _Has(wanted)
        if field == "seed" and not wanted.removeprefix("-").isdecimal():
            raise self._error(f"`{value.text}` is no whole number", value)
        return _Field(field, wanted)

    def _states(self, wanted: str, value: Token) -> frozenset[str]:
        if wanted in GROUPS:
            return frozenset(str(state) for state in State if GROUPS[wanted](state))
        self._one_of(wanted, (*map(str, State), *GROUPS), value)
        return frozenset({wanted})

    def _one_of(self, wanted: str, choices: tuple[str, ...], value: Token) -> None:
        if wanted not in choices:
            near = difflib.get_close_matches(wanted, choices, n=1)
            remedy = f"did you mean `{near[0]}`?" if near else f"choose one of {', '.join(choices)}"
            raise self._error(f"`{value.text}` is no choice", value, remedy)
