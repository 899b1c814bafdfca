"""The options that tasks on text share. Pydantic only: forms and help read this without torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from engine.config.sections import DataSection, NonNegativeInt

SizeName = Literal["nano", "tiny", "small", "distilgpt2", "gpt2"]
AttentionName = Literal["sdpa", "eager"]


class TextDataSection(DataSection):
    """Which text to learn, and how it is cut into tokens."""

    corpus: str = "embedded"
    """embedded (the language reference that comes with Python, about 465,000 characters), docstrings (of its standard
    library, about twice as much), wikitext-2, wikitext-103, or the path of a text file, of a folder of text files, or
    of a folder written by datasets' `save_to_disk`."""
    root: str = "~/.cache/heats/data"
    """Folder in which wikitext-2 and wikitext-103 are looked for first, each in a folder of its name."""
    download: bool = False
    """Let `datasets` and `transformers` download what this machine lacks."""
    tokenizer: str = "own"
    """own: byte-level BPE trained on the training part; or a pretrained tokenizer, by name or folder. A pretrained
    model, and a run that is started from, bring their own whatever this says."""
    vocabulary: Annotated[int, Field(ge=260, lt=2**31)] = 2048
    """own tokenizer: how many tokens it has, the 256 bytes and 4 special ones included."""
    block_size: Annotated[int, Field(ge=2, le=1_000_000)] = 128
    """Tokens in a sample: the text is one stream, cut into blocks of this length."""
    stride: NonNegativeInt = 0
    """Evaluation: tokens from one window's start to the next's. Below block_size each token is predicted once, from
    more of what stands before it, at more cost; 0 is block_size."""
    max_tokens: NonNegativeInt = 0
    """Above 0, the classic tiny data set instead of blocks: lines cut at 128 tokens, the first ones that have so many
    tokens together, padded to the longest of a batch."""
