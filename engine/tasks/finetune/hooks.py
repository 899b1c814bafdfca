"""Hooks on the modules of a model: to look, to record and to change. All of them are gone when the block ends.

| kind | runs | is given | may change |
|---|---|---|---|
| forward pre-hook | before the module | module, inputs | what goes into it |
| forward hook | after the module | module, inputs, output | what comes out of it |
| backward hook | when its gradients are known | module, gradients of inputs and outputs | the gradient of its input |
| tensor hook | when the tensor's gradient is known | that gradient | that gradient |
"""

from __future__ import annotations

import contextlib
import fnmatch
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal

import torch
from torch import Tensor, nn

from engine.config.options import nearest
from engine.errors import HeatsError

Kind = Literal["forward pre-hook", "forward hook", "backward hook", "tensor hook"]
CHANGES: dict[Kind, str] = {
    "forward pre-hook": "what goes in",
    "forward hook": "what comes out",
    "backward hook": "the gradient of what goes in",
    "tensor hook": "the tensor's gradient",
}
"""By kind, what a hook of it may change."""


@dataclass
class Hook:
    """One hook that is in place."""

    place: str
    """The module's name, or what the tensor is called."""
    kind: Kind
    purpose: str
    changes: bool
    """Whether it changes what CHANGES says; otherwise it only looks."""
    calls: int = 0
    """How often it has run."""


@dataclass
class Statistics:
    """What went through one place, summed up over all calls: exact sums, no samples."""

    place: str
    what: Literal["activation", "gradient"]
    shape: tuple[int, ...] = ()
    """Of the last call."""
    calls: int = 0
    count: int = 0
    """Numbers seen, non-finite ones left out."""
    non_finite: int = 0
    zeros: int = 0
    lowest: float = math.inf
    highest: float = -math.inf
    _sum: float = field(default=0.0, repr=False)
    _squares: float = field(default=0.0, repr=False)

    def take(self, tensor: Tensor) -> None:
        """Take in one tensor of any shape, unless it is `unrecorded`."""
        if _unrecorded:
            return
        values = tensor.detach().double().flatten()
        self.shape, self.calls = tuple(tensor.shape), self.calls + 1
        finite = values[torch.isfinite(values)]
        self.non_finite += values.numel() - finite.numel()
        self.count += finite.numel()
        if finite.numel():
            self.zeros += int((finite == 0).sum())
            self.lowest, self.highest = min(self.lowest, float(finite.min())), max(self.highest, float(finite.max()))
            self._sum += float(finite.sum())
            self._squares += float(finite.square().sum())

    @property
    def mean(self) -> float:
        """Of all finite numbers; NaN without any."""
        return self._sum / self.count if self.count else math.nan

    @property
    def deviation(self) -> float:
        """The root of the mean squared distance from the mean."""
        return math.sqrt(max(0.0, self._squares / self.count - self.mean**2)) if self.count else math.nan

    @property
    def rms(self) -> float:
        """The root of the mean square."""
        return math.sqrt(self._squares / self.count) if self.count else math.nan

    @property
    def zero_share(self) -> float:
        """How many of the finite numbers are exactly 0."""
        return self.zeros / self.count if self.count else math.nan


_unrecorded: list[bool] = []


@contextlib.contextmanager
def unrecorded() -> Iterator[None]:
    """What goes through any model in the block is left out of all `Statistics`: a task's own measurements."""
    _unrecorded.append(True)
    try:
        yield
    finally:
        _unrecorded.pop()


