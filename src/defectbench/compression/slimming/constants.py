"""Mending what a cut does to activations: constants of dead channels, and statistics of batch norms.

A channel whose scale is 0 is not silent: it gives act(shift) everywhere. Before it is cut, what its consumers make of
that constant moves into their biases or their batch norms' running means; zero padding makes this approximate at
borders. Where statistics are measured anew afterwards, running means are too: then the biases alone are the gain.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import torch
from torch import Tensor, nn

from ...base.errors import CompressionError
from ...nn.batch_norm import make_batch_norms_exact
from .channels import ChannelGraph, Masks


@torch.no_grad()
def absorb_constants(graph: ChannelGraph, masks: Masks, images: Tensor) -> list[str]:
    """Silence the channels that will be cut, and give their constants to their consumers.

    The scales of these channels become 0. The network then computes what the cut one will, up to borders.

    Args:
        graph: Of the whole network, which is changed.
        masks: What will stay.
        images: Any batch [B, 3, H, W] on the network's device.

    Returns:
        Consumers that could not take their constant: without a bias, and followed by no batch norm.
    """
    model, lost = graph.model, graph.lost(masks)
    consumers: dict[str, Tensor] = {}
    for (name, takes), gone in lost.items():
        module = graph.modules[name]
        if isinstance(module, nn.BatchNorm2d):
            module.weight[gone] = 0.0
        elif takes and len(gone):
            consumers[name] = gone
    constants = _measured(model, {name: graph.modules[name] for name in consumers}, images)
    left = []
    for name, gone in consumers.items():
        conv, norm = graph.modules[name], graph.modules.get(graph.norm_after.get(name, ""))
        assert isinstance(conv, nn.Conv2d)
        shift = conv.weight[:, gone].sum((2, 3)) @ constants[name][gone].to(conv.weight)
        if conv.bias is not None:
            conv.bias += shift
        elif isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None:
            norm.running_mean -= shift
        else:
            left.append(name)
    return left


def _measured(model: nn.Module, convs: dict[str, nn.Module], images: Tensor) -> dict[str, Tensor]:
    """Mean [C] of what comes into each convolution, from one pass in eval mode."""
    means: dict[str, Tensor] = {}

    def look(name: str, _: nn.Module, inputs: tuple[Tensor]) -> None:
        means[name] = inputs[0].mean((0, 2, 3))

    hooks = [conv.register_forward_pre_hook(partial(look, name)) for name, conv in convs.items()]
    training = model.training
    try:
        model.eval()(images)
    finally:
        for hook in hooks:
            hook.remove()
        model.train(training)
    return means


@torch.no_grad()
def recalibrate(model: nn.Module, batches: Iterable[Tensor]) -> int:
    """Measure the means and variances of all batch norms anew: their average over batches, each weighing the same.

    Args:
        model: Network after a cut; nothing of it learns. It ends in eval mode.
        batches: Batches [B, 3, H, W] of training images on the network's device, some 200.

    Returns:
        How many batches were seen.

    Raises:
        CompressionError: There was none.
    """
    make_batch_norms_exact(model)  # they pass over a batch that has no moments
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    model.eval()
    seen = 0
    try:
        for norm in norms:
            norm.momentum = None  # cumulative
            norm.train()
        for images in batches:
            if not seen:
                for norm in norms:
                    norm.reset_running_stats()
            model(images)
            seen += 1
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        model.eval()
    if not seen:
        raise CompressionError("recalibration", "batches", 0, "give at least one batch of images")
    return seen
