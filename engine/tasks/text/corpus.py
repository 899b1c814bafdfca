"""Text in three parts, from wherever it is on this machine."""

from __future__ import annotations

import ast
import hashlib
import re
import sysconfig
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from engine.errors import HeatsError
from engine.tasks.text.hub import first_line, hub_access, not_there

Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = ("train", "validation", "test")
WIKITEXT = {"wikitext-2": "wikitext-2-raw-v1", "wikitext-103": "wikitext-103-raw-v1"}
"""The configuration of the data set Salesforce/wikitext by our name."""

_HELD_OUT = 0.1
_LEAST_DOCUMENTS = 10
_SHARED_PARAGRAPH = 100
_PLACE = "data.corpus"
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_ARTICLE = re.compile(r" ?= [^=\n]+ = ?\n?")
_FILE_NAMES: dict[Part, tuple[str, ...]] = {
    "train": ("train",), "validation": ("validation", "valid", "val", "dev"), "test": ("test",),
}  # fmt: skip


@dataclass(frozen=True)
class Corpus:
    """Documents, each whole in one of three parts."""

    name: str
    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]

    def part(self, name: Part) -> tuple[str, ...]:
        """The documents of a part."""
        found: tuple[str, ...] = getattr(self, name)
        return found

    @cached_property
    def digests(self) -> dict[Part, str]:
        """Of each part's content, whatever the corpus is called."""
        return {part: _digest(self.part(part)) for part in PARTS}


def load_corpus(name: str, root: str | Path = "~/.cache/heats/data", *, download: bool = False) -> Corpus:
    """A corpus in three parts, none empty.

    Args:
        name: embedded, docstrings, wikitext-2, wikitext-103, or the path of a text file, a folder of text files, or one
            written by datasets' `save_to_disk`. Files called train, validation and test are those parts; else, and
            where a data set lacks a part, a tenth of the documents each is cut off.
        root: folder in which the two data sets of known name are looked for first; `~` is understood.
        download: let `datasets` download what is missing.

    Raises:
        HeatsError: the text isn't there, can't be read, or is too little for three parts.
    """
    if name in ("embedded", "docstrings"):
        return _whole(name, embedded_parts() if name == "embedded" else docstring_parts())
    if name in WIKITEXT:
        folder = Path(root).expanduser() / name
        return _whole(name, _read_folder(folder) if folder.is_dir() else _wikitext(name, download))
    place = Path(name).expanduser()
    if place.is_dir():
        return _whole(name, _read_folder(place))
    if place.is_file():
        return _whole(name, _cut_stretch(_read_text(place)))
    raise HeatsError(
        f"there is no corpus `{name}`", place=_PLACE,
        remedy=f"give embedded, docstrings, {', '.join(WIKITEXT)}, or the path of a text file or folder",
    )  # fmt: skip


def lines(documents: Iterable[str]) -> list[str]:
    """The lines of documents that hold more than white space, in order."""
    return [line for document in documents for line in document.split("\n") if line.strip()]


def embedded_parts() -> dict[Part, list[str]]:
    """The language reference in Python's own `pydoc_data.topics`, split by topic.

    Many topics repeat whole sections of others; those that share a long paragraph stay together, or the test would be
    on text that was trained on.
    """
    from pydoc_data.topics import topics

    return _cut_related(topics)


def docstring_parts() -> dict[Part, list[str]]:
    """What the modules of Python's standard library say of themselves, split by module in the same way.

    Other English than the language reference, on every machine: something to have learnt before.
    """
    texts = {}
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        try:
            tree = ast.parse(path.read_bytes())
        except (OSError, SyntaxError, ValueError):
            continue
        found = [ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, _DOCUMENTED)]
        texts[path.name] = "\n\n".join(text for text in found if text)
    return _cut_related({name: text for name, text in texts.items() if text})


def _cut_related(texts: dict[str, str]) -> dict[Part, list[str]]:
    """Named texts in three parts; those that share a long paragraph make one document."""
    groups = _related(texts)
    return _cut_documents(["\n\n".join(dict.fromkeys(texts[name].strip() for name in group)) for group in groups])


def _related(texts: dict[str, str]) -> list[list[str]]:
    """The names of texts, in groups that share no long paragraph."""
    holders: dict[str, list[str]] = defaultdict(list)
    for name in sorted(texts):
        for paragraph in texts[name].split("\n\n"):
            plain = " ".join(paragraph.split())
            if len(plain) >= _SHARED_PARAGRAPH:
                holders[plain].append(name)
    leader = {name: name for name in texts}

    def lead(name: str) -> str:
        while leader[name] != name:
            name = leader[name]
        return name

    for first, *others in holders.values():
        for other in others:
            leader[lead(other)] = lead(first)
    groups: dict[str, list[str]] = defaultdict(list)
    for name in sorted(texts):
        groups[lead(name)].append(name)
    return list(groups.values())


def _cut_documents(documents: Sequence[str]) -> dict[Part, list[str]]:
    """Whole documents in three parts: in an order that only their content decides, a tenth of the text each is held
    out, and what is too long for its tenth is trained on. Where that leaves a part empty they are cut as one text."""
    parts: dict[Part, list[str]] = {part: [] for part in PARTS}
    room = sum(map(len, documents)) * _HELD_OUT
    left: dict[Part, float] = {"validation": room, "test": room}
    for document in sorted(documents, key=lambda text: hashlib.sha256(text.encode("utf-8", "replace")).digest()):
        part: Part = next((name for name, free in left.items() if len(document) <= free), "train")
        parts[part].append(document)
        if part in left:
            left[part] -= len(document)
    return parts if len(documents) >= _LEAST_DOCUMENTS and all(parts.values()) else _cut_stretch("\n".join(documents))


