"""Thin YOLOv4: every width of YOLOv4 times 0.13, trained from scratch.

The control of the compression pipeline (Chen et al., Electronics 2024, 13(2), 253): as large as the network that
pruning leaves of YOLOv4, but never large before. Pieces as in ``models/yolov4``: CSPDarknet53 in
``defectbench.nn.csp_darknet``; SPP, PAN, head, decoding, matching and loss in ``defectbench.nn.yolov4``.
"""

from __future__ import annotations

from defectbench.nn.csp_darknet import Plan
from defectbench.nn.yolov4 import YOLOv4


def build(nc: int, width: float = 0.13) -> YOLOv4:
    """Build thin YOLOv4.

    Args:
        nc: Number of classes.
        width: Factor of all widths; each is rounded to whole channels.

    Returns:
        The detector in training form.

    Example:
        >>> sum(p.numel() for p in build(6).parameters())
        1100632
    """
    return YOLOv4(nc, Plan(width))
