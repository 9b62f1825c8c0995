"""YOLOv8n (Jocher et al., 2023) in this engine: C2f backbone, path-aggregation neck, decoupled head, TAL.

Written from the published layout and counts, as the yardstick that shows what the engine itself adds or
takes. Layout and losses are the same in versions 8.0 to 8.4; 8.4 lets a thin box take the priors of one
with sides of 16 pixels, which is the default here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from defectbench.nn.blocks import outputs_of
from defectbench.nn.task_aligned import TaskAlignedDetector, planned
from defectbench.nn.yolo import SPPF, C2f, DecoupledHead, YoloPAN, conv_silu, residual_convs

# --- backbone -------------------------------------------------------------------------------------


class Backbone(nn.Module):
    """Five halvings, C2f with shortcuts behind the last four, pooling at the end; maps at strides 8, 16, 32."""

    widths = (64, 128, 256)
    depths = (2, 2, 1)

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            conv_silu(3, 16, 3, 2), conv_silu(16, 32, 3, 2), C2f(32, 32, residual_convs)
        )
        stages, c_in = [], 32
        for width, depth in zip(self.widths, self.depths, strict=True):
            halve, block = conv_silu(c_in, width, 3, 2), C2f(width, width, residual_convs, depth)
            stages.append(nn.Sequential(halve, block))
            c_in = width
        stages[-1].append(SPPF(c_in, c_in))
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> list[Tensor]:
        return outputs_of(self.stages, self.stem(x))


# --- build ----------------------------------------------------------------------------------------


def build(
    nc: int,
    box_loss: str = "ciou",
    least_side: float = 16.0,
    plan: Mapping[str, Any] | None = None,
    kd: str = "none",
) -> TaskAlignedDetector:
    """Build YOLOv8n.

    Args:
        nc: Number of classes.
        box_loss: ``ciou`` or ``focal_eiou``.
        least_side: A box with shorter sides takes priors as if they were this long, pixels: 16 as in version
            8.4, 0 as before.
        plan: Of a pruned network, as its ``plan.json`` says.
        kd: How a pruned network learns from its whole form: ``none`` or ``ekl`` (enhanced KL).

    Returns:
        The detector in training form.

    Raises:
        ConfigError: There is no such box loss or way of teaching.
        CompressionError: The plan does not fit.
    """

    def whole() -> TaskAlignedDetector:
        backbone = Backbone()
        neck = YoloPAN(backbone.widths, backbone.widths)
        head = DecoupledHead(nc, backbone.widths)
        return TaskAlignedDetector(nc, backbone, neck, head, box_loss, least_side=least_side, kd=kd)

    return planned(whole, plan)
