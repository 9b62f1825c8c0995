"""Mosaics: one picture of four images, of windows of them as in YOLOv4 or of whole ones as in YOLOv5 and YOLOv8."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..nn.waiting import answers_at_once, constant

CORNERS = ((0, 0), (1, 0), (0, 1), (1, 1))  # of tiles: is it right of the centre, is it below


@dataclass(frozen=True)
class Tiles:
    """Four images for each place of a batch: top left, top right, bottom left, bottom right.

    Attributes:
        images: Four of uint8 [B, 3, S, S]; the first are the batch's own.
        boxes: float32 [4, B, M, 4], pixels of their images.
        labels: int64 [4, B, M]; -1 pads.
        centre: float32 [B, 2], x and y of the point where the four meet, whole pixels of the canvas.
        chosen: bool [B]; the others keep their own image alone.
    """

    images: tuple[Tensor, ...]
    boxes: Tensor
    labels: Tensor
    centre: Tensor
    chosen: Tensor

    @property
    def size(self) -> int:
        """Side S of an image, pixels."""
        return self.images[0].shape[-1]


def compose_windows(tiles: Tiles) -> tuple[Tensor, Tensor, Tensor]:
    """Fill each quarter about the centre with the same window of its image (YOLOv4, section 3.3).

    Args:
        tiles: The images, with centres on a canvas of S x S.

    Returns:
        Pictures uint8 [B, 3, S, S], boxes [B, 4 M, 4] clipped to their windows, labels [B, 4 M] with -1 for boxes
        of which less than 2 pixels of a side are left.
    """
    low, high = _windows(tiles)
    ramp = torch.arange(tiles.size, device=low.device)
    seen = (ramp >= low.unsqueeze(-1)) & (ramp < high.unsqueeze(-1))  # [4, B, 2, S]
    picture = tiles.images[0]
    for image, inside in zip(tiles.images[1:], seen[1:], strict=True):
        mask = inside[:, :1, None, :] & inside[:, 1:, :, None]  # columns and rows
        picture = torch.where(mask, image, picture)
    low, high = low.unsqueeze(2), high.unsqueeze(2)
    boxes = torch.cat((tiles.boxes[..., :2].maximum(low), tiles.boxes[..., 2:].minimum(high)), -1)
    least = torch.where(tiles.chosen, 2.0, 0.0)[:, None, None]
    return picture, *_flat(boxes, tiles.labels, (_sides(boxes) >= least).all(-1))


def compose_whole(tiles: Tiles, fill: int) -> tuple[Tensor, Tensor, Tensor]:
    """Put four whole images about a point of a canvas of 2S x 2S, cropped where they leave it (YOLOv5, YOLOv8).

    An image that is not chosen lies alone in the middle of its canvas, so that the warp treats it as any other.

    Args:
        tiles: The images, with centres on a canvas of 2S x 2S.
        fill: Grey about an image that is alone, 0..255.

    Returns:
        Atlas uint8 [B, 3, 2S, 2S], the four images side by side, uncropped: the canvas is a square of the same size
        about another middle, see :func:`canvas_grid`; boxes [B, 4 M, 4] clipped to the canvas, in pixels from the
        corner of its middle S x S; labels [B, 4 M] with -1 for boxes without area.
    """
    size, chosen = tiles.size, tiles.chosen
    first = tiles.images[0]
    atlas = first.new_empty(len(first), 3, 2, size, 2, size)
    for image, (right, below) in zip(tiles.images, CORNERS, strict=True):
        atlas[:, :, below, :, right] = image
    if answers_at_once(chosen):  # those that are alone are few or none
        alone = (~chosen).nonzero()[:, 0]
        atlas[alone] = fill
        atlas[alone, :, 0, :, 0] = first[alone]
    else:
        beside = chosen.view(-1, 1, 1, 1)
        for right, below in CORNERS[1:]:
            part = atlas[:, :, below, :, right]
            part.copy_(torch.where(beside, part, fill))
    corners = constant(CORNERS, tiles.boxes)
    offset = meeting_point(tiles) + size * (corners[:, None] - 1)  # [4, B, 2]
    boxes = tiles.boxes + offset.repeat(1, 1, 2).unsqueeze(2)
    boxes = boxes.clamp_(0, 2 * size) - size / 2
    kept = (_sides(boxes) > 0).all(-1)
    kept[1:] &= chosen[:, None]
    return atlas.view(-1, 3, 2 * size, 2 * size), *_flat(boxes, tiles.labels, kept)


def canvas_grid(grid: Tensor, tiles: Tiles) -> Tensor:
    """Where in the atlas of whole images the pixels of a warp lie.

    Args:
        grid: [B, S, S, 2], places on one image, which is the middle of the canvas; -1..1 across it.
        tiles: What the atlas was made of.

    Returns:
        [B, S, S, 2], -1..1 across the atlas; places beyond the canvas are far outside.
    """
    canvas = grid * 0.5  # of 2S x 2S, as the atlas
    middle = 1 - meeting_point(tiles) / tiles.size
    beyond = F.hardshrink(canvas, 1.0)  # zero within the canvas
    return (canvas + middle[:, None, None, :]).add_(beyond, alpha=4)


def meeting_point(tiles: Tiles) -> Tensor:
    """Where four images meet on a canvas of 2S x 2S, [B, 2]; a lone image ends there, so it lies in the middle."""
    return torch.where(tiles.chosen.unsqueeze(1), tiles.centre, 1.5 * tiles.size)


def _windows(tiles: Tiles) -> tuple[Tensor, Tensor]:
    """Low and high corners [4, B, 2] of the quarters about the centre; a lone image has all, the others nothing."""
    right_or_below = constant(CORNERS, tiles.centre).unsqueeze(1)
    low = tiles.centre * right_or_below
    high = torch.where(right_or_below == 1, float(tiles.size), tiles.centre)
    whole = constant((tiles.size, -1, -1, -1), low)[:, None, None]
    chosen = tiles.chosen.unsqueeze(1)
    return low * chosen, torch.where(chosen, high, whole)


def _sides(boxes: Tensor) -> Tensor:
    """Width and height [..., 2] of boxes [..., 4]."""
    return boxes[..., 2:] - boxes[..., :2]


def _flat(boxes: Tensor, labels: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
    """Boxes [4, B, M, 4] and labels [4, B, M] of four tiles as [B, 4 M, 4] and [B, 4 M], zeros and -1 if not kept."""
    kept = kept & (labels >= 0)
    boxes, labels = boxes * kept.unsqueeze(-1), labels.masked_fill(~kept, -1)
    return boxes.transpose(0, 1).flatten(1, 2), labels.transpose(0, 1).flatten(1, 2)