class Hooks:
    """Hooks on a model, as a context manager: whatever happens in the block, they are removed at its end.

    Of forward hooks those that change run before those that only look, whichever came first: what is recorded is what
    the model went on with.

    Args:
        model: on whose modules.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.hooks: list[Hook] = []
        self._handles: list[Any] = []

    def __enter__(self) -> Hooks:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()

    def remove(self) -> None:
        """Remove all of them; the list of what was hooked stays."""
        while self._handles:
            self._handles.pop().remove()

    def before(
        self, name: str, act: Callable[[nn.Module, tuple[Any, ...]], Any], purpose: str = "", *, changes: bool = True
    ) -> None:
        """A forward pre-hook: a result that isn't None takes the place of what goes into the module.

        Raises:
            HeatsError: there is no module of this name.
        """
        hook = self._new(name, "forward pre-hook", purpose, changes)

        def run(module: nn.Module, inputs: tuple[Any, ...]) -> Any:
            hook.calls += 1
            return act(module, inputs)

        self._handles.append(find_module(self.model, name).register_forward_pre_hook(run, prepend=changes))

    def after(
        self,
        name: str,
        act: Callable[[nn.Module, tuple[Any, ...], Any], Any],
        purpose: str = "",
        *,
        changes: bool = True,
    ) -> None:
        """A forward hook: a result that isn't None takes the place of the module's output.

        Raises:
            HeatsError: there is no module of this name.
        """
        hook = self._new(name, "forward hook", purpose, changes)

        def run(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> Any:
            hook.calls += 1
            return act(module, inputs, output)

        self._handles.append(find_module(self.model, name).register_forward_hook(run, prepend=changes))

    def backward(
        self, name: str, act: Callable[[nn.Module, Any, Any], Any], purpose: str = "", *, changes: bool = True
    ) -> None:
        """A full backward hook: a result that isn't None takes the place of the gradient of what went in.

        Raises:
            HeatsError: there is no module of this name.
        """
        hook = self._new(name, "backward hook", purpose, changes)

        def run(module: nn.Module, of_input: Any, of_output: Any) -> Any:
            hook.calls += 1
            return act(module, of_input, of_output)

        self._handles.append(find_module(self.model, name).register_full_backward_hook(run))

    def tensor(
        self, tensor: Tensor, name: str, act: Callable[[Tensor], Any], purpose: str = "", *, changes: bool = True
    ) -> None:
        """A hook on a tensor's gradient, by which a result that isn't None takes its place."""
        hook = self._new(name, "tensor hook", purpose, changes)

        def run(gradient: Tensor) -> Any:
            hook.calls += 1
            return act(gradient)

        self._handles.append(tensor.register_hook(run))  # type: ignore[no-untyped-call]

    def record(self, name: str, *, gradients: bool = False) -> list[Statistics]:
        """Sum up what comes out of a module in each forward pass, and where wanted the gradient that comes back to it.

        Raises:
            HeatsError: there is no module of this name.
        """
        found = Statistics(name, "activation")
        made = [found]
        self.after(name, lambda module, inputs, output: _each(output, found.take), "record", changes=False)
        if gradients:
            of_gradient = Statistics(name, "gradient")
            made.append(of_gradient)
            self.backward(name, lambda module, inner, outer: _each(outer, of_gradient.take), "record", changes=False)
        return made

    def _new(self, place: str, kind: Kind, purpose: str, changes: bool) -> Hook:
        hook = Hook(place, kind, purpose, changes)
        self.hooks.append(hook)
        return hook


def _each(value: Any, take: Callable[[Tensor], None]) -> None:
    """The first tensor of what a module gives: attention gives its weights too."""
    if isinstance(value, Tensor):
        take(value)
    elif isinstance(value, (tuple, list)):
        for item in value:
            if isinstance(item, Tensor) and item.is_floating_point():
                take(item)
                return
    elif hasattr(value, "logits"):
        take(value.logits)


def find_module(model: nn.Module, name: str) -> nn.Module:
    """A module by its name.

    Raises:
        HeatsError: there is none.
    """
    try:
        return model.get_submodule(name)
    except AttributeError:
        raise _no_module(model, name) from None


def matching(model: nn.Module, patterns: Iterable[str]) -> list[str]:
    """The names of the modules that any of the patterns fits (`*` stands for any text), in the model's order.

    Raises:
        HeatsError: a pattern fits none.
    """
    names = [name for name, _ in model.named_modules() if name]
    wanted: set[str] = set()
    for pattern in patterns:
        found = fnmatch.filter(names, pattern)
        if not found:
            raise _no_module(model, pattern)
        wanted.update(found)
    return [name for name in names if name in wanted]


def _no_module(model: nn.Module, name: str) -> HeatsError:
    names = [known for known, _ in model.named_modules() if known]
    near = nearest(name, names)
    shown = ", ".join(names[:6])
    return HeatsError(
        f"the model has no module `{name}`", remedy=f"did you mean `{near}`?" if near else f"there are: {shown}, ..."
    )


def table(hooks: Sequence[Hook]) -> list[dict[str, Any]]:
    """The hooks as rows for people and programs: module, kind, purpose, changes, calls."""
    return [
        {
            "module": hook.place,
            "kind": hook.kind,
            "purpose": hook.purpose,
            "changes": CHANGES[hook.kind] if hook.changes else "nothing",
            "calls": hook.calls,
        }
        for hook in hooks
    ]
