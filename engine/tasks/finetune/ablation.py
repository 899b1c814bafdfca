"""Attention taken apart by hooks: what each ablation does to a GPT-2 of transformers, whatever computes its attention.

In each layer `c_attn` makes queries, keys and values of all heads side by side, and `c_proj` mixes what the heads give.

- delete: a forward hook on `attn` makes its output zero, so nothing but residual connection and MLP is left, no
  information passes between positions, and no gradient reaches `c_attn` or `c_proj`. Of chosen heads: a forward
  pre-hook on `c_proj` makes what these heads give zero.
- uniform: a forward hook on `c_attn` makes the queries zero. Then all scores are equal, and attention is an even
  average over the causal window, which the mask still cuts; values flow and train.
- self_only: attention to oneself alone has weight 1, so each head gives its own position's value: a forward hook on
  `c_attn` keeps the values and a forward pre-hook on `c_proj` puts them in place of what the heads give.
- mean: what attention gives is replaced by its mean over training text; of chosen heads, what these give.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from engine.errors import HeatsError
from engine.tasks.finetune.config import AblationName, AblationSection
from engine.tasks.finetune.hooks import Hooks

Means = dict[int, Tensor]
"""By layer, the mean output of attention, or with chosen heads the mean of what the heads give: (D,) fp32."""


@dataclass(frozen=True)
class Ablation:
    """What is taken from attention, and where."""

    kind: AblationName
    layers: tuple[int, ...] = ()
    """All when empty."""
    heads: tuple[int, ...] = ()
    """The whole of attention when empty."""

    @classmethod
    def of(cls, options: AblationSection) -> Ablation:
        """What a config says."""
        return cls(options.kind, tuple(sorted(set(options.layers))), tuple(sorted(set(options.heads))))

    def chosen_layers(self, model: Any) -> list[int]:
        """The layers of a model that it takes something from.

        Raises:
            HeatsError: the model has no such layer or head.
        """
        layers, heads = model.config.n_layer, model.config.n_head
        for key, chosen, count in (("layers", self.layers, layers), ("heads", self.heads, heads)):
            if chosen and chosen[-1] >= count:
                raise HeatsError(
                    f"there is no {key[:-1]} {chosen[-1]}: the model has {count}, counted from 0",
                    place=f"ablation.{key}",
                )
        return list(self.layers or range(layers))


def ablate(model: Any, ablation: Ablation, means: Means | None = None) -> Hooks:
    """Hooks that ablate a GPT-2, for a `with` block: at its end the model is as it was.

    Args:
        model: a `GPT2LMHeadModel` without wrappers.
        ablation: what to take away.
        means: for `mean`, see `attention_means`.

    Raises:
        HeatsError: the model has no such layer or head.
    """
    hooks = Hooks(model)
    if ablation.kind == "none":
        return hooks
    for layer in ablation.chosen_layers(model):
        _hook_layer(hooks, model, layer, ablation, (means or {}).get(layer))
    return hooks


def _hook_layer(hooks: Hooks, model: Any, layer: int, ablation: Ablation, mean: Tensor | None) -> None:
    place = f"transformer.h.{layer}.attn"
    width = model.config.n_embd
    columns = _columns(ablation.heads, width // model.config.n_head)
    kind = ablation.kind
    if kind == "uniform":
        hooks.after(f"{place}.c_attn", _zero_queries(columns, width), kind)
    elif kind == "self_only":
        keeper = _Values(columns, width)
        hooks.after(f"{place}.c_attn", keeper.keep, f"{kind}: keep the values", changes=False)
        hooks.before(f"{place}.c_proj", keeper.put, kind)
    else:
        if kind == "mean" and mean is None:
            raise AssertionError("mean needs the means of every layer that it is used in")
        filling = mean if kind == "mean" else None
        if columns is None:
            hooks.after(place, _replace_output(filling), kind)
        else:
            hooks.before(f"{place}.c_proj", _replace_columns(columns, filling), kind)


def _columns(heads: Sequence[int], size: int) -> Tensor | None:
    """Where the numbers of heads stand among those of all; None for all heads."""
    if not heads:
        return None
    return torch.cat([torch.arange(head * size, (head + 1) * size) for head in heads])


def _zero_queries(columns: Tensor | None, width: int) -> Callable[[nn.Module, tuple[Any, ...], Any], Any]:
    def act(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        queries, rest = output[..., :width], output[..., width:]
        if columns is None:
            return torch.cat([torch.zeros_like(queries), rest], dim=-1)
        return torch.cat([queries.index_fill(-1, columns.to(output.device), 0.0), rest], dim=-1)

    return act


def _replace_output(filling: Tensor | None) -> Callable[[nn.Module, tuple[Any, ...], Any], Any]:
    def act(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> Any:
        given = output[0]
        made = torch.zeros_like(given) if filling is None else filling.to(given).expand_as(given)
        return (made, *output[1:])

    return act


def _replace_columns(columns: Tensor, filling: Tensor | None) -> Callable[[nn.Module, tuple[Any, ...]], Any]:
    def act(module: nn.Module, inputs: tuple[Any, ...]) -> Any:
        given: Tensor = inputs[0]
        where = columns.to(given.device)
        if filling is None:
            return (given.index_fill(-1, where, 0.0),)
        made = filling.to(given)[where].expand(*given.shape[:-1], len(where))
        return (given.index_copy(-1, where, made),)

    return act


class _Values:
    """Takes the values where they are made, and puts them where the heads' results go on."""

    def __init__(self, columns: Tensor | None, width: int) -> None:
        self._columns = columns
        self._width = width
        self._values: Tensor | None = None

    def keep(self, module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        self._values = output[..., 2 * self._width :]

    def put(self, module: nn.Module, inputs: tuple[Any, ...]) -> Any:
        values, self._values = self._values, None
        assert values is not None, "c_attn runs before c_proj"
        if self._columns is None:
            return (values,)
        where = self._columns.to(values.device)
        return (inputs[0].index_copy(-1, where, values.index_select(-1, where)),)


@torch.no_grad()
def attention_means(model: Any, ablation: Ablation, samples: Iterable[Tensor]) -> Means:
    """The mean, over all positions of some samples, of what attention gives in each layer that `mean` takes it from.

    Args:
        model: a `GPT2LMHeadModel` without wrappers, not ablated and in evaluation mode.
        ablation: which layers, and whether of heads.
        samples: (B, T) int64 token ids, on the model's device.

    Returns:
        By layer (D,) fp32 on the CPU.
    """
    layers = ablation.chosen_layers(model)
    sums = {layer: torch.zeros(model.config.n_embd, dtype=torch.float64) for layer in layers}
    seen = 0

    def adder(layer: int) -> Callable[..., None]:
        def add(module: nn.Module, *passed: Any) -> None:
            given = passed[-1][0]  # of what goes in, or of what comes out
            sums[layer] += given.double().flatten(0, -2).sum(0).cpu()

        return add

    with Hooks(model) as hooks:
        for layer in layers:
            place = f"transformer.h.{layer}.attn"
            if ablation.heads:
                hooks.before(f"{place}.c_proj", adder(layer), changes=False)
            else:
                hooks.after(place, adder(layer), changes=False)
        for ids in samples:
            model(ids)
            seen += ids.numel()
    return {layer: (total / max(1, seen)).float() for layer, total in sums.items()}
