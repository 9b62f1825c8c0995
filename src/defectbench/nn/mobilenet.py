"""MobileNetV2's layers (Sandler et al., CVPR 2018), which a classifier and a scorer of patches share.

Modules are named as in torchvision's ``mobilenet_v2``, so that its weights load by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from .blocks import ConvBlock

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
class ResidualPlace:
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


def _blocks() -> Iterator[ResidualPlace]:
    before, number = STEM, 1
    for chain, (expansion, _, count, first_stride) in enumerate(CHAINS, 1):
        for n in range(count):
            middle = before if expansion == 1 else f"expand{number}"
            stride = first_stride if n == 0 else 1
            yield ResidualPlace(number, before, middle, f"chain{chain}", stride, n > 0)
            before, number = f"chain{chain}", number + 1


BLOCKS = tuple(_blocks())


def full_widths() -> dict[str, int]:
    """Published width of every set of channels, in the order of the network."""
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


def feature_layers(widths: Mapping[str, int]) -> nn.Sequential:
    """The layers before the classifier, ``features`` of torchvision: a stem, 17 inverted residuals, a last 1x1.

    Args:
        widths: Channels by set, as of ``full_widths``.
    """
    layers: list[nn.Module] = [ConvBlock(3, widths[STEM], 3, 2, act="relu6")]
    for block in BLOCKS:
        reads, middle, writes = (widths[name] for name in (block.reads, block.middle, block.writes))
        layers.append(
            InvertedResidual(reads, middle, writes, block.stride, block.expands, block.adds)
        )
    layers.append(ConvBlock(widths[BLOCKS[-1].writes], widths[LAST], act="relu6"))
    return nn.Sequential(*layers)
