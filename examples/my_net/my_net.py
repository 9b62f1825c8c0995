"""My net: strided convolutions and the head of NanoDet-Plus. Made to be copied, not to win."""

from itertools import pairwise

from torch import Tensor, nn

from defectbench.nn.blocks import ConvBlock, outputs_of, separable
from defectbench.nn.heads import NanoDetPlusHead
from defectbench.nn.nanodet import NanoDetFamily

WIDTHS, WIDTH, STRIDES = (24, 32, 64, 128), 64, (8, 16, 32)


class Backbone(nn.Module):
    """Images [B, 3, H, W] to three maps of one width at strides 8, 16 and 32."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(ConvBlock(3, 16, 3, 2), separable(16, WIDTHS[0], 3, 2))
        steps = (
            nn.Sequential(separable(a, b, 3, 2), separable(b, b, 3)) for a, b in pairwise(WIDTHS)
        )
        self.stages = nn.ModuleList(steps)
        self.laterals = nn.ModuleList(ConvBlock(width, WIDTH) for width in WIDTHS[1:])

    def forward(self, images: Tensor) -> list[Tensor]:
        maps = outputs_of(self.stages, self.stem(images))
        return [lateral(x) for lateral, x in zip(self.laterals, maps, strict=True)]


def build(nc: int) -> NanoDetFamily:
    """Build my net for `nc` classes."""
    head = NanoDetPlusHead(nc, WIDTH, levels=len(STRIDES))
    return NanoDetFamily(nc, Backbone(), nn.Identity(), head, strides=STRIDES)
