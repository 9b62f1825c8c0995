"""The NanoDet-Plus head: towers, distribution decoding and its three losses."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .assigners import Assignment
from .blocks import PredictionConv2d, chosen, separable
from .boxes import generalised_iou
from .detector import Targets
from .losses import distribution_focal, quality_focal, varifocal

PRIOR_BIAS = -4.595  # logit of a prior probability of 0.01


class NanoDetPlusHead(nn.Module):
    """Per level two separable blocks and one 1x1 to class logits and box bins; nothing is shared.

    Args:
        nc: Number of classes.
        width: Channels in.
        levels: Number of levels.
        reg_max: Highest bin of a side's distance, in strides.
        kernel: Side of the depthwise kernels.
        act: Activation.
    """

    def __init__(
        self,
        nc: int,
        width: int = 96,
        levels: int = 4,
        reg_max: int = 7,
        kernel: int = 5,
        act: str = "leaky",
    ) -> None:
        super().__init__()
        self.nc, self.bins = nc, reg_max + 1
        self.towers = nn.ModuleList(
            nn.Sequential(*(separable(width, width, kernel, act=act) for _ in range(2)))
            for _ in range(levels)
        )
        self.outputs = nn.ModuleList(
            PredictionConv2d(width, nc + 4 * self.bins, 1) for _ in range(levels)
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.01)
                if module.bias is not None:
                    nn.init.constant_(module.bias, PRIOR_BIAS)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Raw output [B, P, nc + 4 * bins], levels one after the other."""
        maps = [
            output(tower(x))
            for tower, output, x in zip(self.towers, self.outputs, features, strict=True)
        ]
        return join_levels(maps)


def join_levels(maps: Sequence[Tensor]) -> Tensor:
    """Maps [B, D, H, W] of the levels as one [B, P, D], levels one after the other."""
    return torch.cat([m.flatten(2) for m in maps], 2).transpose(1, 2)


def decode_bins(bins: Tensor, priors: Tensor, grid: Tensor | None = None) -> Tensor:
    """Boxes [B, P, 4] in pixels of bin logits [B, P, 4 * bins] (left, top, right, bottom).

    Args:
        bins: Logits, sides one after the other.
        priors: [P, 3].
        grid: Distance that each bin stands for, in strides; 0, 1, 2, ... by default.
    """
    spread = split_sides(bins).softmax(2)
    if grid is None:
        grid = torch.arange(spread.shape[2], dtype=bins.dtype, device=bins.device)
    return boxes_of_sides((spread * grid.view(-1, 1)).sum(2).transpose(1, 2), priors)


def boxes_of_sides(sides: Tensor, priors: Tensor) -> Tensor:
    """Boxes [B, P, 4] in pixels of the distances [B, P, 4] of their sides (left, top, right, bottom), in strides.

    Args:
        sides: Distances from the prior.
        priors: [P, 3].
    """
    sides = sides * priors[:, 2:]
    return torch.cat((priors[:, :2] - sides[..., :2], priors[:, :2] + sides[..., 2:]), -1)


def split_sides(bins: Tensor) -> Tensor:
    """Bin logits [B, P, 4 * bins] as [B, 4, bins, P]: in memory priors are last, softmax runs along them."""
    return bins.transpose(1, 2).unflatten(1, (4, -1))


def nanodet_losses(
    raw: Tensor,
    boxes: Tensor,
    nc: int,
    priors: Tensor,
    targets: Targets,
    assignment: Assignment,
    class_loss: str = "qfl",
    least_weight: float = 1.0,
) -> dict[str, Tensor]:
    """Class loss, GIoU (x2) and DFL (x0.25) of one head; box terms are weighted by the best class score.

    Args:
        raw: [B, P, nc + 4 * bins].
        boxes: [B, P, 4], decoded from ``raw``, pixels.
        nc: Number of classes.
        priors: [P, 3].
        targets: Truth.
        assignment: Which prior learns which box.
        class_loss: ``qfl`` (quality focal) or ``vfl`` (varifocal); also its name in the result.
        least_weight: Box terms are divided by the sum of their weights, but by no less than this.
    """
    classify = chosen("class_loss", class_loss, {"qfl": quality_focal, "vfl": varifocal})
    logits, bins = raw[..., :nc], split_sides(raw[..., nc:])
    row = assignment.index.unsqueeze(-1)
    labels = targets.labels.clamp(min=0).gather(1, assignment.index).unsqueeze(-1)
    quality = torch.zeros_like(logits).scatter_(2, labels, assignment.quality.unsqueeze(-1))
    positives = assignment.positive.sum().clamp(min=1)
    classes = classify(logits, quality).sum() / positives
    weight = logits.detach().sigmoid().amax(-1) * assignment.positive
    total = weight.sum().clamp(min=least_weight)
    truth = targets.boxes.gather(1, row.expand(-1, -1, 4))
    giou = (weight * (1 - generalised_iou(boxes, truth))).sum() / total
    sides = torch.cat((priors[:, :2] - truth[..., :2], truth[..., 2:] - priors[:, :2]), -1)
    sides = (sides / priors[:, 2:]).clamp(0, bins.shape[2] - 1 - 0.1).transpose(1, 2)
    dfl = distribution_focal(bins, sides, dim=2).sum(1)
    dfl = (weight * dfl).sum() / (4 * total)
    return {class_loss: classes, "giou": 2 * giou, "dfl": 0.25 * dfl}
