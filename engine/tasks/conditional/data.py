"""Blocks of tokens, and what is drawn with them: the same batch whoever augments it."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from engine.errors import HeatsError
from engine.tasks.conditional.config import AugmentSection, Config
from engine.tasks.conditional.layout import Ids, augment, plain, shuffled, valid_positions
from engine.tasks.conditional.sampling import Split, SplitRules, given_counts, split
from engine.tasks.text.corpus import Part
from engine.tasks.text.tokens import IGNORED, Blocks, Stream
from engine.train.task import Batch, BatchKey

_ORDER_STREAM = 0x51F7


class BlockOrder:
    """Which blocks make up each batch: all of them in each epoch, in an order of its own, but for an incomplete last
    batch. A function of seed, epoch and index.

    Args:
        blocks: how many there are.
        batch_size: of a batch.
        seed: governs the order.
    """

    def __init__(self, blocks: int, batch_size: int, seed: int) -> None:
        self.blocks = blocks
        self.batch_size = min(batch_size, blocks)
        self.batches_per_epoch = max(1, blocks // batch_size)
        self._seed = seed
        self._kept: tuple[int, Tensor] | None = None  # an order costs more than a batch; nothing depends on keeping it

    def batch(self, epoch: int, index: int) -> Tensor:
        """(B,) int64: places of blocks."""
        kept = self._kept
        if kept is None or kept[0] != epoch:
            generator = BatchKey(self._seed, epoch, _ORDER_STREAM).generator()
            kept = self._kept = epoch, torch.randperm(self.blocks, generator=generator)
        return kept[1][index * self.batch_size : (index + 1) * self.batch_size]


def rules_of(options: AugmentSection) -> SplitRules:
    """How the options want X_c and X_e to be drawn."""
    return SplitRules(
        options.cond_pct_min, options.cond_pct_max, options.eval_pct_min, options.eval_pct_max,
        options.max_cond_blocks, options.keep_leftovers,
    )  # fmt: skip


class Layout:
    """From tokens and drawn numbers to what the model reads, on whichever device they are.

    Args:
        config: of the run.
        ids: the special tokens.
    """

    def __init__(self, config: Config, ids: Ids) -> None:
        self.kind = config.model.kind
        self.options = config.augment
        self.sigma = config.sigma
        self.rules = rules_of(config.augment)
        self.ids = ids

    def draws(self, rows: int, length: int, generator: torch.Generator) -> Tensor:
        """The chance in one batch, (rows, n) fp32 on the CPU; for SigmaGPT in random order that of the order too."""
        found = self.rules.draws(rows, length, generator)
        if self.kind == "sigma" and self.sigma.ordering == "random":
            found = torch.cat([found, torch.rand(rows, length, generator=generator)], 1)
        return found

    def split(self, tokens: Tensor, draws: Tensor) -> Split:
        """X_c and X_e as in training."""
        return split(draws, valid_positions(tokens, self.ids, pad_is_eos=self.options.pad_is_eos), self.rules)

    def written(self, tokens: Tensor, draws: Tensor, width: int | None = None) -> Batch:
        """A batch as in training: what `token_losses` takes.

        Args:
            tokens: (B, L) int64.
            draws: (B, n), from `draws`.
            width: the columns of the prefix where they are known.
        """
        if self.kind == "baseline":
            return plain(tokens, self.ids)
        found = self.split(tokens, draws)
        if self.kind == "sigma":
            scores = draws[:, -tokens.shape[1] :] if self.sigma.ordering == "random" else None
            return shuffled(tokens, found, self.ids, scores, full=self.sigma.loss == "full")
        return self.of_split(tokens, found, width)

    def of_split(self, tokens: Tensor, found: Split, width: int | None = None) -> Batch:
        """A batch with a given split; SigmaGPT reads it from left to right."""
        if self.kind == "baseline":
            batch = plain(tokens, self.ids)
            elsewhere = torch.nn.functional.pad(~found.scored, (1, 0), value=True)
            return batch | {"labels": batch["labels"].masked_fill(elsewhere, IGNORED)}
        if self.kind == "sigma":
            return shuffled(tokens, found, self.ids, None)
        valid = valid_positions(tokens, self.ids, pad_is_eos=self.options.pad_is_eos)
        return augment(tokens, valid, found, self.ids, sealed=self.options.mask == "sealed", width=width)

    def given(self, draws: Tensor, length: int) -> Tensor | None:
        """|X_c| of each row, (B,), where the drawn numbers alone tell it."""
        if self.options.pad_is_eos or not self.options.keep_leftovers:
            return None
        return given_counts(draws, torch.full((len(draws),), length), self.rules)

    def scored(self, tokens: Tensor, draws: Tensor) -> int:
        """How many tokens of a batch have a loss."""
        rows, length = tokens.shape
        full = self.kind == "sigma" and self.sigma.loss == "full"
        if self.kind == "baseline" or (full and self.rules.whole and not self.options.pad_is_eos):
            return rows * length
        known = self.given(draws, length) if self.rules.whole and not full else None
        if known is not None:
            return rows * length - int(known.sum())
        found = self.split(tokens, draws)
        return int(found.scored.sum()) + (int(found.given.sum()) if full else 0)


class ConditionalData:
    """Training samples.

    A batch holds `tokens` (B, L) and `draws` (B, n), of which the device makes what the model reads, or that itself
    where the loader augments. `scored`, a number, is how many tokens of all batches of its optimizer step have a loss,
    by all processes; `columns`, (1, W), has a column for each of the prefix where that is known before.

    Args:
        stream: of the training part.
        config: of the run.
        layout: what the model reads.

    Raises:
        HeatsError: there is less than one block.
    """

    def __init__(self, stream: Stream, config: Config, layout: Layout) -> None:
        self.blocks = some_blocks(stream, config.data.block_size, "train")
        self.sampler = BlockOrder(len(self.blocks), config.train.batch_size, config.seed)
        self._layout = layout
        self._external = config.augment.where == "external"
        self._accumulation = config.train.accumulation

    def __len__(self) -> int:
        return len(self.blocks)

    def gather(self, indices: Tensor, key: BatchKey) -> Batch:
        """The batch of these blocks."""
        tokens, draws = self._drawn(indices, key)
        scored = {"scored": torch.tensor(self._scored_in_step(key, tokens, draws))}
        known = self._layout.given(draws, tokens.shape[1]) if self._layout.kind == "conditional" else None
        width = None if known is None else int(known.amax())
        if self._external:
            return scored | self._layout.written(tokens, draws, width)
        columns = {} if width is None else {"columns": torch.empty(1, width, dtype=torch.int8)}
        return scored | columns | {"tokens": tokens, "draws": draws}

    def _drawn(self, indices: Tensor, key: BatchKey) -> tuple[Tensor, Tensor]:
        tokens = self.blocks.rows(indices)
        rows, length = tokens.shape
        return tokens, self._layout.draws(rows, length, key.generator())

    def _scored_in_step(self, key: BatchKey, tokens: Tensor, draws: Tensor) -> int:
        """What all batches of this one's optimizer step score; each of them is drawn again for it, which is cheap."""
        per_epoch = self.sampler.batches_per_epoch
        own = key.epoch * per_epoch + key.index
        first = own - own % self._accumulation
        total = 0
        for position in range(first, first + self._accumulation):
            if position == own:
                total += self._layout.scored(tokens, draws)
                continue
            epoch, index = divmod(position, per_epoch)
            other = BatchKey(key.seed, epoch, index)
            total += self._layout.scored(*self._drawn(self.sampler.batch(epoch, index), other))
        return max(1, total)


