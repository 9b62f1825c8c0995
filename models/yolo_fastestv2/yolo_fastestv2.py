"""YOLO-FastestV2 (dog-qiuqiu, 2021): a small ShuffleNetV2, two levels, anchors, a head shared by the levels.

Anchors are clustered from the training part. The reference starts from a backbone trained before; here it is
trained from scratch like all others. Its images are BGR, here RGB.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from defectbench.nn.anchor_matching import match_cells, shape_ratio
from defectbench.nn.anchors import anchor_quality, cluster_anchors
from defectbench.nn.blocks import ConvBlock, PredictionConv2d
from defectbench.nn.boxes import complete_iou
from defectbench.nn.detector import (
    Detector,
    Targets,
    clip_boxes,
    grid_priors,
    level_sizes,
    total_of,
)
from defectbench.nn.heads import join_levels
from defectbench.nn.shufflenet import fastest_shufflenet
from defectbench.nn.waiting import mark

ACT = "relu"
# For COCO at 352 px: what a detector has until it is fitted to a training part
COCO_ANCHORS = (
    ((12.64, 19.39), (37.88, 51.48), (55.71, 138.31)),
    ((126.91, 78.23), (131.57, 214.55), (279.92, 258.87)),
)
LARGEST_RATIO = 2.0  # of the sides of a box and an anchor that learns it
BOX_GAIN, OBJECT_GAIN, CLASS_GAIN = 3.2, 64.0, 32.0
LEVEL_GAINS = (1.0, 0.4)  # of the objectness loss
IGNORED = -100  # label of a pair that does not count

# --- blocks ---------------------------------------------------------------------------------------


def tower(width: int) -> nn.Sequential:
    """Two depthwise 5x5 with activation, each with a pointwise 1x1 without."""
    layers = []
    for _ in range(2):
        layers.append(ConvBlock(width, width, 5, groups=width, act=ACT))
        layers.append(ConvBlock(width, width, act="none"))
    return nn.Sequential(*layers)


# --- neck -----------------------------------------------------------------------------------------


class LightFPN(nn.Module):
    """A map at stride 16 and one at 32, and of each a map for classes and one for boxes.

    The finer map sees the backbone's coarsest one as it is, enlarged, and not the narrowed one.

    Args:
        widths: Channels at strides 16 and 32.
        width: Channels of the outputs.
    """

    def __init__(self, widths: Sequence[int], width: int = 72) -> None:
        super().__init__()
        self.enter = nn.ModuleList(
            (ConvBlock(sum(widths), width, act=ACT), ConvBlock(widths[-1], width, act=ACT))
        )
        self.class_towers = nn.ModuleList(tower(width) for _ in widths)
        self.box_towers = nn.ModuleList(tower(width) for _ in widths)

    def forward(self, features: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
        """Of maps [B, C, H, W], finest first: a pair (for classes, for boxes) of maps [B, 72, H, W] each."""
        fine, coarse = features
        up = F.interpolate(coarse, size=fine.shape[-2:], mode="nearest")
        inputs = (torch.cat((up, fine), 1), coarse)
        maps = [enter(x) for enter, x in zip(self.enter, inputs, strict=True)]
        towers = zip(self.class_towers, self.box_towers, maps, strict=True)
        return [(classes(x), boxes(x)) for classes, boxes, x in towers]


# --- head -----------------------------------------------------------------------------------------


class SharedHead(nn.Module):
    """1x1 convolutions shared by the levels: boxes, objectness (from the class map) and classes.

    Args:
        nc: Number of classes; one class vector a cell, not one an anchor.
        anchors: Anchors a cell.
        width: Channels in.
    """

    def __init__(self, nc: int, anchors: int = 3, width: int = 72) -> None:
        super().__init__()
        self.boxes = PredictionConv2d(width, 4 * anchors, 1)
        self.objectness = PredictionConv2d(width, anchors, 1)
        self.classes = PredictionConv2d(width, nc, 1)

    def forward(self, levels: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        """Raw output [B, cells, 5 * anchors + nc], levels one after the other."""
        maps = [
            torch.cat((self.boxes(b), self.objectness(c), self.classes(c)), 1) for c, b in levels
        ]
        return join_levels(maps)


def place_boxes(raw: Tensor, points: Tensor, stride: Tensor, anchors: Tensor) -> Tensor:
    """Boxes [..., 4] in pixels, as YOLOv5 has them: up to a cell off the cell's centre, up to 4 anchors wide.

    Args:
        raw: [..., 4].
        points: Centres of cells, [..., 2], pixels.
        stride: [..., 1], pixels.
        anchors: [..., 2], pixels.
    """
    share = 2 * raw.sigmoid()
    centre, half = points + (share[..., :2] - 1) * stride, share[..., 2:].square() * anchors / 2
    return torch.cat((centre - half, centre + half), -1)


# --- build ----------------------------------------------------------------------------------------


class YOLOFastestV2(Detector):
    """Backbone -> neck -> head at strides 16 and 32 with three anchors each.

    Raw output [B, cells, 5 * 3 + nc]: boxes, objectness, classes. The artifact has three rows a cell.
    """

    strides = (16, 32)
    anchors: Tensor

    def __init__(self, nc: int) -> None:
        super().__init__()
        self.nc = nc
        self.register_buffer("anchors", torch.tensor(COCO_ANCHORS))  # [L, A, 2], pixels
        self.backbone = fastest_shufflenet()
        self.neck = LightFPN(self.backbone.widths[1:])
        self.head = SharedHead(nc, self.anchors.shape[1])

    def fit_to(self, boxes: Tensor, seed: int) -> None:
        """Cluster the anchors from boxes [N, 4] of the training part, pixels; without a box they stay."""
        if len(boxes):
            sides = boxes[:, 2:] - boxes[:, :2]
            anchors = cluster_anchors(sides, self.anchors.shape[:2].numel(), seed)
            self.anchors.copy_(anchors.view_as(self.anchors))

    def facts(self, boxes: Tensor) -> dict[str, float]:
        figures = anchor_quality(boxes[:, 2:] - boxes[:, :2], self.anchors.flatten(0, 1))
        if len(boxes):  # other boxes have sides unlike all anchors: none learns them
            targets = Targets(boxes.unsqueeze(0), torch.zeros(1, len(boxes), dtype=torch.long))
            learnt = (shape_ratio(targets, self.anchors) < LARGEST_RATIO).flatten(2).any(-1)
            figures["boxes_learnt_share"] = round(float(learnt.double().mean()), 4)
        return figures

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.neck(self.backbone(images)[1:]))

    def loss(self, images: Tensor, targets: Targets, epoch: int) -> dict[str, Tensor]:
        raw = self.forward(images).float()
        return total_of(self.losses(raw, targets, *images.shape[-2:]))

    def phase(self, epoch: int) -> Hashable:
        """The same loss in every epoch."""
        return "all"

    def losses(self, raw: Tensor, targets: Targets, height: int, width: int) -> dict[str, Tensor]:
        """1 - CIoU and class of the pairs, objectness of all anchors; means of the levels, summed.

        Args:
            raw: [B, cells, 5 * A + nc].
            targets: Truth.
            height: Of the images, pixels.
            width: Of the images, pixels.
        """
        fits = shape_ratio(targets, self.anchors) < LARGEST_RATIO
        matches = match_cells(fits, targets, height, width, self.strides)
        priors = self.priors_of(height, width, raw.device)
        boxes, objectness, classes = self._split(raw)
        wanted = torch.zeros_like(objectness)
        for m in matches:
            mark(wanted, (m.image, m.cell, m.anchor), m.rows)
        error = F.binary_cross_entropy_with_logits(objectness, wanted, reduction="none")
        levels = zip(
            error.split(level_sizes(height, width, self.strides), 1), LEVEL_GAINS, strict=True
        )
        objects = torch.stack([gain * level.mean() for level, gain in levels]).sum()
        ciou, ce = raw.new_zeros(()), raw.new_zeros(())
        for m, anchors in zip(matches, self.anchors, strict=True):
            where, count = priors[m.cell], m.rows.count(m.cell)
            offsets = boxes[m.image, m.cell, m.anchor]
            placed = place_boxes(offsets, where[:, :2], where[:, 2:], anchors[m.anchor])
            apart = 1 - complete_iou(placed, targets.boxes[m.image, m.box])
            ciou = ciou + m.rows.only(apart).sum() / count
            label, logits = targets.labels[m.image, m.box], classes[m.image, m.cell]
            label = m.rows.only(label, IGNORED)
            ce = ce + F.cross_entropy(logits, label, ignore_index=IGNORED, reduction="sum") / (
                count * self.nc
            )
        return {"ciou": BOX_GAIN * ciou, "obj": OBJECT_GAIN * objects, "ce": CLASS_GAIN * ce}

    def decode(self, raw: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
        boxes, objectness, classes = self._split(raw)
        priors = grid_priors(height, width, self.strides, self.offset, raw.device).unsqueeze(1)
        levels = zip(self.anchors, level_sizes(height, width, self.strides), strict=True)
        anchors = torch.cat([level.expand(count, -1, -1) for level, count in levels])
        placed = place_boxes(boxes, priors[..., :2], priors[..., 2:], anchors).flatten(1, 2)
        scores = objectness.sigmoid().unsqueeze(-1) * classes.softmax(-1).unsqueeze(2)
        return clip_boxes(placed, height, width), scores.flatten(1, 2)

    def _split(self, raw: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Boxes [B, cells, A, 4], objectness [B, cells, A] and classes [B, cells, nc] of a raw output."""
        count = self.anchors.shape[1]
        boxes, objectness, classes = raw.split((4 * count, count, self.nc), -1)
        return boxes.unflatten(-1, (count, 4)), objectness, classes


def build(nc: int) -> YOLOFastestV2:
    """Build YOLO-FastestV2.

    Args:
        nc: Number of classes.

    Returns:
        The detector in training form.

    Example:
        >>> sum(p.numel() for p in build(6).parameters())
        237693
    """
    return YOLOFastestV2(nc)
