"""What a figure of somebody else's script is called here: one rule for lines, tables and event files."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence

_GROUPS = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "eval": "val", "evaluation": "val", "test": "test", "testing": "test",
}  # fmt: skip
"""The parts of data that people name, by all their names."""
_OF_TRAINING = {
    "loss": "loss", "lr": "lr", "learning_rate": "lr", "grad_norm": "grad_norm", "accuracy": "accuracy",
    "acc": "accuracy", "train_loss": "loss",
}  # fmt: skip
"""Bare names that mean training where nothing else is said."""
GROUP_WORD = re.compile(rf"\b({'|'.join(_GROUPS)})\b(?!\s*(?:time|step|sec|samples))", re.IGNORECASE)
"""A part of data named in a line's text."""


def metric_name(raw: str, group: str = "") -> str:
    """The metric of a name as a script writes it: `val_loss` and `Eval/Loss` are `val/loss`, `loss` is `train/loss`.

    Args:
        raw: the name.
        group: the part of data that its line or its folder speaks of, where the name doesn't.
    """
    name = re.sub(r"[^\w./%-]+", "_", raw.strip().strip("'\"")).strip("_./-")
    name = re.sub(r"(^|[/_])(?:average|avg|mean)_(?=\w)", r"\1", name, flags=re.IGNORECASE)
    head, separator, tail = _split(name)
    own = _GROUPS.get(head.lower()) if separator else None
    if own is None and "/" in name:  # Loss/train, as TensorBoard's tutorials have it
        front, _, last = name.rpartition("/")
        if last.lower() in _GROUPS:
            own, tail = _GROUPS[last.lower()], front
    if own is not None:
        return f"{own}/{_OF_TRAINING.get(tail.lower(), tail.lower() if '/' not in tail else tail)}"
    if group and "/" not in name:
        return f"{group}/{_OF_TRAINING.get(name.lower(), name)}"
    known = _OF_TRAINING.get(name.lower())
    if known is not None:
        return f"train/{known}"
    return f"logged/{name}" if name in ("step", "time") else name


def group_of(text: str) -> str:
    """The part of data that a line or a folder speaks of: the last one named; empty where none is."""
    found = GROUP_WORD.findall(text)
    return _GROUPS[found[-1].lower()] if found else ""


def group_of_folder(folder: str) -> str:
    """The part of data that a folder is named after; empty where it isn't one."""
    return _GROUPS.get(folder.lower(), "")


def is_ignored(name: str, patterns: Sequence[str]) -> bool:
    """Whether a metric is to be left out."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _split(name: str) -> tuple[str, str, str]:
    """At the first slash, else at the first underscore: `val/loss`, `val_loss`."""
    for separator in ("/", "_"):
        head, found, tail = name.partition(separator)
        if found and head and tail and (separator == "/" or head.lower() in _GROUPS):
            return head, found, tail
    return name, "", ""
