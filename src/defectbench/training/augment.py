"""Augmentation as batched tensor operations on the device: one warp and one colour change a batch."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ..base.methods import Augmentation
from .batches import Batch, PackBatches
from .randomness import generator


class Draws:
    """Uniform draws of one step, each purpose from a generator of its own."""

    def __init__(self, seed: int, step: int, count: int, device: torch.device) -> None:
        self.seed, self.step, self.count, self.device = seed, step, count, device

    def uniform(self, purpose: str, low: float, high: float, columns: int = 1) -> Tensor:
        """[B, columns] in low..high."""
        made = torch.rand(self.count, columns, generator=generator(self.seed, self.step, purpose))
        return (made * (high - low) + low).to(self.device)

    def chance(self, purpose: str, probability: float) -> Tensor:
        """Outcome for each image, bool [B]."""
        return self.uniform(purpose, 0, 1)[:, 0] < probability


def augment(
    batch: Batch, settings: Augmentation, seed: int, step: int, source: PackBatches | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Augment one batch.

    Args:
        batch: Images and truth.
        settings: What may happen.
        seed: Seed of the run.
        step: Number of the step.
        source: Where the other three tiles of a mosaic come from.

    Returns:
        Images float32 [B, 3, S, S] in 0..1, boxes [B, M, 4] clipped to the canvas, labels [B, M] with -1 for
        padding and for boxes that left the canvas.
    """
    draws = Draws(seed, step, len(batch.images), batch.images.device)
    images = batch.images.float().mul_(1 / 255)
    boxes, labels = batch.boxes, batch.labels
    if settings.mosaic and source is not None:
        images, boxes, labels = _mosaic(images, boxes, labels, settings, draws, source)
    size = images.shape[-1]
    matrix = warp_matrix(settings, draws, size)
    if matrix is not None:
        images = warp_images(images, matrix)
        boxes = warp_boxes(boxes, matrix, size)
    images = _colour(images, settings, draws)
    alive = ((boxes[..., 2:] - boxes[..., :2]) > 0).all(-1) & (labels >= 0)
    return images, boxes * alive.unsqueeze(-1), labels.masked_fill(~alive, -1)


def warp_matrix(settings: Augmentation, draws: Draws, size: int) -> Tensor | None:
    """Forward affine [B, 2, 3] in pixels about the centre; None where nothing is to be warped."""
    still = settings.scale == settings.stretch == (1.0, 1.0) and not (
        settings.translate or settings.rotate_deg or settings.flip_lr or settings.flip_ud
    )
    if still:
        return None
    zoom = draws.uniform("scale", *settings.scale) * draws.uniform("stretch", *settings.stretch, 2)
    angle = draws.uniform("rotate", -settings.rotate_deg, settings.rotate_deg)[:, 0] * (
        math.pi / 180
    )
    flip_x = 1 - 2 * draws.chance("flip_lr", settings.flip_lr).float()
    flip_y = 1 - 2 * draws.chance("flip_ud", settings.flip_ud).float()
    shift = draws.uniform("translate", -settings.translate, settings.translate, 2) * size
    cos, sin = angle.cos(), angle.sin()
    sx, sy = zoom[:, 0] * flip_x, zoom[:, 1] * flip_y
    linear = torch.stack((cos * sx, -sin * sy, sin * sx, cos * sy), 1).view(-1, 2, 2)
    centre = torch.full((2,), size / 2, device=linear.device)
    offset = centre + shift - linear @ centre
    return torch.cat((linear, offset.unsqueeze(-1)), 2)


def warp_images(images: Tensor, matrix: Tensor) -> Tensor:
    """Move image content by a forward affine; what comes in from outside is black.

    Args:
        images: [B, C, S, S].
        matrix: [B, 2, 3] in pixels, with pixel corners at integers.
    """
    size = images.shape[-1]
    linear = torch.linalg.inv(matrix[:, :, :2])
    # grid_sample runs from -1 to 1 over the same square that pixels span from 0 to S
    centre = torch.full((2,), size / 2, device=matrix.device)
    offset = (linear @ (centre - matrix[:, :, 2]).unsqueeze(-1)).squeeze(-1) - centre
    theta = torch.cat((linear, (offset * (2 / size)).unsqueeze(-1)), 2)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def warp_boxes(boxes: Tensor, matrix: Tensor, size: int) -> Tensor:
    """Hulls [B, M, 4] of warped boxes, clipped to the canvas."""
    x0, y0, x1, y1 = boxes.unbind(-1)
    corners = torch.stack((x0, y0, x1, y0, x0, y1, x1, y1), -1).unflatten(-1, (4, 2))
    moved = corners @ matrix[:, None, :, :2].transpose(-1, -2) + matrix[:, None, None, :, 2]
    return torch.cat((moved.amin(-2), moved.amax(-2)), -1).clamp_(0, size)


