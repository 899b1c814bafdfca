"""The options of the task `exec`: a command of the user's own, and how its metrics are found. Pydantic only."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from engine.config.options import nearest
from engine.config.sections import NonNegativeInt, RunConfig, Section

OWN_PLACEHOLDERS = ("seed", "run_dir", "run_id", "attempt")
"""What heats fills in itself: the seed, a folder of the run for the script's files, the run's id, the attempt's number.
"""
_PLACEHOLDER = re.compile(r"(?<![${])\{([A-Za-z_]\w*)\}(?!\})")
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
Flag = str | bool | int | float


class CommandSection(Section):
    """The command, and where its metrics come from."""

    command: str = ""
    """What to run, as one would type it (quotes count, but no shell reads it): python train.py --lr {lr}. {lr} stands
    for flags.lr; {seed}, {run_dir} (a folder of the run for the script's own files), {run_id} and {attempt} are filled
    in by heats; a brace that is meant is doubled."""
    metrics: Literal["auto", "files", "lines", "none"] = "auto"
    """auto takes what the script logs through `engine.track`, else from the files that it writes, and from lines of its
    output what those lack; files and lines take only these; none takes only `engine.track`."""
    files: list[str] = Field(default=[])
    """Patterns of TensorBoard event files, JSON lines and CSV files, from the working folder. Without any, files count
    that the script holds open or that appear below its working folder while it runs."""
    step_key: str = ""
    """The name of the step in lines and tables; else it is known by names such as step, iteration or epoch."""
    pattern: str = ""
    """A regular expression for lines of output, with a named group for each figure, and `step` and `total` where they
    are on the line. It replaces the rules for lines: loss=(?P<loss>[0-9.]+)."""
    ignore: list[str] = Field(default=[])
    """Metrics to leave out; * stands for any text."""
    steps: NonNegativeInt = 0
    """How many steps it takes; 0 leaves it to what the script says."""

    @field_validator("command")
    @classmethod
    def _splits(cls, value: str) -> str:
        try:
            shlex.split(value)
        except ValueError as error:
            raise ValueError(f"its quotes don't match ({error})") from None
        return value

    @field_validator("pattern")
    @classmethod
    def _names_a_figure(cls, value: str) -> str:
        try:
            groups = re.compile(value).groupindex
        except re.error as error:
            raise ValueError(f"is no regular expression ({error})") from None
        if value and not set(groups) - {"step", "total"}:
            raise ValueError("names no figure: write one as (?P<loss>[0-9.]+)")
        return value


class BestSection(Section):
    """What counts as best."""

    best_metric: str = "val/loss"
    """The metric whose best value is kept on the record."""
    best_mode: Literal["min", "max"] = "min"
    """Whether less or more of it is better."""


class Config(RunConfig):
    """A command of the user's own."""

    summary: ClassVar[str] = "any training script: heats launch exec -- python train.py --lr 3e-4"
    trainer: ClassVar[str] = "engine.tasks.exec"

    seed: NonNegativeInt = 0
    """Fills {seed} in the command."""
    exec: CommandSection = CommandSection()
    flags: dict[str, Flag] = Field(default={})
    """What fills the placeholders of the command: flags.lr=3e-4 for {lr}."""
    evaluation: BestSection = BestSection()

    @field_validator("flags")
    @classmethod
    def _plain(cls, value: dict[str, Flag]) -> dict[str, Flag]:
        # A text that is a whole number and nothing else is one, wherever it was typed: equal flags, equal configs.
        return {
            name: int(flag) if isinstance(flag, str) and _INTEGER.fullmatch(flag) else flag
            for name, flag in value.items()
        }

    @property
    def total_steps(self) -> int | None:
        """As the options say; most scripts tell it themselves."""
        return self.exec.steps or None

    @property
    def best_mode(self) -> Literal["min", "max"]:
        """As the options say."""
        return self.evaluation.best_mode

    def complete(self) -> None:
        """Refuse an empty command, a placeholder without a value, and a flag without a placeholder.

        Raises:
            ValueError: which.
        """
        if not shlex.split(self.exec.command):
            raise ValueError("`exec.command` is empty; write it behind --: heats launch exec -- python train.py")
        wanted = placeholders(self.exec.command)
        for name in wanted:
            if name not in self.flags and name not in OWN_PLACEHOLDERS:
                near = nearest(name, [*self.flags, *OWN_PLACEHOLDERS])
                hint = f"did you mean {{{near}}}?" if near else f"write {{{{{name}}}}} where the text itself is meant"
                raise ValueError(f"`exec.command` has {{{name}}}, but `flags.{name}` has no value; {hint}")
        for name in self.flags:
            if name in OWN_PLACEHOLDERS:
                raise ValueError(f"`flags.{name}` is filled in by heats itself")
            if name not in wanted:
                near = nearest(name, list(wanted))
                hint = f"; did you mean `flags.{near}`?" if near else f"; write it as --{name} {{{name}}}"
                raise ValueError(f"`flags.{name}` has a value, but the command has no {{{name}}}{hint}")

    def words(self, **own: str) -> list[str]:
        """The command word by word, its placeholders filled.

        Args:
            own: values of `run_dir`, `run_id` and `attempt`.
        """
        values = {name: _text(flag) for name, flag in self.flags.items()} | {"seed": str(self.seed)} | own
        return [fill(word, values) for word in shlex.split(self.exec.command)]

    def rules(self) -> list[str]:
        """In words, how the figures of the command are found."""
        options, told = self.exec, ["engine.track, where the script calls it"]
        if options.metrics in ("auto", "files"):
            named = ", ".join(options.files)
            where = f"those of {named}" if named else "those that it holds open, or that appear where it works"
            told.append(f"TensorBoard events, JSON lines and CSV files: {where}")
        if options.metrics in ("auto", "lines"):
            how = (
                f"that match {options.pattern}"
                if options.pattern
                else "with name: number, name=number or a JSON object"
            )
            told.append(f"lines of its output {how}")
        told.append(f"steps: {options.step_key or 'step, iteration, batch or epoch, whichever is there first'}")
        return told

    def slug(self) -> str:
        """The script's name, and the flags: `train-lr0.001`."""
        words = shlex.split(self.exec.command)
        named = [word for word in words if re.search(r"\.(?:py|sh|jl|R|lua)$", word)] or words
        name = re.sub(r"\.\w+$", "", named[0].rpartition("/")[2]) if named else "command"
        return "-".join([name, *(f"{flag}{_text(value)}" for flag, value in self.flags.items())])


def join_words(words: Sequence[str]) -> str:
    """Words as one command; only those are quoted that would fall apart, so that placeholders stay readable."""
    if len(words) == 1:  # quoted as a whole
        return words[0]
    return " ".join(shlex.quote(word) if not word or re.search(r"[\s'\"\\]", word) else word for word in words)


def placeholders(command: str) -> tuple[str, ...]:
    """The names of the placeholders in a command, each once, in order. `${HOME}` and `{{lr}}` are none."""
    return tuple(dict.fromkeys(_PLACEHOLDER.findall(command)))


def fill(word: str, values: Mapping[str, str]) -> str:
    """A word of a command with its placeholders filled; doubled braces around a name become single ones."""
    filled = _PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), word)
    return re.sub(r"\{(\{[A-Za-z_]\w*\})\}", r"\1", filled)


def _text(value: Flag) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
