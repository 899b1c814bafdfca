"""The words of the filter language, each with its place in the text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto

from engine.errors import HeatsError


class FilterError(HeatsError):
    """What is wrong with a filter, and at which character (counted from 0)."""

    def __init__(self, problem: str, text: str, position: int, remedy: str | None = None) -> None:
        self.text = text
        self.position = min(position, len(text))
        super().__init__(problem, place=f"filter, column {self.position + 1}", remedy=remedy)

    @property
    def start(self) -> str:
        """What stands before the character; as wide as a caret's indent has to be."""
        return self.text[: self.position]


class Kind(Enum):
    """What a word of a filter is."""

    WORD = auto()
    OPERATOR = auto()
    VALUE = auto()
    AND = auto()
    OR = auto()
    NOT = auto()
    OPEN = auto()
    CLOSE = auto()
    END = auto()


@dataclass(frozen=True)
class Token:
    """A word and where it begins."""

    kind: Kind
    text: str
    position: int
    quoted: bool = False


_SPACE = re.compile(r"\s*")
_NAME = re.compile(r"(?:[^\s()<>=!:\"]|!(?!=))+")
_OPERATOR = re.compile(r"<=|>=|!=|==|<|>|=|:")
_VALUE = re.compile(r"[^\s()]+")
_QUOTED = re.compile(r"\"((?:[^\"\\]|\\.)*)\"|'((?:[^'\\]|\\.)*)'", re.DOTALL)
_WORDS = {"AND": Kind.AND, "OR": Kind.OR, "NOT": Kind.NOT}


def read_tokens(text: str) -> list[Token]:
    """The words of a filter; the last one is always END.

    Raises:
        FilterError: a quote that is never closed, or an operator where none can be.
    """
    tokens: list[Token] = []
    at = 0
    while True:
        at = _skip(text, at)
        if at >= len(text):
            tokens.append(Token(Kind.END, "", len(text)))
            return tokens
        character = text[at]
        if character in "()":
            tokens.append(Token(Kind.OPEN if character == "(" else Kind.CLOSE, character, at))
            at += 1
        elif character == "-":
            if at + 1 >= len(text) or text[at + 1].isspace() or text[at + 1] == ")":
                raise FilterError("`-` needs a term right after it", text, at)
            tokens.append(Token(Kind.NOT, "-", at))
            at += 1
        else:
            at = _term(text, at, tokens)


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _term(text: str, at: int, tokens: list[Token]) -> int:
    """A word, and the operator and value that may follow it."""
    if text[at] in "\"'":
        word, end = _quoted(text, at)
        tokens.append(Token(Kind.WORD, word, at, quoted=True))
    else:
        match = _NAME.match(text, at)
        if match is None:
            operator = _OPERATOR.match(text, at)
            tokens.append(Token(Kind.OPERATOR, operator.group() if operator else text[at], at))
            return operator.end() if operator else at + 1
        end = match.end()
        if match.group() in _WORDS:
            tokens.append(Token(_WORDS[match.group()], match.group(), at))
            return end
        tokens.append(Token(Kind.WORD, match.group(), at))
    # `loss < 0.5` is one term; a colon stands close, since `a : b` would be no field of ours.
    begin = _skip(text, end)
    operator = _OPERATOR.match(text, begin)
    if operator is None or (operator.group() == ":" and begin != end):
        return end
    tokens.append(Token(Kind.OPERATOR, operator.group().replace("==", "="), begin))
    begin = operator.end() if operator.group() == ":" else _skip(text, operator.end())
    if begin < len(text) and text[begin] in "\"'":
        value, end = _quoted(text, begin)
        tokens.append(Token(Kind.VALUE, value, begin, quoted=True))
        return end
    match = _VALUE.match(text, begin)
    if match is None:
        return begin
    tokens.append(Token(Kind.VALUE, match.group(), begin))
    return match.end()


def _quoted(text: str, at: int) -> tuple[str, int]:
    match = _QUOTED.match(text, at)
    if match is None:
        raise FilterError("this quote is never closed", text, at)
    inner = match.group(1) if match.group(1) is not None else match.group(2)
    return re.sub(r"\\(.)", r"\1", inner, flags=re.DOTALL), match.end()
