"""FastestDet (dog-qiuqiu, 2022): a small ShuffleNetV2, one map at stride 16, no anchors.

Each cell answers with one objectness, one box and one class vector. Which cells learn a box is settled by how well they
place it: the four around its centre are candidates, and those that do better than the mean of the batch learn it.
The reference starts from a backbone trained before, and its images are BGR; here it is trained from scratch on RGB.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from defectbench.nn.blocks import ConvBlock, PredictionConv2d
from defectbench.nn.boxes import scylla_iou
from defectbench.nn.detector import Detector, Targets, clip_boxes, grid_priors, total_of
from defectbench.nn.heads import join_levels
from defectbench.nn.shufflenet import fastest_shufflenet
from defectbench.nn.waiting import Rows, constant, true_entries

ACT = "relu"
STRIDE, WIDTH = 16, 96
OBJECT_SHARE, CLASS_SHARE = 0.6, 0.4  # exponents of objectness and class in a score
BOX_GAIN, OBJECT_GAIN = 8.0, 16.0
POSITIVE_WEIGHT, NEGATIVE_WEIGHT = 0.25, 0.75  # of cells in the objectness loss
CORNERS = (
    (0, 0),
    (1, 0),
    (0, 1),
    (1, 1),
)  # of the cells that may learn a box, from the one of its centre
ROUNDING = 1e-6  # by which the mean of equal numbers may exceed them

# --- neck -----------------------------------------------------------------------------------------


class Join(nn.Module):
    """Three maps side by side at stride 16: the finer one pooled, the coarser one enlarged."""

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        fine, middle, coarse = features
        up = F.interpolate(coarse, size=middle.shape[-2:], mode="nearest")
        return torch.cat((F.avg_pool2d(fine, 3, 2, 1), middle, up), 1)


class Pyramid(nn.Module):
    """One, two and three depthwise 5x5 in a row, joined, around which the input passes.

    Args:
        c_in: Channels in.
        width: Channels out.
    """

    def __init__(self, c_in: int, width: int = WIDTH) -> None:
        super().__init__()
        self.enter = ConvBlock(c_in, width, act=ACT)
        self.chains = nn.ModuleList(
            nn.Sequential(
                *(ConvBlock(width, width, 5, groups=width, act=ACT) for _ in range(length))
            )
            for length in (1, 2, 3)
        )
        self.leave = ConvBlock(3 * width, width, act="none")

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x)
        return F.relu(x + self.leave(torch.cat([chain(x) for chain in self.chains], 1)))


# --- head -----------------------------------------------------------------------------------------


def branch(width: int, outputs: int) -> nn.Sequential:
    """A depthwise 5x5 and a 1x1 that predicts; batch norm after both, no bias."""
    return nn.Sequential(
        ConvBlock(width, width, 5, groups=width, act=ACT),
        PredictionConv2d(width, outputs, 1, bias=False),
        nn.BatchNorm2d(outputs),
    )


class Head(nn.Module):
    """Objectness, box and classes of each cell.

    Args:
        nc: Number of classes.
        width: Channels in.
    """

    def __init__(self, nc: int, width: int = WIDTH) -> None:
        super().__init__()
        self.enter = ConvBlock(width, width, act=ACT)
        self.objectness = branch(width, 1)
        self.boxes = branch(width, 4)
        self.classes = branch(width, nc)

    def forward(self, x: Tensor) -> Tensor:
        """Raw output [B, cells, 5 + nc]: objectness, box, classes."""
        x = self.enter(x)
        return join_levels([torch.cat((self.objectness(x), self.boxes(x), self.classes(x)), 1)])


def place_boxes(raw: Tensor, points: Tensor, height: int, width: int) -> Tensor:
    """Boxes [..., 4] in pixels: up to a cell off the cell's corner, up to the image wide.

    Args:
        raw: [..., 4].
        points: Corners of cells, [..., 2], pixels.
        height: Of the images, pixels.
        width: Of the images, pixels.
    """
    centre = points + raw[..., :2].tanh() * STRIDE
    half = raw[..., 2:].sigmoid() * constant((width / 2, height / 2), raw)
    return torch.cat((centre - half, centre + half), -1)


# --- assignment -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Candidates:
    """Pairs of a cell and a box that it may learn.

    Attributes:
        image: int64 [K], row of the batch.
        cell: int64 [K], row of the priors.
        box: int64 [K], row of ``Targets``.
        rows: Which of the K pairs count.
    """

    image: Tensor
    cell: Tensor
    box: Tensor
    rows: Rows


@torch.no_grad()
def candidates_of(
    targets: Targets, height: int, width: int, border_cells: bool = True
) -> Candidates:
    """The cell of each box's centre and its neighbours to the right, below and across, as far as there are any.

    Args:
        targets: Truth of the batch.
        height: Of the images, pixels; a multiple of the stride.
        width: Of the images, pixels; a multiple of the stride.
        border_cells: Whether cells of the first row and column are among them.
    """
    columns, rows = width // STRIDE, height // STRIDE
    centres = (targets.boxes[..., :2] + targets.boxes[..., 2:]) / (2 * STRIDE)
    cells = centres.floor().long().unsqueeze(2) + constant(CORNERS, targets.labels)
    first = 0 if border_cells else 1
    inside = ((cells >= first) & (cells < constant((columns, rows), targets.labels))).all(-1)
    (image, box, corner), counted = true_entries(inside & targets.valid.unsqueeze(-1))
    # on a device that does not answer at once, pairs that do not count are rows, too
    x, y = cells[image, box, corner].unbind(-1)
    cell = y.clamp(0, rows - 1) * columns + x.clamp(0, columns - 1)
    return Candidates(image, cell, box, counted)


@torch.no_grad()
def chosen_pairs(overlap: Tensor, rows: Rows) -> Tensor:
    """Which candidates learn, bool [K]: those whose overlap [K] is not below the mean of all."""
    counted = torch.ones_like(overlap, dtype=torch.bool) if rows.held is None else rows.held
    mean = rows.only(overlap).sum() / rows.count(overlap)
    return counted & (overlap >= mean - ROUNDING)


# --- build ----------------------------------------------------------------------------------------


class FastestDet(Detector):
    """Backbone -> neck -> head at stride 16. Raw output [B, cells, 5 + nc]: objectness, box, classes.

    Args:
        nc: Number of classes.
        border_cells: Whether cells of the first row and column learn boxes.
    """

    strides = (STRIDE,)
    offset = 0.0

    def __init__(self, nc: int, border_cells: bool = True) -> None:
        super().__init__()
        self.nc, self.border_cells = nc, border_cells
        self.backbone = fastest_shufflenet()
        self.join = Join()
        self.neck = Pyramid(sum(self.backbone.widths))
        self.head = Head(nc)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.neck(self.join(self.backbone(images))))

    def loss(self, images: Tensor, targets: Targets, epoch: int) -> dict[str, Tensor]:
        raw = self.forward(images).float()
        return total_of(self.losses(raw, targets, *images.shape[-2:]))

    def phase(self, epoch: int) -> Hashable:
        """The same loss in every epoch."""
        return "all"

    def losses(self, raw: Tensor, targets: Targets, height: int, width: int) -> dict[str, Tensor]:
        """1 - SIoU and class of the chosen pairs, means over them; objectness, mean over all cells.

        Args:
            raw: [B, cells, 5 + nc].
            targets: Truth.
            height: Of the images, pixels.
            width: Of the images, pixels.
        """
        objectness, boxes, classes = self._split(raw)
        pairs = candidates_of(targets, height, width, self.border_cells)
        points = self.priors_of(height, width, raw.device)[pairs.cell, :2]
        placed = place_boxes(boxes[pairs.image, pairs.cell], points, height, width)
        overlap = scylla_iou(placed, targets.boxes[pairs.image, pairs.box])
        learns = chosen_pairs(overlap.detach(), pairs.rows)
        count = learns.sum().clamp(min=1)
        labels = targets.labels[pairs.image, pairs.box].clamp(min=0)
        entropy = F.cross_entropy(classes[pairs.image, pairs.cell], labels, reduction="none")
        siou = torch.where(learns, 1 - overlap, 0).sum() / count
        ce = torch.where(learns, entropy, 0).sum() / count
        wanted, weight = cell_targets(overlap.detach(), learns, pairs, objectness)
        error = F.smooth_l1_loss(objectness.sigmoid(), wanted, reduction="none")
        return {"siou": BOX_GAIN * siou, "obj": OBJECT_GAIN * (weight * error).mean(), "ce": ce}

    def decode(self, raw: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
        objectness, boxes, classes = self._split(raw)
        points = grid_priors(height, width, self.strides, self.offset, raw.device)[:, :2]
        is_object = objectness.sigmoid().pow(OBJECT_SHARE).unsqueeze(-1)
        scores = is_object * classes.softmax(-1).pow(CLASS_SHARE)
        return clip_boxes(place_boxes(boxes, points, height, width), height, width), scores

    def _split(self, raw: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Objectness [B, cells], boxes [B, cells, 4] and classes [B, cells, nc] of a raw output."""
        objectness, boxes, classes = raw.split((1, 4, self.nc), -1)
        return objectness.squeeze(-1), boxes, classes


