"""The filter language as tables: what fits, what doesn't, and where a mistake is."""

from __future__ import annotations

import math
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.store.filter import FilterError, parse
from engine.store.status import State
from engine.store.summary import RunSummary

NOW = time.mktime((2026, 3, 10, 12, 0, 0, 0, 0, -1))
CONFIG: dict[str, Any] = {
    "optim.lr": 0.001, "model.kind": "latent", "data.kind": "text", "train.compile": False, "clip.max_norm": None,
    "model.sizes": [64, 128], "seed": 3,
}  # fmt: skip


def run(**facts: Any) -> RunSummary:
    given: dict[str, Any] = {
        "id": "20260310-100000_multiplication-latent_ab12", "name": "Big Latent", "task": "multiplication",
        "status": State.RUNNING, "reason": "", "since": None, "step": 150, "total_steps": 1000,
        "metrics": {"train/loss": 0.7, "val/loss": 0.4, "train/acc": 0.5, "val/acc": 0.9, "train/lr": 0.5, "a/x": 1.0,
                    "b/x": 2.0},
        "best": {}, "study": "sweep", "arm": "wide", "seed": 3, "tags": ("paper", "v2"), "note": "keep this one",
        "star": True, "archived": False, "created": NOW - 7200, "attempts": 1, "host": "gpu7", "rate": None,
        "left": None,
    }  # fmt: skip
    return RunSummary(**(given | facts))


def fits(text: str, subject: RunSummary | None = None, **options: Any) -> bool:
    return parse(text).matches(subject or run(), CONFIG, now=NOW, **options)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", True), ("  ", True),
        # words
        ("latent", True), ("LATENT", True), ("ab12", True), ("keep", True), ("paper", True), ("nothing", False),
        ('"big latent"', True), ("'big latent'", True), ('"latent big"', False), ("latent big", True),
        ('"AND"', False), ("and", False),
        # fields
        ("status:running", True), ("status:live", True), ("status:ended", False), ("status:failed", False),
        ("task:mult", True), ("task:m*n", True), ("task:m*x", False), ("name:big", True), ('name:"big latent"', True),
        ("study:swe", True), ("arm:wide", True), ("arm:narrow", False), ("tag:paper", True), ("tag:pap", False),
        ("tag:pap*", True), ("host:gpu", True), ("seed:3", True), ("seed:30", False), ("id:ab12", True),
        ("has:note", True), ("has:tag", True), ("has:star", True), ("has:alert", False), ("has:checkpoint", False),
        ("STATUS:Running", True),
        # comparisons
        ("loss<0.5", True), ("loss < 0.5", True), ("loss>0.5", False), ("loss=0.4", True), ("loss!=0.4", False),
        ("step>100", True), ("step>=150", True), ("step<=150", True), ("step<150", False), ("step==150", True),
        ("optim.lr=0.001", True), ("optim.lr=1e-3", True), ("lr>=1e-3", True), ("lr>1e-3", False),
        ("train/lr=0.5", True), ("model.kind=latent", True), ("model.kind=LATENT", True), ("model.kind=lat*", True),
        ("model.kind!=simple", True), ("model.kind=simple", False), ("val/acc>0.8", True), ("acc>0.8", True),
        ("compile=false", True), ("compile=true", False), ("max_norm=none", True), ("max_norm<5", False),
        ("sizes=128", True), ("sizes=5", False), ("sizes!=5", True), ("name=big", False), ('name="big latent"', True),
        # ages and dates
        ("age<3h", True), ("age>1h30m", True), ("age>1d", False), ("age<3600", False),
        ("created>2026-03-09", True), ("created=2026-03-10", True), ("created>2026-03-10", False),
        ("created<2026-03-10T11:00", True), ("created<=2026-03-10", True), ("created!=2026-03-10", False),
        # what isn't there
        ("nosuch<1", False), ("nosuch>1", False), ("nosuch!=1", False), ("NOT nosuch<1", True), ("-nosuch=1", True),
        ("left<1h", False), ("x=1", False),
        # how terms combine
        ("nothing OR latent", True), ("latent nothing", False), ("latent AND big", True), ("NOT nothing", True),
        ("-latent", False), ("--latent", True), ("NOT NOT latent", True), ("-(nothing OR other)", True),
        ("nothing latent OR big", True), ("big OR nothing nothing", True), ("(big OR nothing) nothing", False),
        ("NOT nothing latent", True), ("NOT (nothing latent)", True), ("-nothing -other", True),
        ("(((latent)))", True), ("name:big(latent)", True),
    ],
)  # fmt: skip
def test_what_fits(text: str, expected: bool) -> None:
    assert fits(text) is expected


