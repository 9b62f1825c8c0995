"""The frame of the NanoDets and PicoDet: backbone, neck, head with bins, perhaps an assign guide."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from .assigners import Assignment, dynamic_soft_labels
from .blocks import chosen
from .detector import (
    Detector,
    Normalise,
    Targets,
    clip_boxes,
    grid_priors,
    level_sizes,
    total_of,
)
from .heads import NanoDetPlusHead, decode_bins, nanodet_losses

IMAGENET_MEAN, IMAGENET_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def softly(
    logits: Tensor, boxes: Tensor, priors: Tensor, targets: Targets, _sizes: Sequence[int]
) -> Assignment:
    """NanoDet-Plus's assigner, to which all levels are one."""
    return dynamic_soft_labels(logits, boxes, priors, targets)


@dataclass(frozen=True)
class Learning:
    """How a network of the family learns.

    Attributes:
        assigner: Says which prior learns which box, from logits [B, P, C], decoded boxes [B, P, 4],
            priors [P, 3], the truth, and how many priors each level has; pixels.
        class_loss: ``qfl`` or ``vfl``, see ``nanodet_losses``.
        least_weight: Least divisor of the box terms, see ``nanodet_losses``.
    """

    assigner: Callable[[Tensor, Tensor, Tensor, Targets, Sequence[int]], Assignment] = softly
    class_loss: str = "qfl"
    least_weight: float = 1.0


class Guide(nn.Module):
    """A training-only branch whose predictions say which prior learns which box."""

    def forward(self, features: Sequence[Tensor], neck: Sequence[Tensor], detach: bool) -> Tensor:
        """Raw output [B, P, nc + 4 * bins] from backbone features and neck outputs."""
        raise TypeError(f"{type(self).__name__} lacks forward()")


class NanoDetFamily(Detector):
    """Backbone -> neck -> head; by default as in NanoDet-Plus (RangiLyu, 2021).

    Args:
        nc: Number of classes.
        backbone: Three maps at strides 8, 16, 32.
        neck: One map for each of ``strides``.
        head: Raw output of the neck's maps.
        guide: Training-only branch, or None: the head then guides itself.
        assign_from: Whose predictions the assigner sees: ``aux`` (the guide's), ``main`` or
            ``mean`` of both.
        detach_epoch: From this epoch on the guide no longer trains backbone and neck.
        strides: Of the neck's maps, pixels.
        offset: Where a cell's prior lies, in strides from the cell's corner.
        learning: Assigner and losses.
    """

    training_only = ("guide",)

    def __init__(
        self,
        nc: int,
        backbone: nn.Module,
        neck: nn.Module,
        head: NanoDetPlusHead,
        guide: Guide | None = None,
        assign_from: str = "aux",
        detach_epoch: int = 10,
        strides: tuple[int, ...] = (8, 16, 32, 64),
        offset: float = 0.0,
        learning: Learning = Learning(),
    ) -> None:
        super().__init__()
        self.nc, self.strides, self.offset, self.learning = nc, strides, offset, learning
        self.normalise = Normalise(IMAGENET_MEAN, IMAGENET_STD)
        self.backbone, self.neck, self.head, self.guide = backbone, neck, head, guide
        self.assign_from = chosen(
            "assign_from", assign_from, {k: k for k in ("aux", "main", "mean")}
        )
        self.detach_epoch = detach_epoch

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.neck(self.backbone(self.normalise(images))))

    def loss(self, images: Tensor, targets: Targets, epoch: int) -> dict[str, Tensor]:
        priors, targets = self.priors(images), targets.with_a_row()
        features = self.backbone(self.normalise(images))
        neck = self.neck(features)
        raw = self.head(neck).float()
        boxes = decode_bins(raw[..., self.nc :], priors)
        sizes = level_sizes(images.shape[-2], images.shape[-1], self.strides)
        if self.guide is None:
            assignment = self._assign(raw, boxes, priors, targets, sizes)
            return total_of(self._losses(raw, boxes, priors, targets, assignment))
        guide = self.guide(features, neck, detach=epoch >= self.detach_epoch).float()
        guide_boxes = decode_bins(guide[..., self.nc :], priors)
        assignment = self._guided(raw, boxes, guide, guide_boxes, priors, targets, sizes)
        outputs = (raw, boxes), (guide, guide_boxes)
        return total_of(self._guided_losses(*outputs, priors, targets, assignment))

    def phase(self, epoch: int) -> Hashable:
        """Whether the guide no longer trains backbone and neck."""
        return epoch >= self.detach_epoch

    def decode(self, raw: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
        priors = grid_priors(height, width, self.strides, self.offset, raw.device)
        boxes = decode_bins(raw[..., self.nc :], priors)
        return clip_boxes(boxes, height, width), raw[..., : self.nc].sigmoid()

    def _assign(
        self, raw: Tensor, boxes: Tensor, priors: Tensor, targets: Targets, sizes: Sequence[int]
    ) -> Assignment:
        logits = raw[..., : self.nc].detach()
        return self.learning.assigner(logits, boxes.detach(), priors, targets, sizes)

    def _losses(
        self, raw: Tensor, boxes: Tensor, priors: Tensor, targets: Targets, assignment: Assignment
    ) -> dict[str, Tensor]:
        by = self.learning.class_loss, self.learning.least_weight
        return nanodet_losses(raw, boxes, self.nc, priors, targets, assignment, *by)

    def _guided_losses(
        self,
        head: tuple[Tensor, Tensor],
        guide: tuple[Tensor, Tensor],
        priors: Tensor,
        targets: Targets,
        assignment: Assignment,
    ) -> dict[str, Tensor]:
        """What the head and its guide, raw outputs and boxes of each, learn from one assignment: each by its own."""
        parts = {}
        for prefix, outputs in (("", head), ("guide_", guide)):
            terms = self._losses(*outputs, priors, targets, assignment)
            parts |= {f"{prefix}{name}": value for name, value in terms.items()}
        return parts

    def _guided(
        self,
        raw: Tensor,
        boxes: Tensor,
        guide: Tensor,
        guide_boxes: Tensor,
        priors: Tensor,
        targets: Targets,
        sizes: Sequence[int],
    ) -> Assignment:
        truth = priors, targets, sizes
        if self.assign_from == "main":
            return self._assign(raw, boxes, *truth)
        if self.assign_from == "mean":
            p = (raw.detach().sigmoid() + guide.detach().sigmoid()) / 2
            return self._assign(p.logit(eps=1e-6), (boxes + guide_boxes) / 2, *truth)
        return self._assign(guide, guide_boxes, *truth)
