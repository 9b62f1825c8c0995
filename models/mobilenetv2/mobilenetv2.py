"""MobileNetV2, width 1.0 (Sandler et al., CVPR 2018).

Modules are named as in torchvision's ``mobilenet_v2``, so that its weights load by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from defectbench.nn.blocks import PredictionLinear
from defectbench.nn.classifier import (
    ChannelSet,
    Classifier,
    Wire,
    build_planned,
    conv_bn,
    initialise,
    pooled,
)
from defectbench.nn.mobilenet import BLOCKS, LAST, STEM, feature_layers, full_widths


class MobileNetV2(Classifier):
    """MobileNetV2.

    Sets are ``stem``, ``expand2`` to ``expand17`` (role ``mid``), ``chain1`` to ``chain7`` (role ``out``), ``last``.
    A widening convolution and its depthwise one share a set, looked at after the depthwise one; so do the stem and
    the depthwise convolution of the first block, which widens nothing. The projections of a chain of residuals share
    a set, looked at after each projection's batch norm.
    """

    name = "mobilenet_v2"
    full_widths = full_widths()

    def __init__(self, nc: int, widths: Mapping[str, int] | None = None) -> None:
        super().__init__(nc, widths)
        self.features = feature_layers(self.widths)
        self.classifier = nn.Sequential(nn.Dropout(0.2), PredictionLinear(self.widths[LAST], nc))
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(pooled(self.features(images)))

    @property
    def channel_sets(self) -> tuple[ChannelSet, ...]:
        taps: dict[str, tuple[str, ...]] = {}
        for block in BLOCKS:
            depthwise = int(
                block.expands
            )  # place in the block; the projection's norm is two further
            taps[block.middle] = (f"features.{block.number}.conv.{depthwise}",)
            projected = f"features.{block.number}.conv.{depthwise + 2}"
            taps[block.writes] = (*taps.get(block.writes, ()), projected)
        taps[LAST] = (f"features.{len(BLOCKS) + 1}",)
        return tuple(
            ChannelSet(name, _role(name), self.widths[name], taps[name]) for name in self.widths
        )

    @property
    def wires(self) -> tuple[Wire, ...]:
        wires = [*conv_bn("features.0.0", "features.0.1", STEM, None)]
        for block in BLOCKS:
            head, place = f"features.{block.number}.conv", int(block.expands)
            if block.expands:
                wires += conv_bn(f"{head}.0.0", f"{head}.0.1", block.middle, block.reads)
            wires += conv_bn(f"{head}.{place}.0", f"{head}.{place}.1", block.middle, None)
            projection = f"{head}.{place + 1}", f"{head}.{place + 2}"
            wires += conv_bn(*projection, block.writes, block.middle)
        end = f"features.{len(BLOCKS) + 1}"
        wires += conv_bn(f"{end}.0", f"{end}.1", LAST, BLOCKS[-1].writes)
        return (*wires, Wire("classifier.1", None, LAST))


def _role(name: str) -> str:
    return {"expand": "mid", "chain": "out"}.get(name.rstrip("0123456789"), name)


def build(nc: int, width: float = 1.0, plan: Mapping[str, Any] | None = None) -> Classifier:
    """Build MobileNetV2.

    Args:
        nc: Number of classes.
        width: Factor of every width.
        plan: Of a pruned network: its ``network`` and ``widths``.

    Returns:
        The classifier in training form.

    Raises:
        CompressionError: The plan is of another network, or the widths do not fit.
    """
    return build_planned(MobileNetV2, nc, width, plan)
