"""YOLOv4 (Bochkovskiy, Wang, Liao; arXiv 2004.10934): the base of the compression pipeline.

Base network of Chen et al., Electronics 2024, 13(2), 253, who make it 58 times smaller. Its pieces are shared with its
thin and pruned forms: CSPDarknet53 in ``defectbench.nn.csp_darknet``; SPP, PAN, head, decoding, matching and loss in
``defectbench.nn.yolov4``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from defectbench.nn.csp_darknet import Plan
from defectbench.nn.yolov4 import YOLOv4


def build(nc: int, width: float = 1.0, plan: Mapping[str, Any] | None = None) -> YOLOv4:
    """Build YOLOv4.

    Args:
        nc: Number of classes.
        width: Factor of all widths.
        plan: ``widths`` (channels out by convolution) and ``units`` (kept residual units by stage), as a
            pruned network's ``plan.json`` says.

    Returns:
        The detector in training form.

    Example:
        >>> sum(p.numel() for p in build(80).parameters())
        64363101
    """
    return YOLOv4(nc, Plan(width, **(plan or {})))
