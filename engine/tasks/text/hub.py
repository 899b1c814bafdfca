"""Whether the libraries of Hugging Face may use the network: only where a config says so."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

_SWITCH = "HF_HUB_OFFLINE"
_HOLDERS = ("huggingface_hub.constants", "datasets.config")


@contextlib.contextmanager
def hub_access(download: bool) -> Iterator[None]:
    """Around imports and uses of `datasets` and `transformers`: without `download` they look on this machine only.

    They read the variable once, when they are imported: where that was earlier, what they have read is replaced.
    """
    with contextlib.ExitStack() as stack:
        if not download:
            stack.enter_context(_variable(_SWITCH, "1"))
        for name in _HOLDERS:
            module = sys.modules.get(name)
            if module is not None and hasattr(module, _SWITCH):
                stack.callback(setattr, module, _SWITCH, getattr(module, _SWITCH))
                setattr(module, _SWITCH, not download or os.environ.get(_SWITCH, "0") == "1")
        yield


def not_there(what: str, error: BaseException, *, download: bool) -> str:
    """What to say of a model or of text that one of these libraries could not give."""
    why = "could be neither found nor downloaded" if download else "is not on this machine"
    return f"{what} {why} ({first_line(error)})"


def first_line(error: BaseException) -> str:
    """The beginning of an error's message, which may go on for pages."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


@contextlib.contextmanager
def _variable(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = before
