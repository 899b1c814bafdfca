"""Pre-norm transformer layers (arXiv 2002.04745), and the embeddings of positions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.tasks.multiplication.data import TIMES


class Attention(nn.Module):
    """Multi-head attention (arXiv 1706.03762). Keys and values are projected apart, so that decoding can keep them."""

    def __init__(self, d_model: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query = nn.Linear(d_model, d_model)
        self.key_value = nn.Linear(d_model, 2 * d_model)
        self.output = nn.Linear(d_model, d_model)

    def keys_values(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of a memory (B, M, d): two tensors (B, H, M, d / H)."""
        keys, values = self.key_value(memory).chunk(2, dim=-1)
        return self._split_heads(keys), self._split_heads(values)

    def forward(
        self, x: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None, *, causal: bool = False
    ) -> Tensor:
        """Attend from x to keys and values.

        Args:
            x: (B, T, d).
            keys: (B, H, M, d / H).
            values: (B, H, M, d / H).
            mask: (B, 1, 1, M) bool, False at places to ignore; None where all count.
            causal: place t attends to places up to t only.

        Returns:
            (B, T, d).
        """
        queries = self._split_heads(self.query(x))
        attended = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=mask, is_causal=causal)
        joined: Tensor = self.output(attended.transpose(1, 2).flatten(2))
        return joined

    def _split_heads(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        return x.view(batch, length, self.num_heads, width // self.num_heads).transpose(1, 2)


class FeedForward(nn.Sequential):
    """Two linear maps with a GELU between, four times as wide inside."""

    def __init__(self, d_model: int) -> None:
        super().__init__(nn.Linear(d_model, 4 * d_model), nn.GELU(), nn.Linear(4 * d_model, d_model))


class EncoderLayer(nn.Module):
    """Self-attention and a feed-forward map, each on a residual branch."""

    def __init__(self, d_model: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(d_model)
        self.attention = Attention(d_model, num_heads)
        self.feed_forward_norm = nn.LayerNorm(d_model)
        self.feed_forward = FeedForward(d_model)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """x (B, S, d) to the same shape; mask (B, 1, 1, S) bool, False at padding."""
        normed = self.attention_norm(x)
        x = x + self.dropout(self.attention(normed, *self.attention.keys_values(normed), mask))
        return x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))  # type: ignore[no-any-return]


@dataclass
class LayerCache:
    """What a decoder layer keeps while an answer is written."""

    keys: Tensor
    """(B, H, T, d / H); filled up to the place being written."""
    values: Tensor
    """(B, H, T, d / H)."""
    memory_keys: Tensor
    """(B, H, M, d / H)."""
    memory_values: Tensor
    """(B, H, M, d / H)."""
    memory_mask: Tensor | None
    """(B, 1, 1, M) bool."""


class DecoderLayer(nn.Module):
    """Causal self-attention, attention to a memory, and a feed-forward map, each on a residual branch."""

    def __init__(self, d_model: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(d_model)
        self.attention = Attention(d_model, num_heads)
        self.memory_norm = nn.LayerNorm(d_model)
        self.memory_attention = Attention(d_model, num_heads)
        self.feed_forward_norm = nn.LayerNorm(d_model)
        self.feed_forward = FeedForward(d_model)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, memory: Tensor, memory_mask: Tensor | None) -> Tensor:
        """All places at once.

        Args:
            x: (B, T, d).
            memory: (B, M, d).
            memory_mask: (B, 1, 1, M) bool, or None.

        Returns:
            (B, T, d).
        """
        normed = self.attention_norm(x)
        x = x + self.dropout(self.attention(normed, *self.attention.keys_values(normed), causal=True))
        return self._read_and_think(x, *self.memory_attention.keys_values(memory), memory_mask)

    def start(self, memory: Tensor, memory_mask: Tensor | None, length: int) -> LayerCache:
        """An empty cache for answers of at most `length` tokens over this memory."""
        memory_keys, memory_values = self.memory_attention.keys_values(memory)
        batch, heads, _, width = memory_keys.shape
        room = memory_keys.new_zeros(2, batch, heads, length, width)
        return LayerCache(room[0], room[1], memory_keys, memory_values, memory_mask)

    def step(self, x: Tensor, place: int, cache: LayerCache) -> Tensor:
        """One place (B, 1, d), given the places before it in the cache, to which it is added."""
        normed = self.attention_norm(x)
        keys, values = self.attention.keys_values(normed)
        cache.keys[:, :, place : place + 1] = keys
        cache.values[:, :, place : place + 1] = values
        x = x + self.dropout(self.attention(normed, cache.keys[:, :, : place + 1], cache.values[:, :, : place + 1]))
        return self._read_and_think(x, cache.memory_keys, cache.memory_values, cache.memory_mask)

    def _read_and_think(self, x: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
        x = x + self.dropout(self.memory_attention(self.memory_norm(x), keys, values, mask))
        return x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))  # type: ignore[no-any-return]


