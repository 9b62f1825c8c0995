"""YOLOX-Nano (Ge et al., arXiv 2107.08430): CSPDarknet, path aggregation, decoupled head, no anchors, SimOTA.

Depth 0.33 and width 0.25 of the family, with separable convolutions. The reference is trained from scratch
too; its images are BGR in 0..255 without mean and deviation, here RGB in 0..255.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from defectbench.nn.assigners import Assignment
from defectbench.nn.blocks import PredictionConv2d, outputs_of, separable
from defectbench.nn.boxes import paired_iou
from defectbench.nn.detector import Detector, Normalise, Targets, clip_boxes, grid_priors, total_of
from defectbench.nn.heads import PRIOR_BIAS, join_levels
from defectbench.nn.simota import objectness_simota
from defectbench.nn.waiting import picked
from defectbench.nn.yolo import BN_EPS, BN_MOMENTUM, SPPF, Residual, conv_silu

# --- blocks ---------------------------------------------------------------------------------------


def separable_silu(c_in: int, c_out: int, stride: int = 1) -> nn.Sequential:
    """Depthwise 3x3 and pointwise 1x1 with SiLU and the family's batch norms."""
    return separable(c_in, c_out, 3, stride, "silu", BN_EPS, BN_MOMENTUM)


class Focus(nn.Module):
    """Each 2x2 pixels become channels (top left, bottom left, top right, bottom right), then a 3x3."""

    def __init__(self, c_out: int) -> None:
        super().__init__()
        self.conv = conv_silu(12, c_out, 3)

    def forward(self, x: Tensor) -> Tensor:
        left, right = x[..., ::2], x[..., 1::2]
        parts = [half[..., row::2, :] for half in (left, right) for row in (0, 1)]
        return self.conv(torch.cat(parts, 1))


class CSP(nn.Module):
    """Cross-stage block: a chain of bottlenecks on one half of the channels, joined with the other half.

    Args:
        c_in: Channels in.
        c_out: Channels out; half of them in each branch.
        depth: Number of bottlenecks, each a 1x1 and a separable 3x3.
        shortcut: Whether a bottleneck's input is added to its output.
    """

    def __init__(self, c_in: int, c_out: int, depth: int = 1, shortcut: bool = False) -> None:
        super().__init__()
        half = c_out // 2
        bodies = [
            nn.Sequential(conv_silu(half, half), separable_silu(half, half)) for _ in range(depth)
        ]
        chain = [Residual(body) for body in bodies] if shortcut else bodies
        self.main = nn.Sequential(conv_silu(c_in, half), *chain)
        self.short = conv_silu(c_in, half)
        self.join = conv_silu(2 * half, c_out)

    def forward(self, x: Tensor) -> Tensor:
        return self.join(torch.cat((self.main(x), self.short(x)), 1))


# --- backbone -------------------------------------------------------------------------------------


