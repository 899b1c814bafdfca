"""The task `conditional`: a GPT-2 that answers P(X_e | X_c) for any positions of a text."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from engine.errors import HeatsError
from engine.tasks.conditional.config import MODES_OF_KIND, Config
from engine.tasks.conditional.data import (
    ConditionalData,
    Layout,
    digest,
    evaluated_blocks,
    model_inputs,
    some_blocks,
)
from engine.tasks.conditional.evaluation import evaluate_modes, sanity
from engine.tasks.conditional.model import build_model, token_losses
from engine.tasks.conditional.sampling import Split
from engine.tasks.conditional.splits import kept_splits
from engine.tasks.conditional.text import TASK_NAME, Text, load_text
from engine.tasks.text.corpus import Part
from engine.tasks.text.floors import Counts
from engine.tasks.text.tokens import Blocks
from engine.train.from_run import open_run
from engine.train.task import Batch, LossTerms, StepContext, Task

_CANARY_BLOCKS = 32
_COUNTED_TOKENS = 2_000_000


@dataclass(frozen=True)
class HeldOut:
    """What is evaluated on a split."""

    tokens: Tensor
    """(N, L) int64."""
    splits: dict[int, Split]
    """By mode."""
    counted: Tensor
    """(N, L) bool: the tokens whose losses count where they are scored."""


class Conditional(Task[Config]):
    """Judged by the perplexity of the tokens of X_e, given X_c and those of X_e to their left."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.modes = MODES_OF_KIND[config.model.kind]
        self._modes = tuple(config.evaluation.modes)
        self._text: Text | None = None
        self._layout: Layout | None = None
        self._held_out: dict[str, HeldOut] = {}
        self._counts: Counts | None = None

    # --- what is built ---

    @property
    def text(self) -> Text:
        """All tokens, read when first asked for."""
        if self._text is None:
            self._text = load_text(self.config, self.store, self.folder)
        return self._text

    @property
    def layout(self) -> Layout:
        """What the model reads."""
        if self._layout is None:
            self._layout = Layout(self.config, self.text.ids)
        return self._layout

    def build_data(self) -> ConditionalData:
        """The training blocks. What is evaluated is cut when it is needed, but must be there."""
        self._held_out_blocks("val")
        if self.config.evaluation.test_at_end:
            self._held_out_blocks("test")
        return ConditionalData(self.text.streams["train"], self.config, self.layout)

    def settle(self, samples: int) -> Config:
        """With the steps that `train.num_epochs` are, unless `train.max_steps` are fewer."""
        train = self.config.train
        if not train.num_epochs:
            return self.config
        batches = max(1, samples // train.batch_size)
        steps = max(1, int(train.num_epochs * batches / train.accumulation))
        return self.config.model_copy(
            update={"train": train.model_copy(update={"max_steps": min(train.max_steps, steps)})}
        )

    def build_model(self) -> nn.Module:
        """GPT-2, drawn from the global generator."""
        model: nn.Module = build_model(self.config, self.text.tokenizer)
        return model

    def warm_start(self, model: nn.Module) -> None:
        """The weights of the run that the config names.

        Raises:
            HeatsError: there is no such run, or its model is another.
        """
        if self.config.model.from_run is not None:
            source = self.text.source
            if source is None:  # the run had begun before, without a step, or has no text
                source = open_run(self.store, self.config.model.from_run, TASK_NAME, place="model.from_run")
            source.copy_weights(model, place="model.from_run")

    # --- training ---

    def loss(self, model: nn.Module, batch: Batch, context: StepContext) -> LossTerms:
        """`cross_entropy`: what this batch adds to the mean over all scored tokens of the optimizer step.

        The loop divides by the batches of a step, and the processes of a run by their number; here it is undone.
        """
        body = self.config.data.block_size
        inputs = model_inputs(batch, self.layout, detach=self.config.augment.detach)
        losses, counted = token_losses(model, inputs, body)
        context.figures["train/scored_share"] = counted.float().mean()
        if self.config.model.kind == "conditional":
            prefix = inputs["input_ids"][:, : -(body + 1)] != self.layout.ids.pad
            context.figures["train/given_share"] = prefix.sum() / counted.numel()
        if self.config.data.log_digests:
            context.figures["data/digest"] = digest(inputs, context.figures.get("data/digest"))
        shares = self.config.train.accumulation * self.config.parallel.world_size
        return {"cross_entropy": (1.0, losses.sum() * (shares / batch["scored"]))}

    # --- evaluation ---

    def choose_modes(self, modes: tuple[int, ...]) -> None:
        """From now on `evaluate` in these modes only.

        Raises:
            HeatsError: the kind of model knows no such mode.
        """
        for mode in modes:
            if mode not in self.modes:
                known = ", ".join(map(str, self.modes))
                raise HeatsError(f"model.kind = {self.config.model.kind} has no mode {mode}", remedy=f"it has {known}")
        self._modes = modes

    def evaluate(self, model: nn.Module, split: str, device: torch.device) -> dict[str, float]:
        """The figures of `evaluation.evaluate_modes`; in mode 0 those of `evaluation.sanity`, and what counting tokens
        and pairs of tokens achieves on mode 1's (`mode0_unigram_perplexity`, `mode0_bigram_perplexity`)."""
        held_out, options = self._of(split), self.config.evaluation
        figures = evaluate_modes(
            model,
            held_out.tokens,
            held_out.splits,
            self._modes,
            self.layout,
            options.batch_size,
            device,
            held_out.counted,
        )
        if 0 in self._modes:
            blocks = (min(_CANARY_BLOCKS, len(held_out.tokens)), held_out.tokens.shape[1])
            figures |= sanity(model, self.text.symbols(), blocks, self.layout, options, device)
            figures |= self._floors(held_out)
        return figures

    def _of(self, split: str) -> HeldOut:
        if split not in self._held_out:
            options = self.config.evaluation
            tokens = evaluated_blocks(self._held_out_blocks(split), options.blocks)
            splits = kept_splits(self.folder, split, tokens, options, self.layout)
            counted = torch.ones_like(tokens, dtype=torch.bool) if options.score_ends else tokens != self.text.ids.eos
            self._held_out[split] = HeldOut(tokens, splits, counted)
        return self._held_out[split]

    def _held_out_blocks(self, split: str) -> Blocks:
        part: Part = "validation" if split == "val" else "test"
        return some_blocks(self.text.streams[part], self.config.data.block_size, part)

    def _floors(self, held_out: HeldOut) -> dict[str, float]:
        if self._counts is None:
            stream = self.text.streams["train"][:_COUNTED_TOKENS].astype(np.int64)
            self._counts = Counts(stream, self.text.ids.vocabulary)
        tokens, counted = held_out.tokens, held_out.counted
        before = torch.nn.functional.pad(tokens[:, :-1], (1, 0), value=self.text.ids.bos)
        found = self._counts.floors(before[counted].numpy(), tokens[counted].numpy())
        return {"mode0_unigram_perplexity": found.unigram, "mode0_bigram_perplexity": found.bigram}


TASK = Conditional
