"""Each loss against an independent form in NumPy, in float64 and with loops where that is plainer."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from engine.tasks.distillation.losses import attention, contrast, factors, hints, logits, numeric, relations
from engine.tasks.distillation.losses.selectivity import selectivity_loss
from engine.tasks.distillation.losses.similarity import similarity_loss

Array = NDArray[np.float64]


def drawn(*shape: int, seed: int = 0, scale: float = 1.0) -> torch.Tensor:
    return scale * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def array(tensor: torch.Tensor) -> Array:
    return tensor.double().numpy()


def softmax(values: Array) -> Array:
    powers = np.exp(values - values.max(-1, keepdims=True))
    found: Array = powers / powers.sum(-1, keepdims=True)
    return found


def kl(wanted: Array, mine: Array) -> float:
    return float((wanted * (np.log(wanted) - np.log(mine))).sum(-1).mean())


def smooth_l1(mine: Array, wanted: Array) -> float:
    apart = np.abs(mine - wanted)
    return float(np.where(apart < 1, apart**2 / 2, apart - 0.5).mean())


def normed(values: Array, axis: int = -1) -> Array:
    found: Array = values / np.linalg.norm(values, axis=axis, keepdims=True)
    return found


STUDENT, TEACHER = drawn(6, 5, scale=2.0), drawn(6, 5, seed=1, scale=2.0)
LABELS = torch.tensor([0, 1, 2, 3, 4, 0])


def groups(channels: tuple[int, ...], seed: int) -> list[torch.Tensor]:
    return [drawn(4, width, size, size, seed=seed + size) for width, size in zip(channels, (4, 2, 1), strict=True)]


NARROW, WIDE = groups((3, 4, 5), 2), groups((6, 8, 10), 3)


def test_logit() -> None:
    expected = 16 * kl(softmax(array(TEACHER) / 4), softmax(array(STUDENT) / 4))
    assert logits.logit_loss(STUDENT, TEACHER, 4.0).item() == pytest.approx(expected, rel=1e-5)


def test_logit_by_hand() -> None:
    """Teacher 3:1 on two classes, student 1:1: 0.75 ln 1.5 + 0.25 ln 0.5 at T = 1."""
    teacher = torch.tensor([[math.log(3.0), 0.0]])
    expected = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert logits.logit_loss(torch.zeros(1, 2), teacher, 1.0).item() == pytest.approx(expected, abs=1e-6)


def test_logit_std_doesnt_see_the_range_of_the_logits() -> None:
    def scores(values: Array) -> Array:
        found: Array = (values - values.mean(-1, keepdims=True)) / values.std(-1, ddof=1, keepdims=True)
        return found

    expected = 4 * kl(softmax(scores(array(TEACHER)) / 2), softmax(scores(array(STUDENT)) / 2))
    found = logits.standardised_logit_loss(STUDENT, TEACHER, 2.0).item()
    assert found == pytest.approx(expected, rel=1e-5)
    assert logits.standardised_logit_loss(3 * STUDENT + 1, TEACHER, 2.0).item() == pytest.approx(found, rel=1e-4)
    assert logits.standardised_logit_loss(5 * TEACHER, TEACHER, 2.0).item() == pytest.approx(0, abs=1e-6)


def test_dkd() -> None:
    mine, wanted = softmax(array(STUDENT) / 4), softmax(array(TEACHER) / 4)
    target = np.eye(5, dtype=bool)[LABELS.numpy()]
    pairs = [np.stack([values[target], 1 - values[target]], 1) for values in (wanted, mine)]
    others = [values[~target].reshape(6, 4) for values in (wanted, mine)]
    others = [values / values.sum(1, keepdims=True) for values in others]
    found = logits.decoupled_losses(STUDENT, TEACHER, LABELS, 4.0)
    assert found[0].item() == pytest.approx(16 * kl(*pairs), rel=1e-5)
    assert found[1].item() == pytest.approx(16 * kl(*others), rel=1e-5)


def test_dkd_adds_up_to_the_plain_loss() -> None:
    """KL = TCKD + (1 - p_target) NCKD for each sample (equation 7 of the paper)."""
    for row in range(6):
        part = slice(row, row + 1)
        of_target, among_others = logits.decoupled_losses(STUDENT[part], TEACHER[part], LABELS[part], 1.0)
        rest = 1 - softmax(array(TEACHER[part]))[0, LABELS[row]]
        expected = logits.logit_loss(STUDENT[part], TEACHER[part], 1.0).item()
        assert (of_target + rest * among_others).item() == pytest.approx(expected, rel=1e-4)


def test_attention() -> None:
    expected = 0.0
    for mine, wanted in zip(NARROW, WIDE, strict=True):
        maps = [normed((array(group) ** 2).sum(1).reshape(4, -1)) for group in (mine, wanted)]
        expected += float(((maps[0] - maps[1]) ** 2).mean())
    assert attention.attention_loss(NARROW, WIDE).item() == pytest.approx(expected, rel=1e-4)


def test_hints_pool_the_larger_map() -> None:
    mine, wanted = drawn(2, 3, 4, 4), drawn(2, 3, 2, 2, seed=1)
    blocks = array(mine).reshape(2, 3, 2, 2, 2, 2).mean((3, 5))
    expected = float(((blocks - array(wanted)) ** 2).mean())
    assert hints.hint_loss(mine, wanted).item() == pytest.approx(expected, rel=1e-5)
    assert hints.connector(16, 32)(drawn(2, 16, 8, 8)).shape == (2, 32, 8, 8)


def test_factors() -> None:
    other = [drawn(*group.shape, seed=9) for group in NARROW]
    expected = np.mean(
        [
            ((normed(array(mine), 1) - normed(array(wanted), 1)) ** 2).mean()
            for mine, wanted in zip(NARROW, other, strict=True)
        ]
    )
    assert factors.factor_loss(NARROW, other).item() == pytest.approx(expected, rel=1e-4)
    expected = np.mean(
        [((array(mine) - array(wanted)) ** 2).mean() for mine, wanted in zip(NARROW, other, strict=True)]
    )
    assert factors.reconstruction_loss(NARROW, other).item() == pytest.approx(expected, rel=1e-5)


def apart(rows: Array) -> Array:
    count = len(rows)
    found = [[np.linalg.norm(rows[i] - rows[j]) for j in range(count) if j != i] for i in range(count)]
    return np.array(found)


def test_rkd_distances() -> None:
    teacher = drawn(6, 8, seed=4)
    mine, wanted = apart(array(STUDENT)), apart(array(teacher))
    expected = smooth_l1(mine / mine.mean(), wanted / wanted.mean())
    assert relations.distance_loss(STUDENT, teacher).item() == pytest.approx(expected, rel=1e-4)
    assert relations.distance_loss(7 * STUDENT, STUDENT).item() == pytest.approx(0, abs=1e-6)


def angles(rows: Array) -> Array:
    found = []
    for corner, first, second in itertools.permutations(range(len(rows)), 3):
        one, two = rows[first] - rows[corner], rows[second] - rows[corner]
        found.append(one @ two / (np.linalg.norm(one) * np.linalg.norm(two)))
    return np.array(found)


def test_rkd_angles_of_triplets() -> None:
    teacher = drawn(6, 8, seed=4)
    expected = smooth_l1(angles(array(STUDENT)), angles(array(teacher)))
    assert relations.angle_loss(STUDENT, teacher, "triplet").item() == pytest.approx(expected, rel=1e-4)
    found = relations.triplet_angles(STUDENT).flatten().double().numpy()
    assert found == pytest.approx(angles(array(STUDENT)), abs=1e-5)


def test_rkd_angles_of_a_right_triangle() -> None:
    corners = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    half = math.sqrt(0.5)
    assert relations.triplet_angles(corners).flatten().tolist() == pytest.approx([0, 0] + 4 * [half], abs=1e-6)


def test_rkd_cosines_of_pairs() -> None:
    rows = [normed(array(values)) for values in (STUDENT, TEACHER)]
    keep = ~np.eye(6, dtype=bool)
    expected = smooth_l1(*[(values @ values.T)[keep] for values in rows])
    assert relations.angle_loss(STUDENT, TEACHER, "pairwise").item() == pytest.approx(expected, rel=1e-4)


def test_the_naive_distances_have_the_repaired_ones_value_but_for_the_diagonal() -> None:
    found = relations._naive_distances(STUDENT).double().numpy()
    expected = np.zeros((6, 6))
    expected[~np.eye(6, dtype=bool)] = apart(array(STUDENT)).flatten()
    assert found == pytest.approx(expected / expected.mean(), abs=2e-3)


def test_similarity() -> None:
    def matrix(features: Array) -> Array:
        flat = features.reshape(4, -1)
        return normed(flat @ flat.T)

    expected = ((matrix(array(NARROW[0])) - matrix(array(WIDE[0]))) ** 2).sum() / 16
    assert similarity_loss(NARROW[0], WIDE[0]).item() == pytest.approx(expected, rel=1e-4)


def test_nst() -> None:
    def kernel(first: Array, second: Array) -> float:
        values = [(one @ two) ** 2 for i in range(4) for one in first[i] for two in second[i]]
        return float(np.mean(values))

    expected = 0.0
    for pair in zip(NARROW, WIDE, strict=True):
        mine, wanted = (normed(array(group).reshape(4, group.shape[1], -1)) for group in pair)
        expected += kernel(mine, mine) + kernel(wanted, wanted) - 2 * kernel(mine, wanted)
    assert selectivity_loss(NARROW, WIDE).item() == pytest.approx(expected, rel=1e-3)


def test_crd_contrasts_each_sample_with_both_memories() -> None:
    torch.manual_seed(0)
    bank = contrast.Contrast(5, 7, 6, 20, 0.5, 0.5)
    student, teacher, indices = drawn(3, 5), drawn(3, 7, seed=1), torch.tensor([4, 9, 2])
    negatives = torch.tensor([[0, 1], [3, 5], [6, 7]])
    memories = [array(bank.student_bank.clone()), array(bank.teacher_bank.clone())]
    found = bank(student, teacher, indices, negatives).item()
    with torch.no_grad():
        embedded = [normed(array(layer(rows))) for layer, rows in ((bank.student, student), (bank.teacher, teacher))]
    places = np.concatenate([indices.numpy()[:, None], negatives.numpy()], 1)
    expected = 0.0
    for anchors, memory in zip(embedded, reversed(memories), strict=True):
        scores = np.exp((memory[places] * anchors[:, None]).sum(-1) / 0.5)
        scores /= scores.mean() * 20
        expected -= np.log(scores[:, 0] / (scores[:, 0] + 2 / 20)).sum() / 3
        expected -= np.log((2 / 20) / (scores[:, 1:] + 2 / 20)).sum() / 3
    assert found == pytest.approx(expected, rel=1e-4)
    for memory, rows, name in zip(memories, embedded, ("student_bank", "teacher_bank"), strict=True):
        renewed = normed(0.5 * memory[indices.numpy()] + 0.5 * rows)
        after = array(getattr(bank, name))
        assert after[indices.numpy()] == pytest.approx(renewed, abs=1e-5)
        rest = [place for place in range(20) if place not in indices.tolist()]
        assert (after[rest] == memory[rest]).all()


def test_crd_keeps_its_memories_while_it_is_evaluated() -> None:
    torch.manual_seed(0)
    bank = contrast.Contrast(5, 7, 6, 20, 0.5, 0.5)
    bank(drawn(3, 5), drawn(3, 7), torch.arange(3), torch.arange(3, 9).view(3, 2))
    before = {name: value.clone() for name, value in bank.state_dict().items()}
    bank.eval()(drawn(3, 5, seed=5), drawn(3, 7, seed=6), torch.arange(3), torch.arange(3, 9).view(3, 2))
    assert all(torch.equal(value, before[name]) for name, value in bank.state_dict().items())
    assert (bank.constants > 0).all()


def test_off_diagonal_leaves_the_diagonal_out() -> None:
    square = torch.arange(16.0).view(4, 4)
    assert numeric.off_diagonal(square).tolist() == [[1, 2, 3], [4, 6, 7], [8, 9, 11], [12, 13, 14]]
    assert torch.equal(numeric.off_diagonal(torch.stack([square, -square]))[1], -numeric.off_diagonal(square))