def model_inputs(batch: Batch, layout: Layout, *, detach: bool) -> Batch:
    """What the model reads of a training batch, made on its device where the loader hasn't made it.

    Args:
        batch: from `ConditionalData`.
        layout: what the model reads.
        detach: detach it all.
    """
    if "tokens" in batch:
        columns = batch.get("columns")
        made = layout.written(batch["tokens"], batch["draws"], None if columns is None else columns.shape[1])
    else:
        made = {name: tensor for name, tensor in batch.items() if name != "scored"}
    return {name: tensor.detach() for name, tensor in made.items()} if detach else made


def some_blocks(stream: Stream, block_size: int, part: Part) -> Blocks:
    """The blocks of a part of the text.

    Raises:
        HeatsError: there is less than one.
    """
    blocks = Blocks(stream, block_size)
    if not len(blocks):
        raise HeatsError(
            f"the {part} part of the text has {len(stream):,} tokens, less than one block of {block_size:,}",
            place="data.block_size", remedy="choose a smaller one",
        )  # fmt: skip
    return blocks


def evaluated_blocks(blocks: Blocks, most: int) -> Tensor:
    """Blocks of a held-out part, spread evenly over it: (N, L) int64."""
    count = min(most, len(blocks))
    return blocks.rows(torch.arange(count) * len(blocks) // count)


def digest(batch: Batch, before: float | Tensor | None = None) -> float:
    """48 bits that change with any number of a batch and with what was before it in its step, as a whole number.

    Args:
        batch: what the model reads.
        before: the digest of the step's earlier batches.
    """
    found = hashlib.sha256(repr(before).encode())
    for name in sorted(batch):
        tensor = batch[name].contiguous().cpu()
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(tensor.numpy().tobytes())
    return float(int.from_bytes(found.digest()[:6], "big"))
