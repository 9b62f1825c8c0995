"""MobileNetV2, width 1.0 (Sandler et al., CVPR 2018).

Modules are named as in torchvision's ``mobilenet_v2``, so that its weights load by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from defectbench.nn.blocks import ConvBlock, PredictionLinear
from defectbench.nn.classifier import (
    ChannelSet,
    Classifier,
    Wire,
    build_planned,
    conv_bn,
    initialise,
    pooled,
)

STEM, LAST = "stem", "last"
CHAINS = (  # expansion, channels, blocks, stride of the first: table 2 of the paper
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
STEM_WIDTH, LAST_WIDTH = 32, 1280


@dataclass(frozen=True)
class _Block:
    """One inverted residual: its place in ``features``, the sets it reads, widens to and writes."""

    number: int
    reads: str
    middle: str
    writes: str
    stride: int
    adds: bool

    @property
    def expands(self) -> bool:
        return self.middle != self.reads


def _blocks() -> Iterator[_Block]:
    before, number = STEM, 1
    for chain, (expansion, _, count, first_stride) in enumerate(CHAINS, 1):
        for n in range(count):
            middle = before if expansion == 1 else f"expand{number}"
            stride = first_stride if n == 0 else 1
            yield _Block(number, before, middle, f"chain{chain}", stride, n > 0)
            before, number = f"chain{chain}", number + 1


BLOCKS = tuple(_blocks())


def _full_widths() -> dict[str, int]:
    widths = {STEM: STEM_WIDTH}
    for block in BLOCKS:
        expansion, channels = CHAINS[int(block.writes.removeprefix("chain")) - 1][:2]
        widths.setdefault(block.middle, expansion * widths[block.reads])
        widths[block.writes] = channels
    return {**widths, LAST: LAST_WIDTH}


class InvertedResidual(nn.Module):
    """1x1 that widens, depthwise 3x3, 1x1 without activation; plus the input where ``adds``.

    Args:
        c_in: Channels in.
        middle: Channels of the depthwise convolution.
        c_out: Channels out.
        stride: Of the depthwise convolution.
        expands: Whether there is a widening 1x1; without it ``middle`` is ``c_in``.
        adds: Whether the input is added; then ``c_out`` is ``c_in`` and the stride 1.
    """

    def __init__(
        self, c_in: int, middle: int, c_out: int, stride: int, expands: bool, adds: bool
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [ConvBlock(c_in, middle, act="relu6")] if expands else []
        layers += [
            ConvBlock(middle, middle, 3, stride, middle, "relu6"),
            nn.Conv2d(middle, c_out, 1, bias=False),
            nn.BatchNorm2d(c_out),
        ]
        self.conv = nn.Sequential(*layers)
        self.adds = adds

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.adds else self.conv(x)


class MobileNetV2(Classifier):
    """MobileNetV2.

    Sets are ``stem``, ``expand2`` to ``expand17`` (role ``mid``), ``chain1`` to ``chain7`` (role ``out``), ``last``.
    A widening convolution and its depthwise one share a set, looked at after the depthwise one; so do the stem and
    the depthwise convolution of the first block, which widens nothing. The projections of a chain of residuals share
    a set, looked at after each projection's batch norm.
    """

    name = "mobilenet_v2"
    full_widths = _full_widths()

    def __init__(self, nc: int, widths: Mapping[str, int] | None = None) -> None:
        super().__init__(nc, widths)
        layers: list[nn.Module] = [ConvBlock(3, self.widths[STEM], 3, 2, act="relu6")]
        for block in BLOCKS:
            reads, middle, writes = (
                self.widths[name] for name in (block.reads, block.middle, block.writes)
            )
            layers.append(
                InvertedResidual(reads, middle, writes, block.stride, block.expands, block.adds)
            )
        last = self.widths[LAST]
        layers.append(ConvBlock(self.widths[BLOCKS[-1].writes], last, act="relu6"))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(0.2), PredictionLinear(last, nc))
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
