"""Options are what forms, help and messages are made of: none may lack its words."""

from __future__ import annotations

from typing import Literal

import pytest
from pydantic import ValidationError

from engine.config.options import list_options, nearest
from engine.config.sections import PositiveInt, RunConfig, Section, TaskConfig
from engine.config.tasks import config_class, task_packages

KEYS = ["seed", "model.d_model", "model.kind", "schedule.kind", "train.max_steps", "optim.lr"]


class _Inner(Section):
    """A section."""

    width: PositiveInt | None = None
    """How wide."""
    rate: float | Literal["auto"] = "auto"
    """How fast."""


class _Outer(Section):
    """A config."""

    on: bool = True
    """Whether."""
    inner: _Inner = _Inner(width=7)


@pytest.mark.parametrize("task", sorted(task_packages()))
def test_every_option_of_every_installed_task_has_help_text(task: str) -> None:
    options = list_options(config_class(task))
    assert len(options) > 5
    assert [option.key for option in options if not option.help.strip()] == []


@pytest.mark.parametrize("task", sorted(task_packages()))
def test_every_choice_of_every_installed_task_includes_its_default(task: str) -> None:
    for option in list_options(config_class(task)):
        if option.choices and option.kind == "choice":
            assert str(option.default) in option.choices, option.key


@pytest.mark.parametrize("task", sorted(task_packages()))
def test_every_task_says_what_it_is_and_gives_a_slug(task: str) -> None:
    found = config_class(task)
    assert found.summary
    assert found().slug()
    assert issubclass(found, RunConfig)


def test_options_of_a_nested_section_have_dotted_keys_and_the_outer_defaults() -> None:
    by_key = {option.key: option for option in list_options(_Outer)}
    assert list(by_key) == ["on", "inner.width", "inner.rate"]
    assert by_key["inner.width"].default == 7
    assert by_key["inner.width"].optional
    assert by_key["inner.width"].kind == "integer"
    assert by_key["inner.width"].section == "inner"
    assert by_key["on"].section == ""


def test_an_option_that_takes_a_number_or_a_word_says_both() -> None:
    rate = next(option for option in list_options(_Outer) if option.key == "inner.rate")
    assert rate.kind == "number or choice"
    assert rate.choices == ("auto",)


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [
        ("model.dmodel", "model.d_model"),
        ("modle.d_model", "model.d_model"),
        ("d_model", "model.d_model"),
        ("max_step", "train.max_steps"),
        ("training.max_steps", "train.max_steps"),
        ("optimizer.lr", "optim.lr"),
        ("seeed", "seed"),
        ("modle.kind", "model.kind"),
    ],
)
def test_a_misspelt_key_finds_the_one_that_was_meant(misspelt: str, meant: str) -> None:
    assert nearest(misspelt, KEYS) == meant


def test_a_word_like_nothing_known_suggests_nothing() -> None:
    assert nearest("xyzzy", KEYS) is None
    assert nearest("anything", []) is None


def test_a_config_never_changes_after_it_was_validated() -> None:
    config = TaskConfig()
    with pytest.raises(ValidationError, match="frozen"):
        config.seed = 3
