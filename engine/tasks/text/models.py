"""GPT-2 as `transformers` has it: of a size and new, pretrained, or as a run of ours has left it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from engine.errors import HeatsError
from engine.store.files import read_json, write_json
from engine.store.paths import RunPaths
from engine.tasks.text.hub import hub_access, not_there
from engine.tasks.text.tokenizer import Tokenizer, read_tokenizer

POSITIONS = 1024
"""How many positions a model has, as in GPT-2."""
_CONFIG = "config.json"
_PLACE = "model.name"


@dataclass(frozen=True)
class Size:
    """Layers, heads and width."""

    layers: int
    heads: int
    width: int


SIZES = {
    "nano": Size(2, 2, 64),
    "tiny": Size(4, 4, 128),
    "small": Size(6, 6, 384),
    "distilgpt2": Size(6, 12, 768),
    "gpt2": Size(12, 12, 768),
}


def gpt2_config(
    size: str, tokenizer: Tokenizer, *, dropout: float = 0.1, attention: str = "sdpa", positions: int = POSITIONS
) -> Any:
    """The `GPT2Config` of a size.

    Args:
        size: one of `SIZES`.
        tokenizer: gives the vocabulary and the special tokens.
        dropout: of embeddings, attention and residual connections.
        attention: sdpa or eager.
        positions: the longest sequence.
    """
    with hub_access(download=False):
        from transformers.models.gpt2.configuration_gpt2 import GPT2Config

    shape = SIZES[size]
    return GPT2Config(
        vocab_size=tokenizer.vocabulary, n_positions=positions, n_embd=shape.width, n_layer=shape.layers,
        n_head=shape.heads, resid_pdrop=dropout, embd_pdrop=dropout, attn_pdrop=dropout, use_cache=False,
        bos_token_id=tokenizer.bos, eos_token_id=tokenizer.eos, pad_token_id=tokenizer.pad,
        attn_implementation=attention,
    )  # fmt: skip


def new_model(config: Any) -> Any:
    """A `GPT2LMHeadModel` with new weights, drawn from the global generator."""
    with hub_access(download=False):
        from transformers.models.gpt2.modeling_gpt2 import GPT2LMHeadModel

    return GPT2LMHeadModel(config)


def pretrained_model(
    wanted: str,
    *,
    dropout: float | None = None,
    attention: str = "sdpa",
    vocabulary: int = 0,
    download: bool = False,
    place: str = _PLACE,
) -> Any:
    """A pretrained `GPT2LMHeadModel` in fp32.

    Args:
        wanted: its name, or a folder written by `save_pretrained`.
        dropout: instead of its own.
        attention: sdpa or eager.
        vocabulary: how many tokens it must know at least: rows for new ones are added, drawn at random.
        download: get what this machine lacks.
        place: the option that names it, for messages.

    Raises:
        HeatsError: it isn't on this machine, or is no GPT-2.
    """
    import torch

    config = pretrained_config(wanted, dropout=dropout, attention=attention, download=download, place=place)
    with hub_access(download):
        from transformers.models.gpt2.modeling_gpt2 import GPT2LMHeadModel

        try:
            model = GPT2LMHeadModel.from_pretrained(
                _where(wanted), config=config, local_files_only=not download, dtype=torch.float32
            )
        except Exception as error:
            raise _no_model(wanted, error, download, place) from error
    if vocabulary > model.config.vocab_size:
        model.resize_token_embeddings(vocabulary, mean_resizing=False)
    return model


def pretrained_config(
    wanted: str, *, dropout: float | None = None, attention: str = "sdpa", download: bool = False, place: str = _PLACE
) -> Any:
    """The `GPT2Config` of a pretrained model, for a new one of its shape or to load it with; see `pretrained_model`.

    Raises:
        HeatsError: it isn't on this machine, or is no GPT-2.
    """
    with hub_access(download):
        from transformers.models.gpt2.configuration_gpt2 import GPT2Config

        try:
            found, _ = GPT2Config.get_config_dict(_where(wanted), local_files_only=not download)
        except Exception as error:
            raise _no_model(wanted, error, download, place) from error
    if found.get("model_type") != "gpt2":
        raise HeatsError(f"`{wanted}` is a {found.get('model_type', 'model of no kind')}, not a gpt2", place=place)
    return _config_of(found, dropout, attention)


def describe(folder: Path, config: Any, tokenizer: Tokenizer) -> None:
    """Write a model's shape and its tokenizer into a run's folder: other runs, and this one later, start from there.

    Both are in the formats of `transformers`: with the weights `heats checkpoints export` makes a folder of them that
    `from_pretrained` reads.
    What is there already stays.

    Args:
        folder: the run's.
        config: a `GPT2Config`.
        tokenizer: what its tokens are.

    Raises:
        MachineError: the folder can't be written.
    """
    place = RunPaths(folder).model
    if (place / _CONFIG).exists():
        return
    tokenizer.save(place)
    write_json(place / _CONFIG, json.loads(config.to_json_string(use_diff=False)))  # last: with it all is there


@dataclass(frozen=True)
class Described:
    """What a run's folder says of its model."""

    values: dict[str, Any]
    """The options of its `GPT2Config`."""
    tokenizer: Tokenizer

    def config(self, *, dropout: float | None = None, attention: str = "sdpa") -> Any:
        """The `GPT2Config`."""
        return _config_of(self.values, dropout, attention)


def described(folder: Path) -> Described | None:
    """What `describe` wrote into a run's folder; None where it has not, or the files are damaged."""
    place = RunPaths(folder).model
    values = read_json(place / _CONFIG)
    tokenizer = read_tokenizer(place) if values is not None else None
    return Described(values, tokenizer) if values is not None and tokenizer is not None else None


def bare(model: nn.Module) -> Any:
    """The model inside the wrappers of data parallelism and torch.compile."""
    for wrapper in ("module", "_orig_mod"):
        model = getattr(model, wrapper, model)
    return model


def _config_of(values: dict[str, Any], dropout: float | None, attention: str) -> Any:
    with hub_access(download=False):
        from transformers.models.gpt2.configuration_gpt2 import GPT2Config

    own = {"use_cache": False, "attn_implementation": attention}
    if dropout is not None:
        own |= {"resid_pdrop": dropout, "embd_pdrop": dropout, "attn_pdrop": dropout}
    return GPT2Config(**(values | own))


def _where(wanted: str) -> str:
    folder = Path(wanted).expanduser()
    return str(folder) if folder.is_dir() else wanted


def _no_model(wanted: str, error: Exception, download: bool, place: str) -> HeatsError:
    further = "" if download else "set data.download=true, "
    return HeatsError(
        not_there(f"the pretrained model `{wanted}`", error, download=download), place=place,
        remedy=f"give a folder written by `save_pretrained`, {further}or start from a run of ours with model.from_run",
    )  # fmt: skip
