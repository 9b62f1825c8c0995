"""Training in bfloat16 on any device; mmengine's own wrapper for it wants a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmcv.cnn import ConvModule
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class NarrowOptimWrapper(OptimWrapper):
    """Computes the network under autocast; what the head makes of its predictions is computed in float32."""

    @contextmanager
    def optim_context(self, model: Any) -> Iterator[None]:
        """One training step's forward pass."""
        device = next(model.parameters()).device.type
        hooks = [conv.register_forward_hook(widen) for conv in predictors(model.bbox_head)]
        try:
            with super().optim_context(model), torch.autocast(device, torch.bfloat16):
                yield
        finally:
            for hook in hooks:
                hook.remove()


def predictors(head: torch.nn.Module) -> list[torch.nn.Conv2d]:
    """Convolutions that no norm or activation follows within their block: those that predict."""
    blocks = (block for block in head.modules() if not isinstance(block, ConvModule))
    return [part for block in blocks for part in block.children() if type(part) is torch.nn.Conv2d]


def widen(conv: torch.nn.Conv2d, taken: Any, given: torch.Tensor) -> torch.Tensor:
    """Hand on a prediction in float32."""
    return given.float()