class LatentLayer(nn.Module):
    """Latents read a memory by cross-attention, then think: self-attention and a feed-forward map.

    The reading of the Perceiver (arXiv 2103.03206), pre-norm.
    """

    def __init__(self, d_model: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.read_norm = nn.LayerNorm(d_model)
        self.read = Attention(d_model, num_heads)
        self.think = EncoderLayer(d_model, num_heads, dropout)
        self.dropout = nn.Dropout(dropout)

    def forward(self, latents: Tensor, memory: Tensor, memory_mask: Tensor | None) -> Tensor:
        """latents (B, n, d) and memory (B, S, d) to new latents (B, n, d)."""
        read = self.read(self.read_norm(latents), *self.read.keys_values(memory), memory_mask)
        return self.think(latents + self.dropout(read), None)  # type: ignore[no-any-return]


def significance(source: Tensor) -> tuple[Tensor, Tensor]:
    """For every token of `a*b`, which digit of which operand it is.

    Args:
        source: (B, S) int64, most significant digits first.

    Returns:
        Significance, 1 for units, 2 for tens and so on, and operand, 1 or 2; both (B, S) int64 and 0 at `*` and PAD.
    """
    is_digit = source < TIMES
    operand = torch.where(is_digit, 1 + (source == TIMES).cumsum(dim=1), 0)
    from_here = is_digit.flip(1).cumsum(dim=1).flip(1)
    digits_of_second = (operand == 2).sum(dim=1, keepdim=True)
    return torch.where(operand == 1, from_here - digits_of_second, from_here) * is_digit, operand


class LearnedPositions(nn.Module):
    """One learned embedding for each place of the source and each place of the answer."""

    def __init__(self, d_model: int, source_length: int, target_length: int) -> None:
        super().__init__()
        self.source_places = nn.Embedding(source_length, d_model)
        self.target_places = nn.Embedding(target_length, d_model)

    def source(self, source: Tensor) -> Tensor:
        """For tokens (B, S): (S, d)."""
        return self.source_places.weight[: source.shape[1]]

    def target(self, start: int, stop: int) -> Tensor:
        """For the places start .. stop - 1 of the answer: (stop - start, d)."""
        return self.target_places.weight[start:stop]


class AbacusPositions(nn.Module):
    """One embedding for each significance, shared by operands and product, so that equal columns are aligned.

    After Abacus embeddings (arXiv 2405.17399). An encoder that sees both ways couldn't tell the operands apart by that,
    so each digit also carries which operand it belongs to. The decoder's place carries the significance of the digit
    that is written there; where products are written most significant digit first, that would give away the answer's
    length, so there the decoder has places of its own.
    """

    def __init__(self, d_model: int, target_length: int, *, reverse: bool) -> None:
        super().__init__()
        self.significances = nn.Embedding(1 + target_length, d_model)
        self.operands = nn.Embedding(3, d_model)
        self.target_places = None if reverse else nn.Embedding(target_length, d_model)

    def source(self, source: Tensor) -> Tensor:
        """For tokens (B, S): (B, S, d)."""
        digit, operand = significance(source)
        return self.significances(digit) + self.operands(operand)  # type: ignore[no-any-return]

    def target(self, start: int, stop: int) -> Tensor:
        """For the places start .. stop - 1 of the answer: (stop - start, d)."""
        if self.target_places is not None:
            return self.target_places.weight[start:stop]
        return self.significances.weight[1 + start : 1 + stop]
