"""Thin YOLOv4: every width of YOLOv4 times 0.13, trained from scratch.

The control of the compression pipeline (Chen et al., Electronics 2024, 13(2), 253): as large as the network that
pruning leaves of YOLOv4, but never large before. Pieces as in ``models/yolov4``: CSPDarknet53 in
``defectbench.nn.csp_darknet``; SPP, PAN, head, decoding, matching and loss in ``defectbench.nn.yolov4``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from defectbench.nn.plan import Plan
from defectbench.nn.yolov4 import YOLOv4


def build(
    nc: int, width: float = 0.13, plan: Mapping[str, Any] | None = None, kd: str = "none"
) -> YOLOv4:
    """Build thin YOLOv4.

    Args:
        nc: Number of classes.
        width: Factor of all widths; each is rounded to whole channels.
        plan: Of a pruned network, as its ``plan.json`` says.
        kd: Loss of a distillation: ``none``, ``chen2017`` or ``bernoulli``; see ``models/yolov4``.

    Returns:
        The detector in training form.

    Raises:
        ConfigError: There is no such loss.
        CompressionError: The plan does not fit.

    Example:
        >>> sum(p.numel() for p in build(6).parameters())
        1100632
    """
    asked = Plan(width, **(plan or {}))
    model = YOLOv4(nc, asked, kd)
    asked.check(model)
    return model
