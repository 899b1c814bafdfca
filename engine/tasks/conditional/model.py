"""`transformers`' GPT-2 with what the layouts ask of it: masks of any shape, rotated positions, double positions."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.errors import HeatsError
from engine.tasks.conditional.config import POSITIONS, Config
from engine.tasks.text.models import bare, gpt2_config, new_model, pretrained_model
from engine.tasks.text.tokens import IGNORED
from engine.train.task import Batch

ATTENTION = "heats_conditional"
"""The name under which our attention function is known to `transformers`."""


class DoublePositions(nn.Module):
    """SigmaGPT's positions in place of GPT-2's table: half the width says where a token stands, half where the next
    one does. What that is comes from outside, since GPT-2 passes on one position only.

    Args:
        positions: how many there are.
        width: of the model.
    """

    def __init__(self, positions: int, width: int) -> None:
        super().__init__()
        self.here = nn.Embedding(positions, width // 2)
        self.next = nn.Embedding(positions, width - width // 2)
        for table in (self.here, self.next):
            nn.init.normal_(table.weight, std=0.02)

    def forward(self, places: Tensor) -> Tensor:
        """(..., width) of (..., 2) int64: the position of a token and of the one after it."""
        return torch.cat([self.here(places[..., 0]), self.next(places[..., 1])], -1)


class NoPositions(nn.Module):
    """In place of GPT-2's table, where positions enter by rotation alone."""

    def forward(self, places: Tensor) -> Tensor:
        """Zero, whatever the position."""
        return torch.zeros((), device=places.device)


def build_model(config: Config, tokenizer: Any) -> Any:
    """A `GPT2LMHeadModel` with our attention function and the positions that the config asks for.

    Args:
        config: of the run.
        tokenizer: gives vocabulary and special tokens.

    Raises:
        HeatsError: the pretrained model isn't on this machine, or its positions are too few.
    """
    register()
    options = config.model
    if options.pretrained is not None:
        model = pretrained_model(
            options.pretrained, dropout=options.dropout, attention=ATTENTION, vocabulary=tokenizer.vocabulary,
            download=config.data.download, place="model.pretrained",
        )  # fmt: skip
        known = int(model.config.n_positions)
        if options.position == "learned" and config.data.block_size >= known:
            raise HeatsError(
                f"a block of {config.data.block_size} tokens and BOS are more than the {known} positions of "
                f"{options.pretrained}", place="data.block_size",
            )  # fmt: skip
    else:
        shape = gpt2_config(
            options.config, tokenizer, dropout=options.dropout, attention=ATTENTION, positions=POSITIONS
        )
        model = new_model(shape)
    for block in model.transformer.h:
        block.mlp.act = nn.GELU(approximate="tanh")  # what GPT-2 computes, in one kernel instead of eight
    if options.position == "rope":
        model.transformer.wpe = NoPositions()
    elif options.kind == "sigma":
        model.transformer.wpe = DoublePositions(model.config.n_positions, model.config.n_embd)
    model.rope_base = options.rope_base if options.position == "rope" else None
    model.flex = options.attention
    if config.train.gradient_checkpointing:
        if hasattr(model, "activation_checkpointing_enable"):
            model.activation_checkpointing_enable({"use_reentrant": False})
        else:  # its older name
            model.gradient_checkpointing_enable({"use_reentrant": False})
    return model


def token_losses(model: nn.Module, batch: Batch, body: int) -> tuple[Tensor, Tensor]:
    """The negative log probability of each scored token, in nats, and which these are.

    Args:
        model: from `build_model`, or a wrapper of it.
        batch: a layout, see `layout`.
        body: L, the columns at the end in which tokens may be scored.

    Returns:
        (B, L) fp32, zero where nothing is scored, and (B, L) bool.
    """
    logits = body_logits(model, batch, body)
    targets = batch["labels"][:, -body:]
    losses = functional.cross_entropy(
        logits.flatten(0, 1).float(), targets.flatten(), reduction="none", ignore_index=IGNORED
    )
    return losses.view_as(targets), targets != IGNORED


