"""Denoising of DETR (Zhang et al., DINO, ICLR 2023): queries that start near true boxes learn beside the others.

Groups of queries hold each box of an image twice: once with its corners moved by less than half a side, which it has to
find back, and once moved farther, which is to say that there is nothing. Groups do not see each other, and the queries
that have to find boxes by themselves see none of them.

As many places as there may be are laid out, and which of them count is told by masks: nothing is asked of the device.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .query_decoder import FARTHEST

OTHER_CLASS = 0.25  # chance of another class, which may be the same


@dataclass(frozen=True)
class DenoisingQueries:
    """True boxes in disguise: places [S] that have to be found back, then as many that have not.

    Attributes:
        labels: int64 [B, 2 S], classes shown; the number of classes where an image has no such box.
        boxes: [B, 2 S, 4], centre and sides as logits of shares of the image.
        group: int64 [2 S], which group each is in.
        truth: int64 [B, S], row of ``Targets`` that each is made of.
        found: bool [B, S], which of them are made of a box.
        counted: bool [2 S], which places belong to a group that is whole.
        groups: Number of those groups, a scalar.
    """

    labels: Tensor
    boxes: Tensor
    group: Tensor
    truth: Tensor
    found: Tensor
    counted: Tensor
    groups: Tensor

    def mask(self, queries: int) -> Tensor:
        """Who may look at whom, bool [2 S + Q, 2 S + Q], for so many queries behind these."""
        groups = torch.cat((self.group, self.group.new_full((queries,), -1)))
        return (groups.unsqueeze(1) == groups) | (groups == -1)


@torch.no_grad()
def add_noise(boxes: Tensor, labels: Tensor, nc: int, count: int) -> DenoisingQueries:
    """Disguise the boxes of a batch; draws come from torch's own generator.

    Args:
        boxes: [B, M, 4], centre and sides as shares of the image, M at least 1.
        labels: int64 [B, M]; -1 pads.
        nc: Number of classes.
        count: About how many places there are; groups are as many as fit, at least one.
    """
    batch, rows = labels.shape
    places = max(count, rows)
    order = (labels < 0).to(torch.int8).sort(stable=True, dim=1).indices
    of_image = (labels >= 0).sum(1, keepdim=True)
    most = of_image.max().clamp(min=1)
    groups = (count // most).clamp(min=1)
    number = torch.arange(places, device=boxes.device)
    group, place = number // most, number % most
    truth = order.gather(1, place.expand(batch, -1))
    whole = group < groups
    found = whole & (place < of_image)
    shown = labels.gather(1, truth).masked_fill(~found, nc).repeat(1, 2)
    drawn = torch.rand(batch, 2 * places, 10, device=boxes.device)
    other = (drawn[..., 1] * nc).long().clamp(max=nc - 1)
    shown = torch.where((drawn[..., 0] < OTHER_CLASS) & (shown < nc), other, shown)
    true = boxes.gather(1, truth.unsqueeze(-1).expand(-1, -1, 4)) * found.unsqueeze(-1)
    farther = (torch.arange(2 * places, device=boxes.device) >= places).view(1, -1, 1)
    return DenoisingQueries(
        labels=shown,
        boxes=_moved(true.repeat(1, 2, 1), drawn[..., 2:6] + farther, drawn[..., 6:] < 0.5),
        group=group.repeat(2),
        truth=truth,
        found=found,
        counted=whole.repeat(2),
        groups=groups,
    )


def _moved(boxes: Tensor, steps: Tensor, back: Tensor) -> Tensor:
    """Boxes whose corner coordinates move by steps of half a side, as logits.

    Args:
        boxes: [..., 4], centre and sides.
        steps: [..., 4].
        back: Bool [..., 4], which go to the left and upwards.
    """
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    corners = torch.cat((centre - half, centre + half), -1)
    halves = torch.cat((half, half), -1)
    corners = (corners + torch.where(back, -steps, steps) * halves).clamp(0, 1)
    low, high = corners.split(2, -1)
    return torch.cat(((low + high) / 2, high - low), -1).logit(1e-5).clamp(-FARTHEST, FARTHEST)
