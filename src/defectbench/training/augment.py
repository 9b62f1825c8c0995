"""Augmentation as batched tensor operations on the device: one warp and one colour change a batch."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ..base.methods import Augmentation
from ..nn.waiting import answers_at_once
from .batches import Batch, PackBatches, sent
from .mosaic import Tiles, canvas_grid, compose_whole, compose_windows
from .randomness import generator

MAX_ASPECT = 100


class Draws:
    """Uniform draws of one step, each purpose from a generator of its own."""

    def __init__(self, seed: int, step: int, count: int, device: torch.device) -> None:
        self.seed, self.step, self.count, self.device = seed, step, count, device

    def on_processor(self, purpose: str, low: float, high: float, columns: int = 1) -> Tensor:
        """[B, columns] in low..high, where the program can look at it at once."""
        made = torch.rand(self.count, columns, generator=generator(self.seed, self.step, purpose))
        return made * (high - low) + low

    def uniform(self, purpose: str, low: float, high: float, columns: int = 1) -> Tensor:
        """[B, columns] in low..high."""
        return sent(self.on_processor(purpose, low, high, columns), self.device)

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
        padding and for boxes of which too little is left (:func:`enough_left`). With mosaics, M is four times
        the batch's.
    """
    draws = Draws(seed, step, len(batch.images), batch.images.device)
    size, fill = batch.images.shape[-1], round(255 * settings.fill)
    images, boxes, labels, tiles = batch.images, batch.boxes, batch.labels, None
    matrix = warp_matrix(settings, draws, size, batch.scale)
    if settings.mosaic and source is not None:
        tiles = _draw_tiles(batch, settings, draws, source)
        if settings.mosaic_form == "windows":
            images, boxes, labels = compose_windows(tiles)
        else:
            images, boxes, labels = compose_whole(tiles, fill)
            if matrix is None:  # the output is still the middle of the canvas
                matrix = torch.eye(2, 3, device=images.device).expand(len(images), 2, 3)
    images, moved = images.float().mul_(1 / 255), boxes
    if matrix is not None:
        grid = warp_grid(matrix, size)
        if tiles is not None and settings.mosaic_form == "whole":
            grid = canvas_grid(grid, tiles)
        images = sample(images.sub_(fill / 255), grid).add_(fill / 255)
        moved = warp_boxes(boxes, matrix, size)
    images = _colour(images, settings, draws)
    alive = enough_left(boxes, moved, matrix, settings) & (labels >= 0)
    return images, moved * alive.unsqueeze(-1), labels.masked_fill(~alive, -1)


def _draw_tiles(batch: Batch, settings: Augmentation, draws: Draws, source: PackBatches) -> Tiles:
    """Three more images for each of a batch, and where the four meet: within the middle half of the canvas."""
    size, canvas = batch.images.shape[-1], 2 if settings.mosaic_form == "whole" else 1
    drawn = draws.on_processor("mosaic rows", 0, source.count, 3)
    rows = drawn.long().clamp_(max=source.count - 1)
    others = source.rows(rows.T.reshape(-1))
    shape = (3, len(batch.images))
    centre = draws.uniform("mosaic centre", 0.25 * canvas * size, 0.75 * canvas * size, 2)
    return Tiles(
        (batch.images, *others.images.unflatten(0, shape)),
        torch.cat((batch.boxes.unsqueeze(0), others.boxes.unflatten(0, shape))),
        torch.cat((batch.labels.unsqueeze(0), others.labels.unflatten(0, shape))),
        centre.round(),
        draws.chance("mosaic?", settings.mosaic),
    )


def warp_matrix(
    settings: Augmentation, draws: Draws, size: int, native: Tensor | None = None
) -> Tensor | None:
    """Forward affine [B, 2, 3] in pixels about the centre; None where nothing is to be warped.

    Args:
        settings: What may happen.
        draws: Of the step.
        size: Side of the images, pixels.
        native: [B], pixels of an image an original pixel: what ``native_crop`` undoes; None stands for 1.
    """
    crops = settings.native_crop > 0 and native is not None
    still = settings.scale == settings.stretch == (1.0, 1.0) and not (
        settings.translate or settings.rotate_deg or settings.flip_lr or settings.flip_ud or crops
    )
    if still:
        return None
    zoom = draws.uniform("scale", *settings.scale) * draws.uniform("stretch", *settings.stretch, 2)
    if settings.native_crop and native is not None:
        seen = draws.chance("native crop", settings.native_crop)
        zoom = zoom / torch.where(seen, native, 1.0).unsqueeze(1)
    angle = draws.uniform("rotate", -settings.rotate_deg, settings.rotate_deg)[:, 0] * (
        math.pi / 180
    )
    flips_x, flips_y = (
        draws.chance(name, getattr(settings, name)) for name in ("flip_lr", "flip_ud")
    )
    if settings.flips == "one":
        across = draws.chance("flip across?", 0.5)
        flips_x, flips_y = flips_x & across, flips_y & ~across
    flip_x, flip_y = 1 - 2 * flips_x.float(), 1 - 2 * flips_y.float()
    shift = draws.uniform("translate", -settings.translate, settings.translate, 2) * size
    cos, sin = angle.cos(), angle.sin()
    sx, sy = zoom[:, 0] * flip_x, zoom[:, 1] * flip_y
    linear = torch.stack((cos * sx, -sin * sy, sin * sx, cos * sy), 1).view(-1, 2, 2)
    centre = torch.full((2,), size / 2, device=linear.device)
    offset = centre + shift - linear @ centre
    return torch.cat((linear, offset.unsqueeze(-1)), 2)


