"""Options: the classic names, what is refused, and how many steps so many epochs are."""

from __future__ import annotations

from typing import Any

import pytest

from engine.config.options import list_options
from engine.config.resolve import parse_overrides, resolve
from engine.errors import HeatsError
from engine.store.stored_config import apply_overrides
from engine.tasks.conditional.config import Config
from engine.tasks.conditional.task import Conditional
from engine.train.schedule import learning_rate
from tests.engine.tasks.conditional.made import config_of


def test_the_defaults_are_those_of_the_original() -> None:
    config = resolve(Config, {})
    assert (config.model.kind, config.model.config, config.model.position) == ("conditional", "distilgpt2", "learned")
    assert (config.train.num_epochs, config.train.batch_size, config.train.accumulation) == (3, 8, 16)
    assert (config.optim.name, config.optim.lr, config.optim.weight_decay) == ("adamw", 5e-4, 0.1)
    assert (config.schedule.kind, config.schedule.warmup_steps, config.optim.min_lr_ratio) == ("cosine", 2000, 0.1)
    assert (config.clip.kind, config.clip.max_norm, config.data.block_size) == ("fixed", 1.0, 1023)
    options = config.augment
    assert not options.detach
    assert (options.where, options.mask, options.pad_is_eos, options.keep_leftovers) == (
        "internal",
        "sealed",
        False,
        True,
    )
    assert (options.cond_pct_min, options.cond_pct_max, options.eval_pct_min, options.eval_pct_max) == (
        0.0,
        0.4,
        1.0,
        1.0,
    )
    assert options.max_cond_blocks is None


def test_options_are_taken_by_their_classic_names() -> None:
    words = (
        "model_type=conditional model_config=distilgpt2 detach_augmentation=true num_epochs=3 cond_pct_min=0.0 "
        "cond_pct_max=0.3 eval_pct_min=1.0 eval_pct_max=1.0 batch_size=4 gradient_accumulation_steps=32 "
        "learning_rate=1e-3 max_cond_blocks=3 mode2_boundary_cond_pct_min=0.05 num_train_samples=1000"
    )
    sections = (
        "model.kind=conditional model.config=distilgpt2 augment.detach=true train.num_epochs=3 "
        "augment.cond_pct_min=0.0 augment.cond_pct_max=0.3 augment.eval_pct_min=1.0 augment.eval_pct_max=1.0 "
        "train.batch_size=4 train.accumulation=32 optim.lr=1e-3 augment.max_cond_blocks=3 "
        "evaluation.boundary_pct_min=0.05 data.train_rows=1000"
    )
    flat, dotted = (resolve(Config, parse_overrides(text.split())) for text in (words, sections))
    assert flat == dotted
    assert flat.augment.detach
    assert resolve(Config, {"model_type": "sigmagpt"}).model.kind == "sigma"


def test_every_classic_name_is_of_an_option() -> None:
    keys = {option.key for option in list_options(Config)}
    assert set(Config.aliases.values()) <= keys
    assert not set(Config.aliases) & keys


def test_one_option_by_two_names_is_refused() -> None:
    with pytest.raises(HeatsError, match=r"`augment.detach` is given twice"):
        resolve(Config, {"augment.detach": "true", "detach_augmentation": "false"})


def test_a_stored_config_is_changed_by_a_classic_name() -> None:
    changed = apply_overrides(config_of(), {"num_epochs": "7", "detach_augmentation": "true"})
    assert isinstance(changed, Config)
    assert (changed.train.num_epochs, changed.augment.detach) == (7, True)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model.kind": "baseline", "augment.detach": True}, "augment.detach is refused: model.kind = baseline"),
        ({"model.kind": "baseline", "cond_pct_max": 0.3}, "augment.cond_pct_max is refused"),
        ({"model.kind": "baseline", "evaluation.modes": [1, 2]}, "can't be evaluated in mode 2"),
        ({"model.kind": "sigma", "augment.mask": "leaky"}, "has no prefix that could leak"),
        ({"data.block_size": 1024}, r"data.block_size \(1024\) is above 1023"),
        ({"augment.cond_pct_min": 0.5}, "augment.cond_pct_min .* is above"),
        ({"evaluation.modes": [1, 1]}, "a mode twice"),
        ({"evaluation.modes": [6]}, r"evaluation.modes"),
        ({"data.stride": 5}, "data.stride has no place"),
        ({"train.num_epochs": 0}, "would never end"),
        ({"model.attention": "flex"}, "has no dropout"),
        ({"data.random_symbols": 1}, "leaves nothing to guess"),
        ({"num_train_samples": 0}, r"data\.train_rows = 0 leaves no text"),
        ({"data.eval_rows": 0}, r"data\.eval_rows = 0 leaves no text"),
        ({"model.from_run": "last", "model.pretrained": "gpt2"}, "give one of them"),
    ],
)
def test_what_makes_no_sense_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(HeatsError, match=message):
        resolve(Config, values)


def test_positions_that_rotate_have_no_end() -> None:
    assert resolve(Config, {"model.position": "rope", "data.block_size": 4000}).data.block_size == 4000


def test_the_baseline_is_evaluated_in_the_modes_that_it_has() -> None:
    assert resolve(Config, {"model.kind": "baseline"}).evaluation.modes == [1, 4]
    stored = resolve(Config, {"model.kind": "baseline"}).model_dump()
    assert Config.model_validate(stored).evaluation.modes == [1, 4]


def test_epochs_are_steps_once_the_data_is_known() -> None:
    config = config_of({"train.num_epochs": 3})
    assert config.total_steps is None
    settled = Conditional(config).settle(83)  # 20 batches of 4, 10 steps an epoch
    assert settled.train.max_steps == 30
    assert config_of({"train.num_epochs": 0, "train.max_steps": 7}).total_steps == 7
    assert Conditional(config_of({"train.num_epochs": 3, "train.max_steps": 7})).settle(83).train.max_steps == 7
    assert Conditional(config_of({"train.num_epochs": 0.01})).settle(83).train.max_steps == 1


def test_the_rate_rises_over_a_tenth_of_the_run_at_most() -> None:
    settled = Conditional(resolve(Config, {"train.num_epochs": 3})).settle(128 * 100)
    rates = [learning_rate(settled, step) for step in range(settled.train.max_steps)]
    assert settled.train.max_steps == 300
    assert rates.index(max(rates)) <= 30
    assert max(rates) == pytest.approx(5e-4)
    assert rates[-1] == pytest.approx(5e-5, rel=0.01)
