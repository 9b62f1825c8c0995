"""VGG-16 with batch norm and a small head, as collaborative filter pruning uses it.

Simonyan & Zisserman, ICLR 2015. Thirteen 3x3 convolutions with bias and BN, four poolings (none after the last
convolution), global average pooling, then 512-512-K instead of the 4096-wide head. Convolutions and norms are named
as in torchvision's ``vgg16_bn``, so that its weights load by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
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

WIDTHS = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
BEFORE_POOLING = (2, 4, 7, 10)  # numbers of convolutions, from 1
HIDDEN = "hidden"
CONVS = tuple(f"conv{number}" for number in range(1, 14))


class VGG16(Classifier):
    """VGG-16: sets ``conv1`` to ``conv13`` and ``hidden``, the head's hidden layer.

    A map is looked at after ReLU, or after the pooling that follows it. The hidden layer is as wide as conv 13 where
    a plan of rates says nothing else.
    """

    name = "vgg16"
    full_widths = {**dict(zip(CONVS, WIDTHS, strict=True)), HIDDEN: 512}  # noqa: RUF012
    tail = (CONVS[-1], HIDDEN)

    def __init__(self, nc: int, widths: Mapping[str, int] | None = None) -> None:
        super().__init__(nc, widths)
        layers: list[nn.Module] = []
        c_in = 3
        for number, name in enumerate(CONVS, 1):
            width = self.widths[name]
            layers += [
                nn.Conv2d(c_in, width, 3, padding=1),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
            ]
            if number in BEFORE_POOLING:
                layers.append(nn.MaxPool2d(2))
            c_in = width
        self.features = nn.Sequential(*layers)
        hidden = self.widths[HIDDEN]
        self.head = nn.Sequential(
            nn.Linear(c_in, hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(inplace=True),
            PredictionLinear(hidden, nc),
        )
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(pooled(self.features(images)))

    @property
    def channel_sets(self) -> tuple[ChannelSet, ...]:
        sets = []
        for number, (name, place) in enumerate(self._places(), 1):
            tap = place + (3 if number in BEFORE_POOLING else 2)
            sets.append(ChannelSet(name, "conv", self.widths[name], (f"features.{tap}",)))
        hidden = ChannelSet(HIDDEN, HIDDEN, self.widths[HIDDEN], ("head.2",), CONVS[-1])
        return (*sets, hidden)

    @property
    def wires(self) -> tuple[Wire, ...]:
        wires: list[Wire] = []
        for (before, _), (name, place) in pairwise([(None, 0), *self._places()]):
            assert name
            wires += conv_bn(f"features.{place}", f"features.{place + 1}", name, before)
        return (
            *wires,
            *conv_bn("head.0", "head.1", HIDDEN, CONVS[-1]),
            Wire("head.3", None, HIDDEN),
        )

    def _places(self) -> list[tuple[str, int]]:
        """Each convolution's set and its place in ``features``."""
        places = [n for n, layer in enumerate(self.features) if isinstance(layer, nn.Conv2d)]
        return list(zip(CONVS, places, strict=True))


def build(nc: int, width: float = 1.0, plan: Mapping[str, Any] | None = None) -> Classifier:
    """Build VGG-16.

    Args:
        nc: Number of classes.
        width: Factor of every width.
        plan: Of a pruned network: its ``network`` and ``widths``.

    Returns:
        The classifier in training form.

    Raises:
        CompressionError: The plan is of another network, or the widths do not fit.
    """
    return build_planned(VGG16, nc, width, plan)
