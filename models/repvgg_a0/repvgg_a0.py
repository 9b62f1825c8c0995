"""RepVGG-A0 (Ding et al., CVPR 2021): three branches in training, plain 3x3 convolutions after it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from defectbench.nn.blocks import PredictionLinear
from defectbench.nn.classifier import (
    ChannelSet,
    Classifier,
    Wire,
    build_planned,
    initialise,
    pooled,
)
from defectbench.nn.rep import RepConv

STAGES = (
    (48, 1),
    (48, 2),
    (96, 4),
    (192, 14),
    (1280, 1),
)  # channels, blocks; the first halves the map
LAST = "last"


def _full_widths() -> dict[str, int]:
    channels = [width for width, depth in STAGES for _ in range(depth)]
    names = [f"block{n}" for n in range(1, len(channels))]
    return dict(zip([*names, LAST], channels, strict=True))


def _strides() -> list[int]:
    return [2 if n == 0 else 1 for _, depth in STAGES for n in range(depth)]


class _A0(Classifier):
    """What both forms share: 22 blocks of sets ``block1`` to ``block21`` and ``last``, pooling, one linear layer."""

    full_widths = _full_widths()
    tail = (LAST,)

    def __init__(self, nc: int, widths: Mapping[str, int] | None = None) -> None:
        super().__init__(nc, widths)
        c_in, blocks = 3, []
        for width, stride in zip(self.widths.values(), _strides(), strict=True):
            blocks.append(self._block(c_in, width, stride))
            c_in = width
        self.blocks = nn.Sequential(*blocks)
        self.head = PredictionLinear(c_in, nc)
        initialise(self)

    def _block(self, c_in: int, c_out: int, stride: int) -> nn.Module:
        raise TypeError(f"{type(self).__name__} lacks _block()")

    def forward(self, images: Tensor) -> Tensor:
        return self.head(pooled(self.blocks(images)))


class PlainRepVGGA0(_A0):
    """RepVGG-A0 with its branches merged: 3x3 convolutions with bias and ReLU. Maps are looked at after ReLU."""

    name = "repvgg_a0_plain"

    def _block(self, c_in: int, c_out: int, stride: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(c_in, c_out, 3, stride, 1), nn.ReLU(inplace=True))

    @property
    def channel_sets(self) -> tuple[ChannelSet, ...]:
        return tuple(
            ChannelSet(name, LAST if name == LAST else "block", width, (f"blocks.{n}",))
            for n, (name, width) in enumerate(self.widths.items())
        )

    @property
    def wires(self) -> tuple[Wire, ...]:
        names = list(self.widths)
        wires = [
            Wire(f"blocks.{n}.0", name, names[n - 1] if n else None) for n, name in enumerate(names)
        ]
        return (*wires, Wire("head", None, LAST))


class RepVGGA0(_A0):
    """RepVGG-A0 as it is trained: every block a 3x3, a 1x1 and, where shapes allow, its input, each with BN."""

    name = "repvgg_a0"
    cut_form = PlainRepVGGA0

    def _block(self, c_in: int, c_out: int, stride: int) -> nn.Module:
        return RepConv(c_in, c_out, stride)

    @torch.no_grad()
    def pruning_form(self) -> PlainRepVGGA0:
        """The plain network that computes the same in eval mode; it has no batch norm at all."""
        with torch.device(self.head.weight.device):
            made = PlainRepVGGA0(self.nc, self.widths)
        blocks = [block.folded() for block in self.blocks]  # type: ignore[operator]
        made.blocks.load_state_dict(nn.Sequential(*blocks).state_dict())
        made.head.load_state_dict(self.head.state_dict())
        return made.eval()


def build(nc: int, width: float = 1.0, plan: Mapping[str, Any] | None = None) -> Classifier:
    """Build RepVGG-A0.

    Args:
        nc: Number of classes.
        width: Factor of every width.
        plan: Of a pruned network: its ``network`` and ``widths``.

    Returns:
        The classifier in training form.

    Raises:
        CompressionError: The plan is of another network, or the widths do not fit.
    """
    return build_planned(RepVGGA0, nc, width, plan)
