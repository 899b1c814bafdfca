from __future__ import annotations

import itertools
import math

import pytest
import torch

from engine.tasks.multiplication.data import EOS, PAD, VOCABULARY_SIZE
from engine.tasks.multiplication.losses import (
    answer_log_probabilities,
    column_sum_error,
    cross_entropy,
    sequence_error,
)

TARGET = torch.tensor([[4, 0, EOS, PAD], [7, EOS, PAD, PAD], [0, 0, 0, EOS]])


def random_logits() -> torch.Tensor:
    return torch.randn(3, 4, VOCABULARY_SIZE, generator=torch.Generator().manual_seed(0)) * 3


def test_sequence_error_is_the_brute_force_one() -> None:
    probabilities = random_logits().double().softmax(-1)
    answers = []
    for row, tokens in enumerate(TARGET.tolist()):
        whole = 1.0
        for place, token in itertools.takewhile(lambda item: item[1] != PAD, enumerate(tokens)):
            whole *= float(probabilities[row, place, token])
        answers.append(whole)
    got = sequence_error(answer_log_probabilities(random_logits(), TARGET))
    assert float(got) == pytest.approx(1 - sum(answers) / 3, rel=1e-5)


def test_cross_entropy_counts_zeros_and_eos_but_no_padding() -> None:
    log_p = random_logits().double().log_softmax(-1)
    picked = [float(log_p[r, p, t]) for r, row in enumerate(TARGET.tolist()) for p, t in enumerate(row) if t != PAD]
    assert len(picked) == 9
    assert float(cross_entropy(answer_log_probabilities(random_logits(), TARGET), TARGET)) == pytest.approx(
        -sum(picked) / 9, rel=1e-5
    )


def test_what_stands_at_padding_changes_nothing() -> None:
    logits = random_logits()
    changed = logits.clone()
    changed[TARGET == PAD] = 1e4
    for values in (logits, changed):
        values.requires_grad_()
        log_p = answer_log_probabilities(values, TARGET)
        (cross_entropy(log_p, TARGET) + sequence_error(log_p)).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert changed.grad is not None
    assert torch.equal(logits.grad, changed.grad)
    assert (logits.grad[TARGET == PAD] == 0).all()


def test_a_sure_right_answer_costs_nothing_and_a_sure_wrong_one_stays_finite() -> None:
    right = torch.nn.functional.one_hot(TARGET, VOCABULARY_SIZE) * 100.0
    log_p = answer_log_probabilities(right, TARGET)
    assert float(sequence_error(log_p)) == pytest.approx(0.0, abs=1e-6)
    wrong = (-right).requires_grad_()
    error = sequence_error(answer_log_probabilities(wrong, TARGET))
    error.backward()  # type: ignore[no-untyped-call]
    assert float(error.detach()) == 1.0
    assert wrong.grad is not None
    assert wrong.grad.isfinite().all()


def test_bf16_logits_are_summed_in_fp32() -> None:
    logits = random_logits().bfloat16()
    log_p = answer_log_probabilities(logits, TARGET)
    assert log_p.dtype == torch.float32
    exact = answer_log_probabilities(logits.double().float(), TARGET)
    assert torch.equal(log_p, exact)
    assert sequence_error(log_p).dtype == torch.float32


def test_sequence_error_of_one_token_answers_is_one_minus_their_probability() -> None:
    logits = torch.zeros(1, 1, VOCABULARY_SIZE)
    got = sequence_error(answer_log_probabilities(logits, torch.tensor([[3]])))
    assert float(got) == pytest.approx(1 - 1 / VOCABULARY_SIZE)
    assert math.isclose(float(cross_entropy(torch.tensor([[-2.0]]), torch.tensor([[3]]))), 2.0)


def test_column_sum_error_counts_digits_only() -> None:
    sums = torch.tensor([[24.0, 10.0, 0.0, 0.0], [7.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    predicted = sums / 10
    predicted[TARGET >= 10] = 99.0
    assert float(column_sum_error(predicted, sums, TARGET)) == pytest.approx(0.0, abs=1e-12)
    predicted[0, 0] += 1.0
    assert float(column_sum_error(predicted, sums, TARGET)) == pytest.approx(1 / 6)
