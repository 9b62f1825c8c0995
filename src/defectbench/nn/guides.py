"""Training-only branches that guide the assigner."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .blocks import PredictionConv2d, chosen
from .heads import PRIOR_BIAS
from .nanodet import Guide


class AssignGuide(Guide):
    """The assign guide module of NanoDet-Plus: a second neck and a dense head shared by all levels.

    Args:
        nc: Number of classes.
        neck: The initialised main neck; it is copied.
        width: Channels of one neck's outputs.
        levels: Number of levels.
        bins: Bins of a side's distance.
        precision: ``float32``, or ``bfloat16`` for the dense towers, which cost ten times as much as
            the detector that they train; ``auto`` is settled by the run that trains, and float32 elsewhere.
    """

    def __init__(
        self,
        nc: int,
        neck: nn.Module,
        width: int = 96,
        levels: int = 4,
        bins: int = 8,
        precision: str = "float32",
    ) -> None:
        super().__init__()
        kinds = {"float32": False, "bfloat16": True, "auto": False}
        self.narrow = chosen("guide_precision", precision, kinds)
        self.neck = copy.deepcopy(neck)
        both = 2 * width
        self.class_tower = nn.Sequential(*(_dense(both) for _ in range(4)))
        self.box_tower = nn.Sequential(*(_dense(both) for _ in range(4)))
        self.classes = PredictionConv2d(both, nc, 3, padding=1)
        self.boxes = PredictionConv2d(both, 4 * bins, 3, padding=1)
        self.scales = nn.Parameter(torch.ones(levels))
        for module in (
            *self.class_tower.modules(),
            *self.box_tower.modules(),
            self.classes,
            self.boxes,
        ):
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.01)
        nn.init.constant_(self.classes.bias, PRIOR_BIAS)  # type: ignore[arg-type]
        nn.init.zeros_(self.boxes.bias)  # type: ignore[arg-type]

    def forward(self, features: Sequence[Tensor], neck: Sequence[Tensor], detach: bool) -> Tensor:
        if detach:
            features, neck = [f.detach() for f in features], [n.detach() for n in neck]
        raw = []
        for level, maps in enumerate(zip(neck, self.neck(features), strict=True)):
            x = torch.cat(maps, 1)
            if self.narrow:
                with torch.autocast(x.device.type, torch.bfloat16):
                    classes, boxes = self._towers(x)
            else:
                classes, boxes = self._towers(x)
            boxes = boxes * self.scales[level]
            raw.append(torch.cat((classes, boxes), 1).flatten(2))
        return torch.cat(raw, 2).transpose(1, 2)

    def _towers(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.classes(self.class_tower(x)), self.boxes(self.box_tower(x))


def _dense(width: int) -> nn.Sequential:
    conv = nn.Conv2d(width, width, 3, padding=1, bias=False)
    return nn.Sequential(conv, nn.GroupNorm(32, width), nn.LeakyReLU(0.1, inplace=True))
