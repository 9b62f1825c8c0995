"""YOLOv4 (Bochkovskiy, Wang, Liao; arXiv 2004.10934): the base of the compression pipeline.

Base network of Chen et al., Electronics 2024, 13(2), 253, who make it 58 times smaller. Its pieces are shared with its
thin and pruned forms: CSPDarknet53 in ``defectbench.nn.csp_darknet``; SPP, PAN, head, decoding, matching and loss in
``defectbench.nn.yolov4``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from defectbench.nn.plan import Plan
from defectbench.nn.yolov4 import YOLOv4


def build(
    nc: int, width: float = 1.0, plan: Mapping[str, Any] | None = None, kd: str = "none"
) -> YOLOv4:
    """Build YOLOv4.

    Args:
        nc: Number of classes.
        width: Factor of all widths.
        plan: Of a pruned network, as its ``plan.json`` says: channels out by convolution, kept residual units
            by stage.
        kd: Loss of a distillation: ``none``, ``chen2017`` (that of the public tools) or ``bernoulli`` (ours).

    Returns:
        The detector in training form.

    Raises:
        ConfigError: There is no such loss.
        CompressionError: The plan does not fit.

    Example:
        >>> sum(p.numel() for p in build(80).parameters())
        64363101
    """
    asked = Plan(width, **(plan or {}))
    model = YOLOv4(nc, asked, kd)
    asked.check(model)
    return model
