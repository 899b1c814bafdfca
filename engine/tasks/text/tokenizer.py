"""From text to numbers and back: byte-level BPE of our own, or what a pretrained model brings."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from engine.errors import HeatsError
from engine.store.files import parse_json, read_json, write_atomic, write_json
from engine.tasks.text.config import TextDataSection
from engine.tasks.text.corpus import Corpus
from engine.tasks.text.hub import hub_access, not_there

BOS, EOS, PAD, MASK = "[BOS]", "[EOS]", "[PAD]", "[M]"
_SPECIAL = (BOS, EOS, PAD, MASK)
_PLACE = "data.tokenizer"
_BATCH = 256
_FILE, _OPTIONS = "tokenizer.json", "tokenizer_config.json"


@dataclass(frozen=True)
class Tokenizer:
    """A tokenizer with four special tokens of four different ids, none of which any text can contain."""

    backend: Any
    """A `tokenizers.Tokenizer`."""
    bos: int
    eos: int
    pad: int
    mask: int
    base: int
    """How many ids a model needs that never sees a special token but `eos`: those that a pretrained tokenizer had
    before ours were added, and all of our own one."""

    @property
    def vocabulary(self) -> int:
        """How many ids there are."""
        return int(self.backend.get_vocab_size())

    @property
    def json(self) -> str:
        """The whole of it, in the format of `tokenizers`."""
        return str(self.backend.to_str())

    @cached_property
    def digest(self) -> str:
        """Changes with anything that changes a token."""
        return hashlib.sha256(self.json.encode()).hexdigest()

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of texts, without any special token: what looks like one in a text is read as its characters."""
        found: list[list[int]] = []
        for start in range(0, len(texts), _BATCH):
            part = list(texts[start : start + _BATCH])
            found += [each.ids for each in self.backend.encode_batch(part, add_special_tokens=False)]
        return found

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids; special tokens are shown by name."""
        return str(self.backend.decode(list(ids), skip_special_tokens=False))

    def save(self, folder: Path) -> None:
        """Write it into a folder, for `read_tokenizer` and for the `from_pretrained` of `transformers`.

        Raises:
            MachineError: the folder can't be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        words = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": BOS, "pad_token": PAD, "mask_token": MASK}
        eos = self.backend.id_to_token(self.eos)
        write_json(folder / _OPTIONS, words | {"eos_token": eos, "base_vocabulary": self.base})
        write_atomic(folder / _FILE, self.json.encode())  # last: a folder with it is whole


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    """Byte-level BPE: the same texts give the same tokenizer, to the last byte.

    Args:
        texts: what to learn from.
        vocabulary: how many ids at most, the 256 bytes and 4 special tokens included.
    """
    from tokenizers import Tokenizer as Backend
    from tokenizers import decoders, models, pre_tokenizers, trainers

    backend = Backend(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=list(_SPECIAL), show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )  # fmt: skip
    backend.train_from_iterator(texts, trainer)
    return _wrapped(backend, EOS, backend.get_vocab_size())


def own_tokenizer(corpus: Corpus, vocabulary: int, cache: Path) -> Tokenizer:
    """The tokenizer of a corpus's training part, trained once and then read from the cache.

    Args:
        corpus: of which the training part is learnt from.
        vocabulary: see `train_tokenizer`.
        cache: a folder, made if needed; several processes may use it at once.
    """
    key = "\n".join((corpus.digests["train"], str(vocabulary), version("tokenizers"), "byte-level BPE 1"))
    folder = cache / "tokenizers" / hashlib.sha256(key.encode()).hexdigest()[:32]
    found = read_tokenizer(folder)
    if found is None:
        found = train_tokenizer(corpus.train, vocabulary)
        found.save(folder)
    return found


def read_tokenizer(folder: Path) -> Tokenizer | None:
    """The tokenizer that was saved in a folder; None where there is none, or it is damaged."""
    from tokenizers import Tokenizer as Backend

    options = read_json(folder / _OPTIONS) or {}
    try:
        content = (folder / _FILE).read_bytes()
        parse_json(content)  # the library's own error for a damaged file may be a panic
        return _wrapped(Backend.from_buffer(content), str(options["eos_token"]), int(options["base_vocabulary"]))
    except Exception:  # noqa: BLE001  whatever is wrong with it, it isn't one of ours
        return None


def chosen_tokenizer(options: TextDataSection, corpus: Corpus, cache: Path) -> Tokenizer:
    """The tokenizer that `data.tokenizer` names.

    Args:
        options: of the run.
        corpus, cache: see `own_tokenizer`.

    Raises:
        HeatsError: it isn't on this machine, or isn't one that `tokenizers` runs.
    """
    if options.tokenizer == "own":
        return own_tokenizer(corpus, options.vocabulary, cache)
    return pretrained_tokenizer(options.tokenizer, download=options.download)


def pretrained_tokenizer(wanted: str, *, download: bool = False, place: str = _PLACE) -> Tokenizer:
    """A tokenizer of `transformers`, by name or folder, with the special tokens that it lacks.

    Args:
        wanted: its name, its folder, or those of the model that it belongs to.
        download: get what this machine lacks.
        place: the option that names it, for messages.

    Raises:
        HeatsError: it isn't on this machine, or isn't one that `tokenizers` runs.
    """
    folder = Path(wanted).expanduser()
    with hub_access(download):
        from transformers.models.auto.tokenization_auto import AutoTokenizer

        try:
            found = AutoTokenizer.from_pretrained(
                str(folder) if folder.is_dir() else wanted, local_files_only=not download
            )
        except Exception as error:
            raise HeatsError(
                not_there(f"the tokenizer `{wanted}`", error, download=download), place=place,
                remedy="give the folder of one" + ("" if download else ", set data.download=true")
                + (", or use data.tokenizer=own" if place == _PLACE else ""),
            ) from error  # fmt: skip
    backend = getattr(found, "backend_tokenizer", None)
    if backend is None or found.eos_token is None or backend.token_to_id(str(found.eos_token)) is None:
        raise HeatsError(f"the tokenizer `{wanted}` has no fast form or no end-of-text token", place=place)
    base = int(backend.get_vocab_size())
    backend.add_special_tokens([name for name in (BOS, PAD, MASK) if backend.token_to_id(name) is None])
    return _wrapped(backend, str(found.eos_token), base)


def _wrapped(backend: Any, eos: str, base: int) -> Tokenizer:
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")  # it warns at every fork unless told
    backend.encode_special_tokens = True
    backend.no_padding()
    backend.no_truncation()
    bos_id, eos_id, pad_id, mask_id = (backend.token_to_id(name) for name in (BOS, eos, PAD, MASK))
    if None in (bos_id, eos_id, pad_id, mask_id):
        raise ValueError("it lacks a special token")
    return Tokenizer(backend, bos_id, eos_id, pad_id, mask_id, base)
