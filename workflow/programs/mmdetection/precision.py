"""Training in bfloat16 on any device; mmengine's own wrapper for it wants a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class NarrowOptimWrapper(OptimWrapper):
    """Computes the network under autocast; assigners and losses are given float32."""

    @contextmanager
    def optim_context(self, model: Any) -> Iterator[None]:
        """One training step's forward pass."""
        device = next(model.parameters()).device.type
        hook = model.bbox_head.register_forward_hook(lambda head, taken, given: widened(given))
        try:
            with super().optim_context(model), torch.autocast(device, torch.bfloat16):
                yield
        finally:
            hook.remove()


def widened(given: Any) -> Any:
    """Tensors, or tuples and lists of them, in float32."""
    if torch.is_tensor(given):
        return given.float()
    return type(given)(widened(part) for part in given)
