"""Figures from lines that scripts print: the shapes that people's scripts have."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.tasks.exec.lines import Figures, LineReader
from engine.tasks.exec.naming import metric_name


def read(*lines: str, **options: Any) -> list[Figures]:
    """What a reader finds in lines, one after the other."""
    reader = LineReader(**options)
    return [found for line in lines if (found := reader.read(line)) is not None]


def test_the_shape_of_pytorchs_mnist_example() -> None:
    found = read(
        "Train Epoch: 1 [0/60000 (0%)]\tLoss: 2.300039",
        "Train Epoch: 1 [640/60000 (1%)]\tLoss: 1.213470",
        "",
        "Test set: Average loss: 0.0437, Accuracy: 9856/10000 (99%)",
        "Train Epoch: 2 [640/60000 (1%)]\tLoss: 0.2",
    )
    assert found == [
        Figures(0, {"train/loss": 2.300039}),
        Figures(640, {"train/loss": 1.21347}),
        Figures(640, {"test/loss": 0.0437, "test/accuracy": 0.9856}),
        Figures(60640, {"train/loss": 0.2}),
    ]


def test_the_mnist_examples_last_smaller_batch_takes_no_step_back() -> None:
    places = ["1 [1344/1500", "1 [1408/1500", "1 [644/1500", "2 [0/1500", "2 [64/1500"]
    found = read(*[f"Train Epoch: {place} (75%)]\tLoss: 1.0" for place in places])
    assert [item.step for item in found] == [1344, 1408, 1409, 1500, 1564]


def test_the_shape_of_hugging_faces_trainer() -> None:
    found = read(
        "  0%|          | 0/300 [00:00<?, ?it/s]",
        "  3%|▎         | 10/300 [00:01<00:30,  9.6it/s]{'loss': '4.1', 'learning_rate': '5e-05', 'epoch': '0.1'}",
        "  3%|▎         | 10/300 [00:01<00:30,  9.6it/s]",
        "{'loss': 3.9, 'grad_norm': 1.5, 'learning_rate': 4e-05, 'epoch': 0.2}",
        "100%|██████████| 4/4 [00:00<00:00, 30it/s]",
        "{'eval_loss': 3.8, 'epoch': 0.2}",
    )
    assert found[-2:] == [
        Figures(10, {"train/loss": 3.9, "train/grad_norm": 1.5, "train/lr": 4e-5}, 300),
        Figures(10, {"val/loss": 3.8}, 300),
    ]


def test_words_for_steps_with_totals_and_prefixes() -> None:
    assert read("[2026-11-22 13:50:49] INFO step 100/1000 | loss: 0.25 | lr: 1e-4 | 3.2 it/s") == [
        Figures(100, {"train/loss": 0.25, "train/lr": 1e-4}, 1000)
    ]
    assert read("iter 7: val_loss=0.3 tokens/s=12.5e3") == [Figures(7, {"val/loss": 0.3, "tokens/s": 12500.0})]
    assert read('2026 {"step": 5, "train": {"loss": 0.5}}') == [Figures(5, {"train/loss": 0.5})]


def test_steps_counted_anew_in_each_epoch_count_on() -> None:
    lines = [f"Epoch {epoch} Batch {batch} loss: 1" for epoch in (0, 1, 2) for batch in (10, 20)]
    assert [found.step for found in read(*lines)] == [10, 20, 30, 40, 50, 60]


def test_a_bar_an_epoch_counts_on_and_a_shorter_one_in_between_is_an_evaluations() -> None:
    reader = LineReader()
    bars = ["50/100 [00:01<00:01", "100/100 [00:02<00:00", "5/10 [00:00<00:00", "40/100 [00:01<00:02"]
    for bar in bars:
        reader.read(f" 50%|#####     | {bar}, 9it/s, loss=1.5]")
    assert reader.step == 140


def test_a_bar_of_preparing_data_is_forgotten_when_it_is_over() -> None:
    bars = [
        "5000/5000 [00:01<00:00",
        "0/300 [00:00<?",
        "10/300 [00:01<00:20",
        "3/8 [00:00<00:01",
        "20/300 [00:02<00:20",
    ]
    found = read(*[line for bar in bars for line in (f" 50%|###  | {bar}, 9it/s]",)], "{'loss': 1.5}")
    assert found == [Figures(20, {"train/loss": 1.5}, 300)]


def test_epochs_are_steps_where_nothing_finer_is_named() -> None:
    found = read("Epoch 1/10: loss: 0.5 val_acc: 91.2%", "Epoch 2/10: loss: 0.4 val_acc: 92%")
    assert found == [
        Figures(1, {"train/loss": 0.5, "val/accuracy": 91.2 / 100}, 10),
        Figures(2, {"train/loss": 0.4, "val/accuracy": 0.92}, 10),
    ]


def test_without_any_step_only_what_comes_again_is_a_figure() -> None:
    found = read("seed: 42", "parameters: 1000000", "loss: 0.5", "loss: 0.4", "loss: nan")
    assert [item.step for item in found] == [2, 3]
    assert math.isnan(found[1].values["train/loss"])


@pytest.mark.parametrize(
    "line",
    [
        "Downloading http://10.0.0.1:8080/a at 12:30:11", "Found 4 GPUs", "host: 10.0.0.1:29500", "torch: 2.13.0",
        "time: 12:30:11", "step", "x" * 5000 + " loss: 1", "{not: json}", "loss:", "\x1b[32m\x1b[0m",
    ],
)  # fmt: skip
def test_what_is_no_figure_is_left_alone(line: str) -> None:
    assert read("step 1 loss: 1", line)[1:] == []


def test_a_pattern_replaces_the_rules() -> None:
    found = read(
        "iter 12 of 50: total 3.5, kl: 0.2",
        "loss: 9",
        pattern=r"iter (?P<step>\d+) of (?P<total>\d+): total (?P<loss>[\d.]+)",
    )
    assert found == [Figures(12, {"train/loss": 3.5}, 50)]


def test_a_step_key_replaces_the_words_for_steps() -> None:
    found = read("samples=64 step 3 loss=0.5", '{"samples": 128, "loss": 0.4}', step_key="samples")
    assert [(item.step, item.values["train/loss"]) for item in found] == [(64, 0.5), (128, 0.4)]


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("loss", "train/loss"), ("learning_rate", "train/lr"), ("val_loss", "val/loss"), ("eval/loss", "val/loss"),
        ("Loss/train", "train/loss"), ("Loss/validation", "val/loss"), ("test accuracy", "test/accuracy"),
        ("train/loss", "train/loss"), ("my_metric", "my_metric"), ("time", "logged/time"), ("avg_loss", "train/loss"),
    ],
)  # fmt: skip
def test_one_name_for_what_people_call_by_many(raw: str, name: str) -> None:
    assert metric_name(raw) == name


@given(
    st.lists(st.one_of(st.text(max_size=80), st.from_regex(r"(step|epoch|loss)[ :=\[{]{1,3}[0-9./e-]{1,30}[\]}%,]?")))
)
@settings(max_examples=200, deadline=None)
def test_no_line_raises_and_no_step_is_negative(lines: list[str]) -> None:
    assert all(found.step >= 0 and found.values for found in read(*lines))