def _cut_stretch(text: str) -> dict[Part, list[str]]:
    """One text in three stretches, cut where lines end: the last two tenths are validation and test."""
    rows = text.splitlines(keepends=True)
    total = sum(map(len, rows))
    parts: dict[Part, list[str]] = {part: [] for part in PARTS}
    seen = 0
    for row in rows:
        share = seen / total
        parts["train" if share < 1 - 2 * _HELD_OUT else "validation" if share < 1 - _HELD_OUT else "test"].append(row)
        seen += len(row)
    return {part: ["".join(found)] if found else [] for part, found in parts.items()}


def _read_folder(folder: Path) -> dict[Part, list[str]]:
    if (folder / "dataset_dict.json").exists() or (folder / "dataset_info.json").exists():
        return _from_datasets(_load_from_disk(folder))
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    named: dict[Part, list[str]] = {}
    for part, names in _FILE_NAMES.items():
        found = [path for path in files if set(re.split(r"[._-]", path.name.lower())) & set(names)]
        if found:
            named[part] = [document for path in found for document in _articles([_read_text(path)])]
    if "train" in named:
        return _filled(named)
    texts = [_read_text(path) for path in files]
    if not texts:
        raise HeatsError(f"there is no file in {folder}", place=_PLACE)
    return _cut_documents(texts)


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise HeatsError(f"{path} is no text in UTF-8", place=_PLACE) from None
    except OSError as error:
        raise HeatsError(f"{path} can't be read ({error.strerror})", place=_PLACE) from error


def _wikitext(name: str, download: bool) -> dict[Part, list[str]]:
    remedy = (
        f"put it into data.root as a folder `{name}` (datasets' save_to_disk, or text files), set data.download=true, "
        "or use data.corpus=embedded"
    )
    try:
        with hub_access(download):
            import datasets

            return _from_datasets(datasets.load_dataset("Salesforce/wikitext", WIKITEXT[name]))
    except HeatsError:
        raise
    except Exception as error:
        raise HeatsError(
            not_there(f"the corpus {name}", error, download=download), place=_PLACE, remedy=remedy
        ) from error


def _load_from_disk(folder: Path) -> Any:
    try:
        with hub_access(download=False):
            import datasets

            return datasets.load_from_disk(str(folder))
    except Exception as error:
        raise HeatsError(f"{folder} can't be read by `datasets` ({first_line(error)})", place=_PLACE) from error


def _from_datasets(found: Any) -> dict[Part, list[str]]:
    """The parts of a `DatasetDict`, or of one `Dataset`, which is cut into three."""
    sets = dict(found) if isinstance(found, dict) else {"train": found}
    named: dict[Part, list[str]] = {}
    for part, names in _FILE_NAMES.items():
        for name in names:
            if name in sets:
                named[part] = _articles(list(sets[name][_text_column(sets[name])]))
    if "train" not in named:
        raise HeatsError(f"the data set has no part `train`, only {', '.join(sets)}", place=_PLACE)
    return _filled(named)


def _text_column(part: Any) -> str:
    columns = [name for name, kind in part.features.items() if getattr(kind, "dtype", "") in ("string", "large_string")]
    if "text" in columns:
        return "text"
    if len(columns) != 1:
        raise HeatsError(f"the data set has no column `text`, but {', '.join(part.column_names)}", place=_PLACE)
    return str(columns[0])


def _articles(rows: Sequence[str]) -> list[str]:
    """Rows as documents; lines of Wikipedia, as WikiText has them, are put together to its articles."""
    pieces = [line for row in rows for line in row.splitlines(keepends=True)] if len(rows) == 1 else list(rows)
    if not any(_ARTICLE.fullmatch(piece) for piece in pieces[:200]):
        return list(rows)
    articles: list[list[str]] = [[]]
    for piece in pieces:
        if _ARTICLE.fullmatch(piece) and articles[-1]:
            articles.append([])
        articles[-1].append(piece if piece.endswith("\n") else piece + "\n")
    return ["".join(article) for article in articles]


def _filled(named: dict[Part, list[str]]) -> dict[Part, list[str]]:
    """Parts that are missing are cut off the training part."""
    missing = [part for part in PARTS if part not in named]
    if not missing:
        return named
    documents = named["train"]
    cut = _cut_documents(documents)
    # What would be cut off for a part that is there stays with the training text.
    kept = [text for part in PARTS if part == "train" or part not in missing for text in cut[part]]
    return named | {part: cut[part] for part in missing} | {"train": kept}


def _whole(name: str, parts: dict[Part, list[str]]) -> Corpus:
    kept = {part: tuple(document for document in parts[part] if document.strip()) for part in PARTS}
    empty = [part for part in PARTS if not kept[part]]
    if empty:
        raise HeatsError(f"the corpus {name} has too little text: nothing is left for {empty[0]}", place=_PLACE)
    return Corpus(name, **kept)


def _digest(documents: Iterable[str]) -> str:
    found = hashlib.sha256()
    for document in documents:
        content = document.encode("utf-8", "surrogatepass")
        found.update(len(content).to_bytes(8, "little"))
        found.update(content)
    return found.hexdigest()
