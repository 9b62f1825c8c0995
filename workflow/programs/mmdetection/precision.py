"""Training in bfloat16 on any device; mmengine's own wrapper for it wants a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from mmcv.cnn import ConvModule
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class NarrowOptimWrapper(OptimWrapper):
    """Computes the network under autocast, but for convolutions that predict and what the head makes of them."""

    @contextmanager
    def optim_context(self, model: Any) -> Iterator[None]:
        """One training step's forward pass."""
        device = next(model.parameters()).device.type
        convs = predictors(model.bbox_head)
        for conv in convs:
            conv.forward = partial(predict_widely, conv, device)
        try:
            with super().optim_context(model), torch.autocast(device, torch.bfloat16):
                yield
        finally:
            for conv in convs:
                del conv.forward


def predictors(head: torch.nn.Module) -> list[torch.nn.Conv2d]:
    """Convolutions that no norm or activation follows within their block: those that predict."""
    blocks = (block for block in head.modules() if not isinstance(block, ConvModule))
    return [part for block in blocks for part in block.children() if type(part) is torch.nn.Conv2d]


def predict_widely(conv: torch.nn.Conv2d, device: str, features: torch.Tensor) -> torch.Tensor:
    """A prediction that is computed in float32, not only handed on so."""
    with torch.autocast(device, enabled=False):
        return type(conv).forward(conv, features.float())
