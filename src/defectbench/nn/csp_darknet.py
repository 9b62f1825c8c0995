"""CSPDarknet53 with widths and residual units by a plan: the backbone of YOLOv4, whole, thin or pruned.

Names in a plan are those of the modules of the whole detector.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .blocks import ConvBlock, outputs_of
from .plan import Plan


class Convs(nn.Sequential):
    """Convolutions one after the other; kernels alternate 1, 3, 1, ... from ``first``."""

    def __init__(
        self, plan: Plan, name: str, c_in: int, widths: Sequence[int], first: int = 1
    ) -> None:
        layers = []
        for n, paper in enumerate(widths):
            c_out = plan.channels(f"{name}.{n}", paper)
            layers.append(ConvBlock(c_in, c_out, first if n % 2 == 0 else 4 - first))
            c_in = c_out
        super().__init__(*layers)
        self.c_out = c_in


class ResidualUnit(nn.Module):
    """Residual unit: x + 3x3(1x1(x)), Mish."""

    def __init__(self, plan: Plan, name: str, channels: int, hidden: int) -> None:
        super().__init__()
        hidden = plan.channels(f"{name}.reduce", hidden)
        self.reduce = ConvBlock(channels, hidden, act="mish")
        self.expand = ConvBlock(hidden, channels, 3, act="mish")

    def forward(self, x: Tensor) -> Tensor:
        return x + self.expand(self.reduce(x))


class CSPStage(nn.Module):
    """A CSP stage of CSPDarknet53; stage 1 keeps its full width in both branches."""

    def __init__(self, plan: Plan, number: int, c_in: int, width: int, count: int) -> None:
        super().__init__()
        name, half = f"backbone.stages.{number - 1}", width if number == 1 else width // 2

        def conv(part: str, c_in: int, paper: int, kernel: int = 1, stride: int = 1) -> ConvBlock:
            return ConvBlock(
                c_in, plan.channels(f"{name}.{part}", paper), kernel, stride, act="mish"
            )

        self.down = conv("down", c_in, width, 3, 2)
        wide = channels_out(self.down)
        self.short, self.main = conv("short", wide, half), conv("main", wide, half)
        chain = channels_out(self.main)
        kept = plan.kept(name, count)
        self.units = nn.ModuleDict(
            {str(n): ResidualUnit(plan, f"{name}.units.{n}", chain, width // 2) for n in kept}
        )
        self.trans = conv("trans", chain, half)
        self.out = conv("out", channels_out(self.trans) + channels_out(self.short), width)
        self.c_out = channels_out(self.out)

    def forward(self, x: Tensor) -> Tensor:
        x = self.down(x)
        y = self.main(x)
        for unit in self.units.values():
            y = unit(y)
        return self.out(torch.cat((self.trans(y), self.short(x)), 1))


class CSPDarknet53(nn.Module):
    """Five CSP stages with Mish; outputs at strides 8, 16 and 32."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        c_in = plan.channels("backbone.stem", 32)
        self.stem = ConvBlock(3, c_in, 3, act="mish")
        stages = []
        for number, (width, count) in enumerate(
            zip((64, 128, 256, 512, 1024), (1, 2, 8, 8, 4), strict=True), 1
        ):
            stages.append(CSPStage(plan, number, c_in, width, count))
            c_in = stages[-1].c_out
        self.stages = nn.ModuleList(stages)
        self.widths = [stage.c_out for stage in stages[-3:]]

    def forward(self, x: Tensor) -> list[Tensor]:
        return outputs_of(self.stages, self.stem(x))[-3:]


def channels_out(block: ConvBlock) -> int:
    """Channels out of a block."""
    return block[0].out_channels  # type: ignore[return-value]
