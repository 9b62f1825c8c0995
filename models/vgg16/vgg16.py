"""VGG-16 with a small head. The network stands in ``defectbench.nn.vgg``, which the compression track shares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from defectbench.nn.classifier import Classifier
from defectbench.nn.classifiers import build_planned


def build(nc: int, width: float = 1.0, plan: Mapping[str, Any] | None = None) -> Classifier:
    """Build VGG-16.

    Args:
        nc: Number of classes.
        width: Factor of every width.
        plan: Of a pruned network: its ``network`` and ``widths``.

    Returns:
        The classifier in training form.

    Raises:
        ConfigError: The plan names no network.
        CompressionError: The widths do not fit.
    """
    return build_planned("vgg16", nc, width, plan)