def test_nan_is_found_by_name_and_lies_nowhere() -> None:
    broken = run(metrics={"val/loss": math.nan})
    assert [fits(text, broken) for text in ("loss=nan", "loss!=nan", "loss<1", "loss>=1", "loss!=1", "NOT loss<1")] == [
        True, False, False, False, True, True,
    ]  # fmt: skip
    assert not fits("loss=nan")
    assert fits("loss!=nan")
    assert not fits("loss=nan", run(metrics={})), "a run without a loss has no NaN either"
    assert fits("loss=inf", run(metrics={"val/loss": math.inf}))


def test_checkpoints_are_asked_for_only_where_they_matter() -> None:
    assert parse("has:checkpoint").needs_checkpoints
    assert not parse("has:note").needs_checkpoints
    assert fits("has:checkpoint", has_checkpoint=True)


def test_options_are_asked_for_only_where_they_matter() -> None:
    assert parse("lr>1").needs_config
    assert not parse("loss<1 step>5 age<2h status:running word").needs_config


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("taks:mult", 1, "did you mean `task:`"),
        ("loss<0.5 zzzz:1", 10, "there is no field"),
        ("status:runing", 8, "did you mean `running`"),
        ("has:stars", 5, "did you mean `star`"),
        ("loss<abc", 6, "no number"),
        ("loss<", 6, "needs a value"),
        ("status:", 8, "needs a value"),
        ("status: running", 9, "needs a value"),
        ("(a b", 1, "never closed"),
        ("a b)", 4, "no `(`"),
        ("a OR", 5, "missing at the end"),
        ("OR a", 1, "missing before OR"),
        ("a AND OR b", 7, "missing before OR"),
        ("()", 2, "missing before `)`"),
        ('x "abc', 3, "never closed"),
        ("a <5 <7", 6, "needs a name"),
        ("=5", 1, "needs a name"),
        ("a -", 3, "right after it"),
        ("age<soon", 5, "length of time"),
        ("created>2026-13-01", 9, "no date"),
        ("created>2026-02-30", 9, "no date"),
        ("seed:x", 6, "whole number"),
        ("seed:--5", 6, "whole number"),
        ("task<mult", 6, "compared with = and !="),
        ("model.kind>latent", 12, "no number"),
        ("0.1<loss<0.5", 5, "no number"),
        ("(" * 60 + "a" + ")" * 60, 51, "too deeply"),
    ],
)
def test_mistakes_point_at_the_character(text: str, column: int, words: str) -> None:
    with pytest.raises(FilterError) as raised:
        parse(text)
    assert raised.value.position + 1 == column
    assert words in str(raised.value)
    assert f"column {column}" in str(raised.value)


def test_a_short_name_that_could_be_several_options_is_refused() -> None:
    with pytest.raises(FilterError, match=r"`model\.kind` or `data\.kind`") as raised:
        parse("step>1 kind=latent").check_names(run(), CONFIG)
    assert raised.value.position == 7
    parse("model.kind=latent lr=1 acc>0 loss<1").check_names(run(), CONFIG)
    with pytest.raises(FilterError, match="`a/x` or `b/x`"):
        parse("x>1").check_names(run(), {})


PIECES = st.sampled_from(
    ["a", "status:", "running", "loss", "<", ">=", "=", "!=", "0.5", "nan", "(", ")", "-", "NOT", "AND", "OR", '"', "'",
     " ", "\\", "\n", "age<", "2h", "created>", "2026-01-01", "seed:", "has:", "star", "*", "[", "tag:", ":", "!"]
)  # fmt: skip


@given(st.one_of(st.text(max_size=40), st.lists(PIECES, max_size=15).map("".join), st.lists(PIECES).map(" ".join)))
def test_nothing_but_its_own_error_comes_out(text: str) -> None:
    try:
        chosen = parse(text)
        chosen.check_names(run(), CONFIG)
    except FilterError as error:
        if not 0 <= error.position <= len(text):
            pytest.fail(f"column {error.position} of {text!r}")
        return
    assert chosen.matches(run(), CONFIG, now=NOW) in (True, False)


@given(st.text(max_size=20), st.text(max_size=20))
def test_not_turns_every_answer_round(one: str, other: str) -> None:
    try:
        plain, turned = parse(f"{one} {other}"), parse(f"NOT ({one} {other})")
    except FilterError:
        return
    assert plain.is_empty or plain.matches(run(), CONFIG, now=NOW) != turned.matches(run(), CONFIG, now=NOW)