def _colour(images: Tensor, settings: Augmentation, draws: Draws) -> Tensor:
    """Brightness, contrast and saturation as one scale and shift per image, then saturation, noise."""
    add = draws.uniform("brightness", -settings.brightness, settings.brightness)
    add = add * draws.chance("brightness?", settings.probability).unsqueeze(1)
    gain = draws.uniform("contrast", *settings.contrast)
    gain = torch.where(draws.chance("contrast?", settings.probability).unsqueeze(1), gain, 1.0)
    if settings.brightness or settings.contrast != (1.0, 1.0):
        images = torch.addcmul((add * gain)[:, :, None, None], images, gain[:, :, None, None])
    if settings.saturation != (1.0, 1.0):
        keep = draws.uniform("saturation", *settings.saturation)
        keep = torch.where(
            draws.chance("saturation?", settings.probability).unsqueeze(1), keep, 1.0
        )
        top = images.amax(1, keepdim=True)  # HSV: value stays, the distance to it is scaled
        images = torch.lerp(top, images, keep[:, :, None, None])
    if settings.noise_std:
        made = torch.randn(images.shape, generator=generator(draws.seed, draws.step, "noise"))
        images = images + made.to(images.device) * settings.noise_std
    return images.clamp_(0, 1)


def _mosaic(
    images: Tensor,
    boxes: Tensor,
    labels: Tensor,
    settings: Augmentation,
    draws: Draws,
    source: PackBatches,
) -> tuple[Tensor, Tensor, Tensor]:
    """Some images become four tiles about a random centre, each tile a window of a whole image."""
    count, size = len(images), images.shape[-1]
    others = draws.uniform("mosaic rows", 0, source.count, 3).long().clamp_(max=source.count - 1)
    extra = source.rows(others.T.reshape(-1))
    tiles = torch.cat((images.unsqueeze(0), (extra.images.float() / 255).unflatten(0, (3, count))))
    tile_boxes = torch.cat((boxes.unsqueeze(0), extra.boxes.unflatten(0, (3, count))))
    tile_labels = torch.cat((labels.unsqueeze(0), extra.labels.unflatten(0, (3, count))))
    centre = draws.uniform("mosaic centre", 0.25 * size, 0.75 * size, 2).round()
    ramp = torch.arange(size, device=images.device)
    right = (ramp >= centre[:, :1])[:, None, None, :]
    low = (ramp >= centre[:, 1:])[:, None, :, None]
    picture = torch.zeros_like(images)
    all_boxes, all_labels = [], []
    for tile in range(4):
        is_right, is_low = tile % 2 == 1, tile >= 2
        mask = (right if is_right else ~right) & (low if is_low else ~low)
        picture = torch.where(mask, tiles[tile], picture)
        window = _window(centre, size, is_right, is_low)
        clipped = torch.cat(
            (
                torch.maximum(tile_boxes[tile][..., :2], window[:, None, :2]),
                torch.minimum(tile_boxes[tile][..., 2:], window[:, None, 2:]),
            ),
            -1,
        )
        inside = ((clipped[..., 2:] - clipped[..., :2]) >= 2).all(-1) & (tile_labels[tile] >= 0)
        all_boxes.append(clipped * inside.unsqueeze(-1))
        all_labels.append(tile_labels[tile].masked_fill(~inside, -1))
    made_boxes, made_labels = torch.cat(all_boxes, 1), torch.cat(all_labels, 1)
    pad = made_labels.shape[1] - labels.shape[1]
    chosen = draws.chance("mosaic?", settings.mosaic)
    images = torch.where(chosen[:, None, None, None], picture, images)
    boxes = torch.where(chosen[:, None, None], made_boxes, F.pad(boxes, (0, 0, 0, pad)))
    labels = torch.where(chosen[:, None], made_labels, F.pad(labels, (0, pad), value=-1))
    return images, boxes, labels


def _window(centre: Tensor, size: int, is_right: bool, is_low: bool) -> Tensor:
    """The tile's window [B, 4] on the canvas."""
    x, y = centre[:, :1], centre[:, 1:]
    zero, full = torch.zeros_like(x), torch.full_like(x, size)
    columns = (x, full) if is_right else (zero, x)
    rows = (y, full) if is_low else (zero, y)
    return torch.cat((columns[0], rows[0], columns[1], rows[1]), 1)