class CSPDarknet(nn.Module):
    """Focus and four halvings with a CSP each; pooling before the last. Maps at strides 8, 16, 32.

    Pools of 5, 9 and 13 cells are three of 5 in a chain, which gives the same values.
    """

    widths = (64, 128, 256)

    def __init__(self) -> None:
        super().__init__()
        fine, middle, coarse = self.widths
        self.stem = nn.Sequential(Focus(16), separable_silu(16, 32, 2), CSP(32, 32, 1, True))
        self.stages = nn.ModuleList(
            (
                nn.Sequential(separable_silu(32, fine, 2), CSP(fine, fine, 3, True)),
                nn.Sequential(separable_silu(fine, middle, 2), CSP(middle, middle, 3, True)),
                nn.Sequential(
                    separable_silu(middle, coarse, 2), SPPF(coarse, coarse), CSP(coarse, coarse)
                ),
            )
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        return outputs_of(self.stages, self.stem(x))


# --- neck -----------------------------------------------------------------------------------------


class PAFPN(nn.Module):
    """Path aggregation: a 1x1 narrows each map on its way up, and the narrowed map waits for the way down.

    Args:
        widths: Channels of inputs and of outputs, finest first, each twice the one before.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        steps = list(pairwise(widths))  # (finer, coarser)
        self.narrow = nn.ModuleList(conv_silu(c, f) for f, c in reversed(steps))
        self.top_down = nn.ModuleList(CSP(2 * f, f) for f, _ in reversed(steps))
        self.down = nn.ModuleList(separable_silu(f, f, 2) for f, _ in steps)
        self.bottom_up = nn.ModuleList(CSP(2 * f, c) for f, c in steps)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        top, waiting = features[-1], []
        steps = zip(self.narrow, self.top_down, features[-2::-1], strict=True)
        for narrow, node, lateral in steps:
            waiting.insert(0, narrow(top))
            up = F.interpolate(waiting[0], size=lateral.shape[-2:], mode="nearest")
            top = node(torch.cat((up, lateral), 1))
        outs = [top]
        for down, node, lateral in zip(self.down, self.bottom_up, waiting, strict=True):
            outs.append(node(torch.cat((down(outs[-1]), lateral), 1)))
        return outs


# --- head -----------------------------------------------------------------------------------------


class HeadLevel(nn.Module):
    """One level of the decoupled head: a 1x1, then a class tower and a box tower of two separable 3x3."""

    def __init__(self, nc: int, c_in: int, width: int = 64) -> None:
        super().__init__()
        self.enter = conv_silu(c_in, width)
        self.class_tower, self.box_tower = (
            nn.Sequential(*(separable_silu(width, width) for _ in range(2))) for _ in range(2)
        )
        self.boxes, self.objectness = PredictionConv2d(width, 4, 1), PredictionConv2d(width, 1, 1)
        self.classes = PredictionConv2d(width, nc, 1)
        for conv in (self.objectness, self.classes):
            nn.init.constant_(conv.bias, PRIOR_BIAS)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, 4 + 1 + nc, H, W]: box, objectness, classes."""
        x = self.enter(x)
        box = self.box_tower(x)
        classes = self.classes(self.class_tower(x))
        return torch.cat((self.boxes(box), self.objectness(box), classes), 1)


def place_boxes(raw: Tensor, priors: Tensor) -> Tensor:
    """Boxes [B, P, 4] in pixels: the centre from the cell's corner in strides, sides as exponents.

    Args:
        raw: [B, P, 4 or more]: x, y, ln w, ln h.
        priors: [P, 3], centres of cells.
    """
    stride = priors[:, 2:]
    centre = priors[:, :2] + (raw[..., :2] - 0.5) * stride
    half = raw[..., 2:4].exp() * (stride / 2)
    return torch.cat((centre - half, centre + half), -1)


def losses_of(
    raw: Tensor,
    boxes: Tensor,
    priors: Tensor,
    targets: Targets,
    assignment: Assignment,
    distance: bool = False,
) -> dict[str, Tensor]:
    """5 (1 - IoU^2), objectness, class with the IoU as target, and perhaps L1; each over the positives.

    Args:
        raw: [B, P, 5 + nc]: box, objectness, classes.
        boxes: [B, P, 4], decoded from ``raw``, pixels.
        priors: [P, 3].
        targets: Truth, at least one row.
        assignment: Which prior learns which box.
        distance: Whether the L1 distance of the raw box joins in, as in the last epochs.
    """
    positive, count = assignment.positive, assignment.positive.sum().clamp(min=1)
    rows = picked(positive)
    truth = rows.of(targets.boxes.gather(1, assignment.index.unsqueeze(-1).expand(-1, -1, 4)))
    label = rows.of(targets.labels.clamp(min=0).gather(1, assignment.index)).unsqueeze(-1)
    objectness, logits = raw[..., 4], rows.of(raw[..., 5:])
    quality = rows.of(assignment.quality).unsqueeze(-1).to(logits.dtype)
    wanted = torch.zeros_like(logits).scatter_(1, label, quality)
    to_loss = F.binary_cross_entropy_with_logits
    parts = {
        "iou": 5 * rows.only(1 - paired_iou(rows.of(boxes), truth).square()).sum(),
        "obj": to_loss(objectness, positive.to(objectness.dtype), reduction="sum"),
        "cls": rows.only(to_loss(logits, wanted, reduction="none")).sum(),
    }
    if distance:
        where = rows.of(priors.expand(len(raw), -1, -1))
        stride = where[:, 2:]
        centre = ((truth[:, :2] + truth[:, 2:]) / 2 - where[:, :2]) / stride + 0.5
        sides = ((truth[:, 2:] - truth[:, :2]) / stride + 1e-8).log()
        apart = (rows.of(raw[..., :4]) - torch.cat((centre, sides), -1)).abs()
        parts["l1"] = rows.only(apart).sum()
    return {name: value / count for name, value in parts.items()}


# --- build ----------------------------------------------------------------------------------------


class YOLOXNano(Detector):
    """Backbone -> neck -> head at strides 8, 16, 32; raw output [B, P, 5 + nc]: box, objectness, classes."""

    strides = (8, 16, 32)

    def __init__(self, nc: int) -> None:
        super().__init__()
        self.nc = nc
        self.to_bytes = Normalise((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
        self.backbone = CSPDarknet()
        self.neck = PAFPN(self.backbone.widths)
        self.head = nn.ModuleList(HeadLevel(nc, c) for c in self.backbone.widths)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.neck(self.backbone(self.to_bytes(images)))
        return join_levels([level(x) for level, x in zip(self.head, maps, strict=True)])

    def loss(self, images: Tensor, targets: Targets, epoch: int) -> dict[str, Tensor]:
        priors, targets = self.priors(images), targets.with_a_row()
        raw = self.forward(images).float()
        boxes = place_boxes(raw, priors)
        seen = raw.detach()
        assignment = objectness_simota(seen[..., 5:], seen[..., 4], boxes.detach(), priors, targets)
        late = epoch >= self.closing_epoch  # L1 joins in when mosaic stops
        return total_of(losses_of(raw, boxes, priors, targets, assignment, distance=late))

    def phase(self, epoch: int) -> Hashable:
        """Whether L1 has joined in."""
        return epoch >= self.closing_epoch

    def decode(self, raw: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
        priors = grid_priors(height, width, self.strides, self.offset, raw.device)
        scores = raw[..., 4:5].sigmoid() * raw[..., 5:].sigmoid()
        return clip_boxes(place_boxes(raw, priors), height, width), scores


def build(nc: int) -> YOLOXNano:
    """Build YOLOX-Nano.

    Args:
        nc: Number of classes.

    Returns:
        The detector in training form.

    Example:
        >>> sum(p.numel() for p in build(6).parameters())
        897729
    """
    return YOLOXNano(nc)
