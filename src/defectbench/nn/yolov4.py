"""YOLOv4 (Bochkovskiy, Wang, Liao; arXiv 2004.10934): neck, head, and the detector with its loss.

Every width can be set by a plan, and residual units can be left out, so that a thin network is made of a
factor and a pruned one from its plan.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .anchor_matching import match_cells
from .anchors import anchor_quality, cluster_anchors, shape_iou
from .blocks import ConvBlock, PredictionConv2d, chosen
from .boxes import complete_iou, pairwise_iou
from .csp_darknet import Convs, CSPDarknet53
from .detector import Detector, Targets, clip_boxes, grid_priors, level_sizes, total_of
from .distillation import Teacher
from .functional import is_exporting
from .plan import Plan
from .waiting import Rows, mark
from .yolov4_distillation import Seen, teaching_losses

ANCHORS = (12, 16, 19, 36, 40, 28, 36, 75, 76, 55, 72, 146, 142, 110, 192, 243, 459, 401)  # COCO
PER_LEVEL = 3
STRETCH = (1.2, 1.1, 1.05)  # how far a centre may leave its cell, by level
SHAPE_IOU, IGNORE_IOU, BOX_WEIGHT = 0.213, 0.7, 0.07
PRIOR_BIAS = -4.595  # logit of 0.01, for a steady start (*reconstructed*)
MAX_LOG_SIDE = 8.0  # e^8 anchors: only keeps a wild step finite


class SPP(nn.Module):
    """Spatial pyramid pooling: the map beside its maxima over 5, 9 and 13 cells."""

    def forward(self, x: Tensor) -> Tensor:
        pooled = [F.max_pool2d(x, side, 1, side // 2) for side in (13, 9, 5)]
        return torch.cat((*pooled, x), 1)


class PAN(nn.Module):
    """SPP, then path aggregation up and down; maps at strides 8, 16, 32."""

    def __init__(self, plan: Plan, widths: Sequence[int]) -> None:
        super().__init__()
        c3, c4, c5 = widths
        self.before = Convs(plan, "neck.before", c5, (512, 1024, 512))
        self.after = Convs(plan, "neck.after", 4 * self.before.c_out, (512, 1024, 512))
        self.up4 = Convs(plan, "neck.up4", self.after.c_out, (256,))
        self.lateral4 = Convs(plan, "neck.lateral4", c4, (256,))
        self.top4 = Convs(
            plan, "neck.top4", self.lateral4.c_out + self.up4.c_out, (256, 512, 256, 512, 256)
        )
        self.up3 = Convs(plan, "neck.up3", self.top4.c_out, (128,))
        self.lateral3 = Convs(plan, "neck.lateral3", c3, (128,))
        self.out3 = Convs(
            plan, "neck.out3", self.lateral3.c_out + self.up3.c_out, (128, 256, 128, 256, 128)
        )
        c4 = plan.channels("neck.down4", 256)
        self.down4 = ConvBlock(self.out3.c_out, c4, 3, 2)
        self.out4 = Convs(plan, "neck.out4", c4 + self.top4.c_out, (256, 512, 256, 512, 256))
        c5 = plan.channels("neck.down5", 512)
        self.down5 = ConvBlock(self.out4.c_out, c5, 3, 2)
        self.out5 = Convs(plan, "neck.out5", c5 + self.after.c_out, (512, 1024, 512, 1024, 512))
        self.pool = SPP()

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        x3, x4, x5 = features
        top5 = self.after(self.pool(self.before(x5)))
        top4 = self.top4(torch.cat((self.lateral4(x4), _twice(self.up4(top5))), 1))
        out3 = self.out3(torch.cat((self.lateral3(x3), _twice(self.up3(top4))), 1))
        out4 = self.out4(torch.cat((self.down4(out3), top4), 1))
        return [out3, out4, self.out5(torch.cat((self.down5(out4), top5), 1))]


def _twice(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


class Head(nn.Module):
    """Per level a 3x3 convolution and a 1x1 to three anchors of (x, y, w, h, objectness, classes)."""

    def __init__(self, plan: Plan, nc: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.size = 5 + nc
        papers = (256, 512, 1024)
        self.towers = nn.ModuleList(
            Convs(plan, f"head.towers.{n}", c, (paper,), first=3)
            for n, (c, paper) in enumerate(zip(widths, papers, strict=True))
        )
        outs = (tower.c_out for tower in self.towers)
        self.outputs = nn.ModuleList(PredictionConv2d(c, PER_LEVEL * self.size, 1) for c in outs)  # type: ignore[arg-type]
        for output in self.outputs:
            bias: Tensor = output.bias  # type: ignore[assignment]
            nn.init.zeros_(bias)
            bias.data.view(PER_LEVEL, -1)[:, 4:] = PRIOR_BIAS

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Raw output [B, P, 5 + nc]: level by level, cell by cell, anchor by anchor."""
        raw = []
        for tower, output, x in zip(self.towers, self.outputs, features, strict=True):
            split = output(tower(x)).flatten(2).unflatten(1, (PER_LEVEL, self.size))
            raw.append(split.permute(0, 3, 1, 2).flatten(1, 2))
        return torch.cat(raw, 1)