def warp_grid(matrix: Tensor, size: int) -> Tensor:
    """Where the pixels of a warped image come from, [B, S, S, 2], -1..1 across the image.

    Args:
        matrix: Forward affine [B, 2, 3] in pixels, with pixel corners at integers.
        size: Side S, pixels.
    """
    linear = inverse(matrix[:, :, :2])
    # a grid runs from -1 to 1 over the same square that pixels span from 0 to S
    centre = torch.full((2,), size / 2, device=matrix.device)
    offset = (linear @ (centre - matrix[:, :, 2]).unsqueeze(-1)).squeeze(-1) - centre
    ramp = (torch.arange(size, device=matrix.device) * 2 + 1) / size - 1
    columns = ramp[:, None] * linear[:, None, :, 0]
    rows = ramp[:, None] * linear[:, None, :, 1] + (offset * (2 / size)).unsqueeze(1)
    return columns.unsqueeze(1) + rows.unsqueeze(2)


def determinant(linear: Tensor) -> Tensor:
    """Determinants [B] of maps [B, 2, 2]; on a GPU by hand, where the library's solvers may wait."""
    if answers_at_once(linear):
        return torch.linalg.det(linear)
    (a, b), (c, d) = (row.unbind(-1) for row in linear.unbind(-2))
    return a * d - b * c


def inverse(linear: Tensor) -> Tensor:
    """Inverses of maps [B, 2, 2]; no zoom is 0, so that each has one, and none is asked whether it has."""
    if answers_at_once(linear):
        return torch.linalg.inv_ex(linear).inverse
    (a, b), (c, d) = (row.unbind(-1) for row in linear.unbind(-2))
    adjugate = torch.stack((d, -b, -c, a), -1).view(-1, 2, 2)
    return adjugate / determinant(linear).view(-1, 1, 1)


def sample(images: Tensor, grid: Tensor) -> Tensor:
    """Values [B, C, S, S] of images [B, C, H, W] at a grid [B, S, S, 2]; zero outside of them."""
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def warp_boxes(boxes: Tensor, matrix: Tensor, size: int) -> Tensor:
    """Hulls [B, M, 4] of warped boxes, clipped to the canvas."""
    x0, y0, x1, y1 = boxes.unbind(-1)
    corners = torch.stack((x0, y0, x1, y0, x0, y1, x1, y1), -1).unflatten(-1, (4, 2))
    moved = corners @ matrix[:, None, :, :2].transpose(-1, -2) + matrix[:, None, None, :, 2]
    return torch.cat((moved.amin(-2), moved.amax(-2)), -1).clamp_(0, size)


def enough_left(
    before: Tensor, after: Tensor, matrix: Tensor | None, settings: Augmentation
) -> Tensor:
    """Which boxes a warp leaves large enough to be learnt, bool [B, M].

    Sides must exceed ``min_side_px`` and the area must exceed ``min_visible`` of what the zoom makes of the area
    before; with either of them set, a side must also be shorter than 100 times the other (YOLOv5, YOLOv8).

    Args:
        before: [B, M, 4] pixels, clipped to the canvas.
        after: [B, M, 4] pixels, clipped to the output.
        matrix: The warp [B, 2, 3]; None where there was none.
        settings: With the limits.
    """
    sides = after[..., 2:] - after[..., :2]
    enough = (sides > settings.min_side_px).all(-1)
    if settings.min_visible:
        area = (before[..., 2:] - before[..., :2]).prod(-1)
        if matrix is not None:
            area = area * determinant(matrix[:, :, :2]).abs().unsqueeze(1)
        enough &= sides.prod(-1) > settings.min_visible * area
    if settings.min_side_px or settings.min_visible:
        enough &= sides.amax(-1) < MAX_ASPECT * sides.amin(-1)
    return enough


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
        source = generator(draws.seed, draws.step, "noise", images.device)
        made = torch.randn(images.shape, generator=source, device=images.device)
        images = images + made * settings.noise_std
    return images.clamp_(0, 1)
