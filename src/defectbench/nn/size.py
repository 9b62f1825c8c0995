"""How much is stored of a network, as the papers of compression count it."""

from __future__ import annotations

from torch import nn

MIB = 2**20


def stored_mib(model: nn.Module) -> float:
    """MiB of what is stored of a network in float32: parameters, means and variances of batch norms.

    The definition behind the published 244 M and 4.19 M of Chen et al., Electronics 2024. What the network names
    ``training_only`` is not deployed and does not count.
    """
    aside = getattr(model, "training_only", ())
    parts = [part for name, part in model.named_children() if name not in aside]
    floats = sum(p.numel() for p in model.parameters(recurse=False))
    floats += sum(p.numel() for part in parts for p in part.parameters())
    modules = [model, *(module for part in parts for module in part.modules())]
    norms = sum(m.num_features for m in modules if isinstance(m, nn.BatchNorm2d))
    return 4 * (floats + 2 * norms) / MIB
