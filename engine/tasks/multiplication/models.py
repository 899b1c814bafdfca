"""Two encoder-decoder transformers that differ in one thing: what the decoder may read."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from engine.tasks.multiplication.config import Config
from engine.tasks.multiplication.data import PAD, VOCABULARY_SIZE, Layout
from engine.tasks.multiplication.layers import (
    AbacusPositions,
    DecoderLayer,
    EncoderLayer,
    LatentLayer,
    LayerCache,
    LearnedPositions,
)
from engine.train.recompute import run_layer

_EMBEDDING_DEVIATION = 0.5


class Prediction(NamedTuple):
    """What the decoder says of every place of the answer."""

    logits: Tensor
    """(B, T, V)."""
    column_sums: Tensor | None
    """(B, T), in units of ten; None without the auxiliary head."""


class Memory(NamedTuple):
    """What the decoder may read."""

    states: Tensor
    """(B, M, d)."""
    mask: Tensor | None
    """(B, 1, 1, M) bool, False at padding; None where all states count."""


class SimpleModel(nn.Module):
    """The decoder attends to the encoder's states.

    Weights are drawn in an order that is the same for both models, so that with equal seeds they start equal wherever
    they have the same weight.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        model = config.model
        self.layout = Layout.of(config.data)
        self.recompute = config.train.gradient_checkpointing
        self.tokens = nn.Embedding(VOCABULARY_SIZE, model.d_model)
        self.positions: AbacusPositions | LearnedPositions = (
            AbacusPositions(model.d_model, self.layout.target_length, reverse=self.layout.reverse)
            if model.positions == "abacus"
            else LearnedPositions(model.d_model, self.layout.source_length, self.layout.target_length)
        )
        shape = (model.d_model, model.num_heads, model.dropout)
        self.dropout = nn.Dropout(model.dropout)
        self.encoder = nn.ModuleList([EncoderLayer(*shape) for _ in range(model.num_layers)])
        self.encoder_norm = nn.LayerNorm(model.d_model)
        self.decoder = nn.ModuleList([DecoderLayer(*shape) for _ in range(model.num_layers)])
        self.decoder_norm = nn.LayerNorm(model.d_model)
        self.to_logits = nn.Linear(model.d_model, VOCABULARY_SIZE)
        initialise(self, branches=3 * model.num_layers)
        self.to_column_sum = nn.Linear(model.d_model, 1) if config.loss.column_sum_weight > 0 else None

    def forward(self, source: Tensor, prefix: Tensor) -> Prediction:
        """Predict every token of the answer from the tokens before it.

        Args:
            source: (B, S) int64.
            prefix: (B, T) int64, BOS and the answer without its last token.
        """
        memory = self.encode(source)
        x = self.dropout(self.tokens(prefix) + self.positions.target(0, prefix.shape[1]))
        for layer in self.decoder:
            x = run_layer(layer, x, memory.states, memory.mask, recompute=self.recompute)
        x = self.decoder_norm(x)
        sums = None if self.to_column_sum is None else self.to_column_sum(x).squeeze(-1)
        return Prediction(self.to_logits(x), sums)

    def encode(self, source: Tensor) -> Memory:
        """The memory of a source (B, S): here the encoder's states."""
        # With padded operands no source has PAD, and attention without a mask is faster.
        mask = None if self.layout.pad_operands else (source != PAD)[:, None, None, :]
        x = self.dropout(self.tokens(source) + self.positions.source(source))
        for layer in self.encoder:
            x = run_layer(layer, x, mask, recompute=self.recompute)
        return Memory(self.encoder_norm(x), mask)

    def start(self, memory: Memory) -> list[LayerCache]:
        """Empty caches, one a layer, for writing answers over this memory."""
        layers = [layer for layer in self.decoder if isinstance(layer, DecoderLayer)]
        return [layer.start(memory.states, memory.mask, self.layout.target_length) for layer in layers]

    def step(self, tokens: Tensor, place: int, caches: list[LayerCache]) -> Tensor:
        """Logits (B, V) of the token at a place, from the token (B,) before it and the caches, which grow by it."""
        x = self.dropout((self.tokens(tokens) + self.positions.target(place, place + 1)).unsqueeze(1))
        for layer, cache in zip(self.decoder, caches, strict=True):
            assert isinstance(layer, DecoderLayer)
            x = layer.step(x, place, cache)
        logits: Tensor = self.to_logits(self.decoder_norm(x.squeeze(1)))
        return logits


class LatentModel(SimpleModel):
    """A few learned latents read the encoder's states and think; the decoder attends to the latents and nothing else.

    All rounds share their weights: more rounds are more computation, not more parameters.
    """

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        model = config.model
        self.rounds = model.latent_rounds
        self.latents = nn.Parameter(torch.randn(model.num_latent, model.d_model) * _EMBEDDING_DEVIATION)
        self.latent_layer = LatentLayer(model.d_model, model.num_heads, model.dropout)
        self.latent_norm = nn.LayerNorm(model.d_model)
        initialise(self.latent_layer, branches=3 * model.latent_rounds)

    def encode(self, source: Tensor) -> Memory:
        """The memory of a source (B, S): the latents (B, n, d) after they have read it."""
        read = super().encode(source)
        latents = self.latents.expand(len(source), -1, -1)
        for _ in range(self.rounds):
            latents = run_layer(self.latent_layer, latents, read.states, read.mask, recompute=self.recompute)
        return Memory(self.latent_norm(latents), None)


def build_model(config: Config) -> SimpleModel:
    """A freshly initialised model of the kind asked for, drawn from the global generator."""
    return LatentModel(config) if config.model.kind == "latent" else SimpleModel(config)


def initialise(module: nn.Module, branches: int) -> None:
    """Draw all weights of a stack of residual branches, in the order of its modules.

    Linear maps have deviation 1 / sqrt(inputs); those that end a residual branch are scaled down by the root of the
    number of branches, so that the sum keeps its size at any depth (GPT-2). Biases start at 0.
    """
    for name, part in module.named_modules():
        if isinstance(part, nn.Linear):
            ends_branch = name.endswith(("output", "feed_forward.2"))
            scale = math.sqrt(branches) if ends_branch else 1.0
            nn.init.normal_(part.weight, std=1.0 / (scale * math.sqrt(part.in_features)))
            nn.init.zeros_(part.bias)
        elif isinstance(part, nn.Embedding):
            nn.init.normal_(part.weight, std=_EMBEDDING_DEVIATION)
