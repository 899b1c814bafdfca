"""The task `multiplication`: products of whole numbers, written digit by digit."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engine.tasks.multiplication import teacher_forcing
from engine.tasks.multiplication.config import Config
from engine.tasks.multiplication.data import TIMES, HeldOut, Layout, ProductData
from engine.tasks.multiplication.decoding import greedy_tokens, own_prefix, shift_right, stop_at_eos
from engine.tasks.multiplication.losses import (
    answer_log_probabilities,
    column_sum_error,
    cross_entropy,
    sequence_error,
)
from engine.tasks.multiplication.models import Prediction, SimpleModel, build_model
from engine.tasks.multiplication.pairs import split_pairs
from engine.train.task import Batch, LossTerms, StepContext, Task

EVALUATION_BATCH = 2048
"""Problems evaluated at once."""


class Multiplication(Task[Config]):
    """Learns `a*b`; judged by free-running exact match on unordered pairs never seen in training."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._held_out: dict[str, HeldOut] = {}

    def build_model(self) -> nn.Module:
        """The model of `model.kind`, drawn from the global generator."""
        return build_model(self.config)

    def build_data(self) -> ProductData:
        """Write all problems; training pairs are returned, held-out ones kept for `evaluate`."""
        data, layout = self.config.data, Layout.of(self.config.data)
        splits = split_pairs(data, self.config.seed)
        for name, pairs in (("val", splits.val), ("test", splits.test)):
            self._held_out[name] = HeldOut.of(pairs[: data.max_eval_pairs], layout)
        return ProductData(splits.train, layout, column_sums=self.config.loss.column_sum_weight > 0)

    def loss(self, model: nn.Module, batch: Batch, context: StepContext) -> LossTerms:
        """`cross_entropy`, `sequence` and, with the auxiliary head, `column_sum`; see `losses`.

        The coin of teacher forcing is drawn from `context.generator`, one number a call.
        """
        tf = self.config.tf
        forcing = teacher_forcing.probability(tf.schedule, context.step, tf.start_step, context.max_steps)
        forced = teacher_forcing.draw(forcing, context.generator)
        context.figures["train/tf_probability"] = forcing
        context.figures["train/teacher_forced"] = float(forced)
        source, target = batch["source"], batch["target"]
        prefix = shift_right(target) if forced else own_prefix(_bare(model), source)
        return self._terms(model(source, prefix), target, batch.get("column_sums"))

    def evaluate(self, model: nn.Module, split: str, device: torch.device) -> dict[str, float]:
        """Figures on held-out pairs, each in both orders.

        Free-running (greedy, ended by EOS or by running out of room, never by the length of the true answer):
        `exact_match`, also by operand lengths (`exact_match_1x2`), and `digit_accuracy`, the share of the true digits
        that stand at their place, also by place as written (`digit_accuracy_p0` is the first). Teacher-forced: `loss`,
        the weighted total as in training, and its terms `cross_entropy`, `sequence` and `column_sum`.
        """
        if not self._held_out:
            self.build_data()
        held_out = self._held_out[split]
        bare = _bare(model)
        totals: dict[str, Tensor] = {}
        match, right, counted = [], [], []
        for start in range(0, len(held_out), EVALUATION_BATCH):
            rows = slice(start, start + EVALUATION_BATCH)
            source, target = held_out.source[rows].to(device), held_out.target[rows].to(device)
            answer = stop_at_eos(greedy_tokens(bare, source))
            is_digit = target < TIMES
            match.append((answer == target).all(dim=1))
            right.append(((answer == target) & is_digit).sum(dim=0))
            counted.append(is_digit.sum(dim=0))
            terms = self._terms(bare(source, shift_right(target)), target, held_out.column_sums[rows].to(device))
            for name, (_, value) in terms.items():
                totals[name] = totals.get(name, torch.zeros((), device=device)) + value * len(source)
            total = sum(weight * value for weight, value in terms.values())
            totals["loss"] = totals.get("loss", torch.zeros((), device=device)) + total * len(source)

        figures = {name: float(value) / len(held_out) for name, value in totals.items()}
        matched = torch.cat(match).cpu().double()
        figures["exact_match"] = float(matched.mean())
        for index, (shorter, longer) in enumerate(held_out.digits):
            figures[f"exact_match_{shorter}x{longer}"] = float(matched[held_out.combination == index].mean())
        right_digits, all_digits = torch.stack(right).sum(dim=0).tolist(), torch.stack(counted).sum(dim=0).tolist()
        figures["digit_accuracy"] = sum(right_digits) / sum(all_digits)
        for place, (hits, digits) in enumerate(zip(right_digits, all_digits, strict=True)):
            if digits:
                figures[f"digit_accuracy_p{place}"] = hits / digits
        return figures

    def _terms(self, prediction: Prediction, target: Tensor, column_sums: Tensor | None) -> LossTerms:
        log_probabilities = answer_log_probabilities(prediction.logits, target)
        weights = self.config.loss
        terms: LossTerms = {
            "cross_entropy": (1.0, cross_entropy(log_probabilities, target)),
            "sequence": (weights.accuracy_weight, sequence_error(log_probabilities)),
        }
        if prediction.column_sums is not None and column_sums is not None:
            error = column_sum_error(prediction.column_sums, column_sums, target)
            terms["column_sum"] = (weights.column_sum_weight, error)
        return terms


def _bare(model: nn.Module) -> SimpleModel:
    """The model inside the wrappers of data parallelism and torch.compile."""
    for wrapper in ("module", "_orig_mod"):
        model = getattr(model, wrapper, model)
    assert isinstance(model, SimpleModel)
    return model


TASK = Multiplication