def cell_targets(
    overlap: Tensor, learns: Tensor, pairs: Candidates, like: Tensor
) -> tuple[Tensor, Tensor]:
    """What the objectness of each cell is to be, and how much it weighs, both [B, cells].

    A cell that learns is to say how well it places its box, the best of several; all others are to say 0. The cells
    that learn weigh together as much in an image with many boxes as in one with few.

    Args:
        overlap: SIoU of the pairs [K].
        learns: Bool [K].
        pairs: The pairs.
        like: [B, cells], a tensor of the shape, type and device wanted.
    """
    batch, cells = like.shape
    best = like.new_full((batch * cells,), -torch.inf).scatter_reduce(
        0, pairs.image * cells + pairs.cell, overlap.masked_fill(~learns, -torch.inf), "amax"
    )
    best = best.view(batch, cells)
    of_image = like.new_zeros(batch).index_add(0, pairs.image, learns.to(like.dtype)).clamp(min=1)
    positive = best > -torch.inf
    weight = torch.where(
        positive, POSITIVE_WEIGHT * cells / of_image.unsqueeze(-1), NEGATIVE_WEIGHT
    )
    return best.masked_fill(~positive, 0), weight


def build(nc: int, border_cells: bool = True) -> FastestDet:
    """Build FastestDet.

    Args:
        nc: Number of classes.
        border_cells: Whether cells of the first row and column learn boxes; in the reference they do not.

    Returns:
        The detector in training form.

    Example:
        >>> sum(p.numel() for p in build(6).parameters())
        237238
    """
    return FastestDet(nc, border_cells)