class YOLOv4(Detector):
    """Backbone, neck, head, decoding and the loss of the public configuration.

    Args:
        nc: Number of classes.
        plan: Widths and residual units.
        kd: What it learns from a teacher, see ``teaching_losses``: ``none``, ``chen2017`` or ``bernoulli``.
    """

    strides = (8, 16, 32)
    offset = 0.0
    anchors: Tensor

    def __init__(self, nc: int, plan: Plan, kd: str = "none") -> None:
        super().__init__()
        self.nc = nc
        self.kd = chosen("kd", kd, {k: k for k in ("none", "chen2017", "bernoulli")})
        self.teacher: Teacher | None = None
        self.backbone = CSPDarknet53(plan)
        self.neck = PAN(plan, self.backbone.widths)
        widths = [self.neck.out3.c_out, self.neck.out4.c_out, self.neck.out5.c_out]
        self.head = Head(plan, nc, widths)
        self.register_buffer("anchors", torch.tensor(ANCHORS).float().view(3, PER_LEVEL, 2))

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.neck(self.backbone(images)))

    def predictions(self, images: Tensor) -> Tensor:
        """What a student learns from: the raw output [B, P, 5 + nc]."""
        return self(images).float()

    def set_teacher(self, state: Mapping[str, Tensor]) -> None:
        """Take a teacher of any widths; its anchors are taken too, so that outputs compare cell by cell."""
        if self.kd == "none":
            super().set_teacher(state)
        self.teacher = Teacher.of(YOLOv4(self.nc, plan_of(state)), state, self.anchors)
        self.anchors.copy_(state["anchors"])

    def fit_to(self, boxes: Tensor, seed: int) -> None:
        """Cluster the anchors from training boxes [N, 4], pixels; the smallest three go to stride 8."""
        if len(boxes):
            sides = cluster_anchors(boxes[:, 2:] - boxes[:, :2], 3 * PER_LEVEL, seed)
            self.anchors.copy_(sides.view_as(self.anchors))

    def facts(self, boxes: Tensor) -> dict[str, float]:
        return anchor_quality(boxes[:, 2:] - boxes[:, :2], self.anchors.view(-1, 2))

    def decode(self, raw: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
        boxes = clip_boxes(self.boxes(raw, height, width), height, width)
        return boxes, raw[..., 4:5].sigmoid() * raw[..., 5:].sigmoid()

    def boxes(self, raw: Tensor, height: int, width: int) -> Tensor:
        """Boxes [B, P, 4] of a raw output, pixels, not clipped."""
        corner, stride, anchors, stretch = self._cells(height, width)
        shift = stretch * raw[..., :2].sigmoid() - (stretch - 1) / 2
        centre = corner + shift * stride
        half = anchors * raw[..., 2:4].clamp(max=MAX_LOG_SIDE).exp() / 2
        return torch.cat((centre - half, centre + half), -1)

    def _cells(self, height: int, width: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Of every prior: its cell's corner [P, 2], stride [P, 1], anchor [P, 2], stretch [P, 1]."""
        if is_exporting():  # what is made while a graph is traced belongs to that graph
            cells = grid_priors(height, width, self.strides, self.offset, self.anchors.device)
        else:
            cells = self.priors_of(height, width, self.anchors.device)
        counts = level_sizes(height, width, self.strides)
        anchors = torch.cat(
            [level.repeat(n, 1) for level, n in zip(self.anchors, counts, strict=True)]
        )
        cells = cells.repeat_interleave(PER_LEVEL, 0)
        stretch = torch.cat(
            [cells.new_full((n * PER_LEVEL, 1), k) for n, k in zip(counts, STRETCH, strict=True)]
        )
        return cells[:, :2], cells[:, 2:], anchors, stretch

    def loss(self, images: Tensor, targets: Targets, epoch: int) -> dict[str, Tensor]:
        targets = targets.with_a_row()
        height, width = images.shape[-2:]
        raw = self(images).float()
        boxes = self.boxes(raw, height, width)
        (image, prior, row), pairs = self.match(targets, height, width)
        truth, labels = targets.boxes[image, row], targets.labels[image, row]
        positive = torch.zeros_like(raw[..., 4])
        mark(positive, (image, prior), pairs)
        near = pairwise_iou(boxes.detach(), targets.boxes) * targets.valid.unsqueeze(1)
        judged = (positive > 0) | (near.amax(-1) <= IGNORE_IOU)
        cross_entropy = F.binary_cross_entropy_with_logits
        objectness = cross_entropy(raw[..., 4], positive, judged.float(), reduction="sum")
        matched = raw[image, prior]
        wanted = one_hot(labels.clamp(min=0), self.nc, raw.dtype)
        named = pairs.only(cross_entropy(matched[:, 5:], wanted, reduction="none")).sum()
        apart = pairs.only(1 - complete_iou(boxes[image, prior], truth)).sum()
        parts = {"ciou": BOX_WEIGHT * apart, "objectness": objectness, "classes": named}
        parts = {name: value / len(images) for name, value in parts.items()}
        if self.teacher is not None:
            taught = self.teacher(images)
            stride = self._cells(height, width)[1][prior]
            student, teacher = (
                Seen(x[..., 4:], pairs.only(self.boxes(x, height, width)[image, prior] / stride))
                for x in (raw, taught)
            )
            parts |= teaching_losses(self.kd, student, teacher, pairs.only(truth / stride))
        return total_of(parts)

    def phase(self, epoch: int) -> Hashable:
        """The same loss in every epoch."""
        return "all"

    def match(
        self, targets: Targets, height: int, width: int
    ) -> tuple[tuple[Tensor, Tensor, Tensor], Rows]:
        """Pairs of a prior and a box: anchors of like shape, and the likest, in the cell of the centre.

        Returns:
            Image, prior and row of ``targets`` of each pair, int64 [K]; which of the K pairs count.
        """
        sides = targets.boxes[..., 2:] - targets.boxes[..., :2]
        likeness = shape_iou(sides, self.anchors.view(-1, 2).to(sides))  # [B, M, 9]
        likest = one_hot(likeness.argmax(-1), likeness.shape[-1], torch.bool)
        fits = ((likeness > SHAPE_IOU) | likest) & targets.valid.unsqueeze(-1)
        fits = fits.unflatten(-1, (-1, PER_LEVEL))
        levels = match_cells(fits, targets, height, width, self.strides, neighbours=False)
        image = torch.cat([level.image for level in levels])
        prior = torch.cat([level.cell * PER_LEVEL + level.anchor for level in levels])
        box = torch.cat([level.box for level in levels])
        held = [level.rows.held for level in levels if level.rows.held is not None]
        return (image, prior, box), Rows(torch.cat(held) if held else None)


def one_hot(numbers: Tensor, count: int, dtype: torch.dtype) -> Tensor:
    """Ones at the numbers int64 [...], [..., count]; unlike torch's, which looks first whether they are in range."""
    zeros = torch.zeros(*numbers.shape, count, dtype=dtype, device=numbers.device)
    return zeros.scatter_(-1, numbers.unsqueeze(-1), 1)


def plan_of(state: Mapping[str, Tensor]) -> Plan:
    """Widths and residual units of a state dict of any YOLOv4."""
    widths = {
        name.removesuffix(".weight"): len(value)
        for name, value in state.items()
        if name.endswith(".weight") and value.ndim == 4
    }
    kept: dict[str, set[int]] = {f"backbone.stages.{n}": set() for n in range(5)}
    for name in state:
        if unit := re.match(r"(backbone\.stages\.[0-4])\.units\.(\d+)\.", name):
            kept[unit[1]].add(int(unit[2]))
    return Plan(widths=widths, units={stage: sorted(units) for stage, units in kept.items()})
