"""Task-aligned detectors: a prior in every cell, 16-bin distances, TAL assignment, and three losses.

Source: Feng et al., TOOD, ICCV 2021 (assignment); Li et al., NeurIPS 2020 (distances as distributions);
constants and sums as in YOLOv8, versions 8.0 to 8.4.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .assigners import Assignment, inside_boxes
from .blocks import chosen
from .boxes import complete_iou
from .detector import Detector, Targets, clip_boxes, grid_priors, total_of
from .distillation import Predictions, Teacher, enhanced_kl
from .heads import decode_bins
from .losses import distribution_focal, focal_efficient_iou
from .plan import Plan, narrow
from .waiting import answers_at_once, picked
from .yolo import BINS

BOX_GAIN, CLASS_GAIN, BINS_GAIN = 7.5, 0.5, 1.5
EPS = 1e-9


@torch.no_grad()
def task_aligned(
    scores: Tensor,
    boxes: Tensor,
    priors: Tensor,
    targets: Targets,
    top: int = 10,
    alpha: float = 0.5,
    beta: float = 6.0,
    overlap_of: Callable[[Tensor, Tensor], Tensor] = complete_iou,
    least_side: float = 0.0,
) -> Assignment:
    """Assign priors as TAL does, by t = score^alpha * overlap^beta.

    A box takes, of the priors inside it, the ``top`` with the largest t. A prior that several boxes take
    goes to the box that it overlaps most among all that it lies in. Pairs with t = 0 are never made; the
    reference fills up with some of them, at weight 0.

    Args:
        scores: [B, P, C] probabilities.
        boxes: [B, P, 4] decoded, pixels.
        priors: [P, 2] points, pixels.
        targets: Truth of the batch, at least one row.
        top: Priors that a box takes at most.
        alpha: Exponent of the score.
        beta: Exponent of the overlap; where that is negative it counts as 0.
        overlap_of: Overlap of boxes pair by pair, such as ``complete_iou`` or ``paired_iou``.
        least_side: A box with shorter sides takes priors as if they were this long; pixels.

    Returns:
        Assignment of quality t, scaled so that the largest of a box is the box's largest overlap.
    """
    inside = inside_boxes(priors, targets, least_side)
    aligned = _of_pairs_inside if answers_at_once(boxes) else _of_all_pairs
    overlap, t = aligned(scores, boxes, targets, inside, alpha, beta, overlap_of)
    taken = _largest(t, min(top, t.shape[1]))
    nearest = torch.zeros_like(taken).scatter_(-1, overlap.argmax(-1, keepdim=True), value=True)
    taken = torch.where(taken.sum(-1, keepdim=True) > 1, nearest, taken)
    t *= taken
    scale = (overlap * taken).amax(1, keepdim=True) / (t.amax(1, keepdim=True) + EPS)
    positive, index = taken.max(-1)
    return Assignment(positive, index * positive, (t * scale).amax(-1))


def _of_pairs_inside(
    scores: Tensor,
    boxes: Tensor,
    targets: Targets,
    inside: Tensor,
    alpha: float,
    beta: float,
    overlap_of: Callable[[Tensor, Tensor], Tensor],
) -> tuple[Tensor, Tensor]:
    """Overlap and t [B, P, M], computed for the pairs inside alone, which are few; 0 elsewhere."""
    image, prior, row = inside.nonzero(as_tuple=True)
    overlap, t = boxes.new_zeros(inside.shape), boxes.new_zeros(inside.shape)
    close = overlap_of(boxes[image, prior], targets.boxes[image, row]).clamp(min=0)
    score = scores[image, prior, targets.labels[image, row]]
    overlap[image, prior, row] = close
    t[image, prior, row] = score.pow(alpha) * close.pow(beta)
    return overlap, t


def _of_all_pairs(
    scores: Tensor,
    boxes: Tensor,
    targets: Targets,
    inside: Tensor,
    alpha: float,
    beta: float,
    overlap_of: Callable[[Tensor, Tensor], Tensor],
) -> tuple[Tensor, Tensor]:
    """The same, computed for all pairs: no device is asked how many are inside."""
    close = overlap_of(boxes.unsqueeze(2), targets.boxes.unsqueeze(1)).clamp(min=0)
    label = targets.labels.clamp(min=0).unsqueeze(1).expand(-1, boxes.shape[1], -1)
    t = scores.gather(-1, label).pow(alpha) * close.pow(beta)
    return torch.where(inside, close, 0), torch.where(inside, t, 0)


def _largest(t: Tensor, top: int) -> Tensor:
    """Bool [B, P, M]: the ``top`` priors of each box with the largest t, those with 0 left out."""
    value, index = t.topk(top, dim=1)
    return torch.zeros_like(t, dtype=torch.bool).scatter_(1, index, value > 0)


def task_aligned_losses(
    raw: Tensor,
    nc: int,
    priors: Tensor,
    targets: Targets,
    assignment: Assignment,
    box_loss: str = "ciou",
    gamma: float = 0.5,
) -> dict[str, Tensor]:
    """Box, class and distance loss of a batch, with their gains, each over the sum of qualities.

    As in the reference, each is multiplied by the number of images, so that the gradient, its clip and
    the rate of SGD are those of a sum over images.

    Args:
        raw: [B, P, nc + 4 * BINS]: class logits, then bins.
        nc: Number of classes.
        priors: [P, 3].
        targets: Truth, at least one row.
        assignment: Which prior learns which box.
        box_loss: ``ciou`` or ``focal_eiou``.
        gamma: Exponent of the focal weight.
    """
    logits, rows = raw[..., :nc], picked(assignment.positive)
    scale = len(raw) / assignment.quality.sum().clamp(min=1)
    label = targets.labels.clamp(min=0).gather(1, assignment.index).unsqueeze(-1)
    wanted = torch.zeros_like(logits).scatter_(2, label, assignment.quality.unsqueeze(-1))
    classes = F.binary_cross_entropy_with_logits(logits, wanted, reduction="sum")
    truth = rows.of(targets.boxes.gather(1, assignment.index.unsqueeze(-1).expand(-1, -1, 4)))
    weight, bins = rows.of(assignment.quality), rows.of(raw[..., nc:])
    where = rows.of(priors.expand(len(raw), -1, -1))
    boxes = decode_bins(bins.unsqueeze(0), where).squeeze(0)
    # Both losses compare boxes by ratios, so pixels and strides give the same value
    kinds = {
        "ciou": lambda: 1 - complete_iou(boxes, truth),
        "focal_eiou": lambda: focal_efficient_iou(boxes, truth, gamma),
    }
    apart = chosen("box_loss", box_loss, kinds)()
    sides = torch.cat((where[:, :2] - truth[:, :2], truth[:, 2:] - where[:, :2]), -1)
    sides = (sides / where[:, 2:]).clamp(0, BINS - 1 - 0.01)
    spread = distribution_focal(bins.unflatten(-1, (4, BINS)), sides).mean(-1)
    return {
        "box": BOX_GAIN * scale * rows.only(weight * apart).sum(),
        "cls": CLASS_GAIN * scale * classes,
        "dfl": BINS_GAIN * scale * rows.only(weight * spread).sum(),
    }


class TaskAlignedDetector(Detector):
    """Backbone -> neck -> head at strides 8, 16, 32, trained as YOLOv8 is.

    Args:
        nc: Number of classes.
        backbone: Three maps at strides 8, 16, 32 of images in 0..1.
        neck: Three maps of three.
        head: Raw output [B, P, nc + 4 * BINS] of the three maps.
        box_loss: ``ciou`` or ``focal_eiou``.
        gamma: Exponent of the focal weight.
        least_side: A box with shorter sides takes priors as if they were this long; pixels.
        kd: What it learns from a teacher beside the truth: ``none`` or ``ekl``, see ``enhanced_kl``.
    """

    strides = (8, 16, 32)

    def __init__(
        self,
        nc: int,
        backbone: nn.Module,
        neck: nn.Module,
        head: nn.Module,
        box_loss: str = "ciou",
        gamma: float = 0.5,
        least_side: float = 0.0,
        kd: str = "none",
    ) -> None:
        super().__init__()
        self.kd = chosen("kd", kd, {k: k for k in ("none", "ekl")})
        self.teacher: Teacher | None = None
        self.whole: Callable[[], TaskAlignedDetector] | None = None
        self.nc, self.gamma, self.least_side = nc, gamma, least_side
        self.backbone, self.neck, self.head = backbone, neck, head
        self.box_loss = chosen("box_loss", box_loss, {k: k for k in ("ciou", "focal_eiou")})
        # The distances that bins stand for. They never learn, but published counts hold them.
        self.ramp = nn.Parameter(torch.arange(float(BINS)), requires_grad=False)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.neck(self.backbone(images)))

    def predictions(self, images: Tensor) -> Predictions:
        """What a student learns from images [B, 3, H, W]: class logits [B, P, C] and bins [B, P, 4 * BINS]."""
        return self._parts(self(images).float())

    def _parts(self, raw: Tensor) -> Predictions:
        return Predictions(raw[..., : self.nc], raw[..., self.nc :])

    def set_teacher(self, state: Mapping[str, Tensor]) -> None:
        """Take the weights of the whole network, whatever of it this one has kept."""
        if self.kd == "none" or self.whole is None:
            super().set_teacher(state)
        else:
            self.teacher = Teacher.of(self.whole(), state, self.ramp)

    def loss(self, images: Tensor, targets: Targets, epoch: int) -> dict[str, Tensor]:
        priors, targets = self.priors(images), targets.with_a_row()
        raw = self.forward(images).float()
        seen = raw.detach()
        boxes = decode_bins(seen[..., self.nc :], priors, self.ramp)
        scores, points = seen[..., : self.nc].sigmoid(), priors[:, :2]
        assignment = task_aligned(scores, boxes, points, targets, least_side=self.least_side)
        parts = task_aligned_losses(
            raw, self.nc, priors, targets, assignment, self.box_loss, self.gamma
        )
        if self.teacher is not None:
            # the gains, and the sum over images, of the losses that learn the same outputs from the truth
            lost = enhanced_kl(self._parts(raw), self.teacher(images))
            parts["kd_cls"] = CLASS_GAIN * len(raw) * lost["cls"]
            parts["kd_loc"] = BINS_GAIN * len(raw) * lost["loc"]
        return total_of(parts)

    def phase(self, epoch: int) -> Hashable:
        """The same loss in every epoch."""
        return "all"

    def decode(self, raw: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
        priors = grid_priors(height, width, self.strides, self.offset, raw.device)
        boxes = decode_bins(raw[..., self.nc :], priors, self.ramp)
        return clip_boxes(boxes, height, width), raw[..., : self.nc].sigmoid()


def planned(
    whole: Callable[[], TaskAlignedDetector], plan: Mapping[str, Any] | None
) -> TaskAlignedDetector:
    """A detector that can be taught by its whole form: as ``whole`` builds it, or with the widths of a plan.

    Args:
        whole: Builds the whole network.
        plan: Of a pruned network, as its ``plan.json`` says.

    Raises:
        CompressionError: The plan does not fit.
    """
    model = whole()
    model.whole = whole
    return model if plan is None else narrow(model, Plan(**plan))
