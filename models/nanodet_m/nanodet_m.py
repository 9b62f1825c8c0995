"""NanoDet-m (RangiLyu, 2020): ShuffleNetV2 1.0x, a PAN without convolutions, separable head, ATSS.

The reference loads ImageNet weights into the backbone; here it is trained from scratch like all others.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from defectbench.nn.assigners import Assignment
from defectbench.nn.boxes import EPS
from defectbench.nn.detector import Targets
from defectbench.nn.heads import NanoDetPlusHead
from defectbench.nn.nanodet import Learning, NanoDetFamily
from defectbench.nn.necks import bilinear_like
from defectbench.nn.shufflenet import ShuffleNetV2

from .atss import adaptive_selection

STRIDES = (8, 16, 32)

# --- neck -----------------------------------------------------------------------------------------


class PAN(nn.Module):
    """Path aggregation by resized sums only: 1x1 laterals with bias, without BN and activation.

    Args:
        widths: Channels of the three inputs.
        width: Channels of the three outputs.
    """

    def __init__(self, widths: Sequence[int], width: int = 96) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(c, width, 1) for c in widths)
        for conv in self.laterals:
            nn.init.xavier_uniform_(conv.weight)  # type: ignore[arg-type]
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        maps = [conv(x) for conv, x in zip(self.laterals, features, strict=True)]
        levels = range(len(maps))
        for fine, coarse in reversed(list(pairwise(levels))):
            maps[fine] = maps[fine] + bilinear_like(maps[coarse], maps[fine])
        for fine, coarse in pairwise(levels):
            maps[coarse] = maps[coarse] + bilinear_like(maps[fine], maps[coarse])
        return maps


# --- build ----------------------------------------------------------------------------------------


def assign(
    _logits: Tensor, boxes: Tensor, priors: Tensor, targets: Targets, sizes: Sequence[int]
) -> Assignment:
    """ATSS of priors [P, 3], which looks at their places and not at the logits [B, P, C]."""
    return adaptive_selection(boxes, priors, targets, sizes)


def build(nc: int) -> NanoDetFamily:
    """Build NanoDet-m.

    The 1x1 convolution for separate box bins, which the reference creates on each level and never
    runs (9,312 parameters), is not there.

    Args:
        nc: Number of classes.

    Returns:
        The detector in training form.

    Example:
        >>> sum(p.numel() for p in build(6).parameters())
        928502
    """
    backbone = ShuffleNetV2()
    head = NanoDetPlusHead(nc, levels=len(STRIDES), kernel=3)
    # Box terms are divided by the plain sum of their weights: the floor only keeps it from zero.
    # GIoU is taken in pixels; the reference divides boxes by the stride, which leaves GIoU as it is.
    learning = Learning(assign, "qfl", least_weight=EPS)
    return NanoDetFamily(
        nc, backbone, PAN(backbone.widths), head, strides=STRIDES, offset=0.5, learning=learning
    )