def body_logits(model: nn.Module, batch: Batch, body: int) -> Tensor:
    """(B, L, V): what is said of each of the last L tokens, in the column before it."""
    own = bare(model)
    places = batch["position_ids"]
    extra: dict[str, Any] = {}
    if own.rope_base is not None:
        extra["rotary"] = _rotary(own, batch)
    elif "next_position_ids" in batch:
        places = torch.stack([places, batch["next_position_ids"]], -1)
    mask = batch.get("attention_mask")
    if mask is not None and takes_flex(own, mask.device):
        if mask.device.type == "cpu" and torch.is_grad_enabled():
            raise HeatsError(
                "FlexAttention can't train on a CPU", place="model.attention", remedy="set it to auto or sdpa"
            )
        extra["block_mask"] = _block_mask(mask)
    found = model(
        input_ids=batch["input_ids"], position_ids=places, attention_mask=mask, use_cache=False,
        logits_to_keep=body + 1, **extra,
    )  # fmt: skip
    logits: Tensor = found.logits[:, :-1]
    return logits


# --- attention ---


def register() -> None:
    """Make our attention function known to `transformers`."""
    from transformers.modeling_utils import AttentionInterface

    AttentionInterface.register(ATTENTION, attend)


def takes_flex(model: Any, device: torch.device) -> bool:
    """Whether FlexAttention computes this model's attention here."""
    if model.flex == "auto":
        return device.type == "cuda" and not model.config.attn_pdrop
    return bool(model.flex == "flex")


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    rotary: tuple[Tensor, Tensor] | None = None,
    block_mask: Any = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attention as `transformers` calls it: rotated first where `rotary` is given, then SDPA or FlexAttention.

    Args:
        module: whose attention.
        query, key, value: (B, H, T, D).
        attention_mask: (B, 1, T, T) bool, or None for causal attention.
        dropout: of SDPA.
        scaling: of the products.
        rotary: cosines and sines, (B, 1, T, D) each.
        block_mask: the mask as FlexAttention wants it, which then computes.
    """
    if rotary is not None:
        query, key = _rotate(query, rotary), _rotate(key, rotary)
    if block_mask is not None:
        mixed = _flex()(query, key, value, block_mask=block_mask, scale=scaling)
    else:
        mixed = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=attention_mask, dropout_p=dropout, scale=scaling,
            is_causal=attention_mask is None,
        )  # fmt: skip
    return mixed.transpose(1, 2).contiguous(), None


def _block_mask(mask: Tensor) -> Any:
    """What FlexAttention wants to know of a mask (B, 1, T, T): which blocks of it are empty."""
    from torch.nn.attention.flex_attention import create_block_mask

    def seen(row: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return mask[row, 0, query, key]

    rows, _, length, _ = mask.shape
    return create_block_mask(seen, rows, None, length, length, device=str(mask.device))


_compiled: list[Any] = []


def _flex() -> Any:
    """FlexAttention, compiled on a GPU, where it is slow otherwise."""
    from torch.nn.attention.flex_attention import flex_attention

    if not torch.cuda.is_available():
        return flex_attention
    if not _compiled:
        _compiled.append(torch.compile(flex_attention, dynamic=True))
    return _compiled[0]


def _rotary(model: Any, batch: Batch) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the angles, (B, 1, T, D) each, fp32 (Su and others 2021, arXiv 2104.09864).

    With double positions half of the planes turn by a token's position, half by the next one's.
    """
    width = model.config.n_embd // model.config.n_head
    planes = width // 2
    places = batch["position_ids"][..., None].expand(-1, -1, planes)
    exponents = torch.arange(planes, device=places.device, dtype=torch.float32) / planes
    if "next_position_ids" in batch:
        after = batch["next_position_ids"][..., None].expand(-1, -1, planes)
        second = torch.arange(planes, device=places.device) % 2 == 1
        places = torch.where(second, after, places)
    angles = places.float() * model.rope_base**-exponents
    doubled = torch.cat([angles, angles], -1)[:, None]
    return doubled.cos(), doubled.sin()


def _rotate(states: Tensor, rotary: tuple[Tensor, Tensor]) -> Tensor:
    cosines, sines = rotary
    first, second = states.chunk(2, dim=-1)
    turned = torch.cat([-second, first], -1)
    return (states * cosines + turned * sines).to(states.dtype)
