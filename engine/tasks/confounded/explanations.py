"""Penalties on what a model sees in the dot, for losses that are told where it is. All in fp32, outside of autocast.

Sources: right for the right reasons, Ross, Hughes and Doshi-Velez 2017 (arXiv 1703.03717); the same on GradCAM,
Schramowski et al. 2020 (arXiv 2001.05371); CDEP, Rieger, Singh, Murdoch and Yu 2020 (arXiv 1909.13584), with
contextual decomposition as in Murdoch, Liu and Yu 2018 (arXiv 1801.05453) and Singh, Murdoch and Yu 2019.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.tasks.confounded.model import Network

_TINY = 1e-8


def gradient_penalty(network: Network, images: Tensor, masks: Tensor) -> Tensor:
    """The sum of squared gradients of the summed log-probabilities by the pixels in the mask, a sample; (B,).

    Args:
        network: the model.
        images: (B, C, H, W) fp32.
        masks: (B, 1, H, W) bool.
    """
    pixels = images.detach().requires_grad_()
    log_probabilities = functional.log_softmax(network(pixels), dim=1)
    (gradient,) = torch.autograd.grad(log_probabilities.sum(), pixels, create_graph=True)
    return (gradient.square() * masks).flatten(1).sum(1)


def gradcam(network: Network, images: Tensor, labels: Tensor, *, create_graph: bool = False) -> Tensor:
    """GradCAM of these classes at the second convolution, (B, H/2, W/2), not negative (arXiv 1610.02391).

    Args:
        network: the model.
        images: (B, C, H, W) fp32.
        labels: (B,), whose logits are explained.
        create_graph: keep what is needed to differentiate the result.
    """
    maps = network.maps(images)
    if not maps.requires_grad:
        maps = maps.requires_grad_()
    chosen = network.classify(maps).gather(1, labels.unsqueeze(1)).sum()
    (gradient,) = torch.autograd.grad(chosen, maps, create_graph=create_graph, retain_graph=True)
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    return functional.relu((weights * maps).sum(1))


def gradcam_penalty(network: Network, images: Tensor, labels: Tensor, masks: Tensor) -> Tensor:
    """The sum of the squares of GradCAM, scaled to at most 1 and up to the picture's size, in the mask, a sample; (B,).

    Args:
        network: the model.
        images: (B, C, H, W) fp32.
        labels: (B,) int64.
        masks: (B, 1, H, W) bool.
    """
    heat = gradcam(network, images, labels, create_graph=True).unsqueeze(1)
    highest = heat.detach().amax(dim=(1, 2, 3), keepdim=True)
    scaled = heat / (highest + _TINY)
    larger = functional.interpolate(scaled, images.shape[-2:], mode="bilinear", align_corners=False)
    return (larger.square() * masks).flatten(1).sum(1)


def contribution_penalty(network: Network, images: Tensor, masks: Tensor) -> Tensor:
    """How much the masked pixels contribute to telling the classes apart, by contextual decomposition, a sample; (B,).

    The L1 norm of their part of the logits, without what it adds to both classes alike.

    Args:
        network: the model.
        images: (B, C, H, W) fp32.
        masks: (B, 1, H, W) bool.
    """
    inside, _ = decompose(network, images, masks)
    return (inside - inside.mean(dim=1, keepdim=True)).abs().sum(1)


def decompose(network: Network, images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """The logits as a sum of what comes from inside the mask and what from outside, each (B, 2).

    Args:
        network: the model.
        images: (B, C, H, W) fp32.
        masks: (B, 1, H, W) bool.
    """
    inside, outside = images * masks, images * ~masks
    for layer in (network.first, network.second):
        inside, outside = _pool(*_rectify(*_linear(layer, inside, outside)))
    inside, outside = inside.flatten(1), outside.flatten(1)
    inside, outside = _rectify(*_linear(network.hidden, inside, outside))
    return _linear(network.output, inside, outside)


def _linear(layer: nn.Module, inside: Tensor, outside: Tensor) -> tuple[Tensor, Tensor]:
    """Both parts through a linear layer; its bias is shared out by how large they are."""
    bias = layer.bias
    assert isinstance(bias, Tensor)
    shape = (1, -1, *[1] * (inside.dim() - 2))
    at_zero = layer(torch.zeros_like(inside[:1]))
    first, second = layer(inside) - at_zero, layer(outside) - at_zero
    size, other = first.abs(), second.abs()
    share = size / (size + other + _TINY)
    return first + bias.view(shape) * share, second + bias.view(shape) * (1 - share)


def _rectify(inside: Tensor, outside: Tensor) -> tuple[Tensor, Tensor]:
    first = functional.relu(inside)
    return first, functional.relu(inside + outside) - first


def _pool(inside: Tensor, outside: Tensor) -> tuple[Tensor, Tensor]:
    """2x2 pooling of the sum; each part is taken from where the sum is largest."""
    whole = inside + outside
    _, places = functional.max_pool2d(whole, 2, return_indices=True)
    first, second = (part.flatten(2).gather(2, places.flatten(2)).view_as(places) for part in (inside, outside))
    return first, second
