"""Random changes of training images, as a recipe names them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from .bounds import LARGEST_SIDE
from .strict import Strict


def _in_order(span: tuple[float, float]) -> tuple[float, float]:
    if span[0] > span[1]:
        raise ValueError("write the smaller end first")
    return span


Share = Annotated[float, Field(ge=0, le=1)]
Factor = Annotated[float, Field(ge=0, le=100)]
Zoom = Annotated[float, Field(gt=0.01, le=100)]
Factors = Annotated[tuple[Factor, Factor], AfterValidator(_in_order)]
Zooms = Annotated[tuple[Zoom, Zoom], AfterValidator(_in_order)]


class Augmentation(Strict):
    """Random changes of a training batch; spans are drawn uniformly.

    Attributes:
        scale: Zoom about the centre.
        stretch: Extra zoom of x and of y, independently.
        translate: Largest shift of the centre, share of the side.
        rotate_deg: Largest rotation, degrees.
        flip_lr: Probability of a left-right flip.
        flip_ud: Probability of an up-down flip.
        flips: Whether an image gets both flips independently, or may get ``one`` of them, drawn at even odds.
        native_crop: Probability that an image is seen in its own pixels about its centre, cropped or with a border.
        brightness: Largest added brightness, of 1.
        contrast: Factor.
        saturation: Factor.
        probability: Probability of each colour change.
        noise_std: Standard deviation of Gaussian noise, of 1.
        mosaic: Probability of a mosaic of four images.
        mosaic_form: ``whole``: four images on a canvas of twice the side, of which the warp shows a part (YOLOv5,
            YOLOv8, YOLOX); ``windows``: one window of each of four images, together of the size of one (YOLOv4).
        close_epochs: Last epochs without mosaic.
        fill: Grey of what a warp or a mosaic uncovers, of 1; the nearest of 256 levels is taken.
        min_side_px: A box is dropped unless both of its sides exceed this after the warp, pixels.
        min_visible: A box is dropped unless more than this share of its zoomed area is in the picture.
    """

    scale: Zooms = (1.0, 1.0)
    stretch: Zooms = (1.0, 1.0)
    translate: Share = 0.0
    rotate_deg: float = Field(default=0.0, ge=0, le=180)
    flip_lr: Share = 0.0
    flip_ud: Share = 0.0
    flips: Literal["independent", "one"] = "independent"
    native_crop: Share = 0.0
    brightness: Share = 0.0
    contrast: Factors = (1.0, 1.0)
    saturation: Factors = (1.0, 1.0)
    probability: Share = 0.5
    noise_std: Share = 0.0
    mosaic: Share = 0.0
    mosaic_form: Literal["whole", "windows"] = "whole"
    close_epochs: int = Field(default=0, ge=0, le=1_000_000)
    fill: Share = 0.0
    min_side_px: float = Field(default=0.0, ge=0, le=LARGEST_SIDE)
    min_visible: Share = 0.0
