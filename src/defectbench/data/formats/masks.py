"""Masks: a picture for each image, of its size, whose pixels say what they show; each connected component is a box."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...base.cards import DatasetCard
from ...base.errors import ConversionError
from ...base.layouts import Mask
from ..damage import damage_named
from ..pairing import Decoded, decode
from .label import Label, LabelledBox, LabelledSet, read_files

COORDINATES = "a box is the columns and rows that its component fills, 8 neighbours connected"
_NEIGHBOURS = 8


def open_masks(card: DatasetCard, raw: Path) -> LabelledSet:
    """A set with a mask for each image; see ``BoxReader``."""
    mask = card.layout.mask
    assert mask is not None  # the layout checks it
    return read_files(
        card,
        raw,
        lambda path, size: read_mask(path, size, mask),
        coordinates=COORDINATES,
        pixels="",
    )


def read_mask(path: Path, size: Decoded, mask: Mask) -> Label:
    """Read one mask.

    Args:
        path: The file.
        size: Of the image.
        mask: What its pixels mean.

    Raises:
        ConversionError: It is no picture of the image's size, or a pixel means nothing.
    """
    decoded = decode(path)
    if (decoded.width, decoded.height) != (size.width, size.height):
        fix = (
            f"its image has {size.width} x {size.height} pixels: get the mask that was made for it"
        )
        raise ConversionError(path, "size", f"{decoded.width} x {decoded.height}", fix)
    kinds, repairs = _kinds(path, mask)
    boxes, small = [], []
    for kind, name in enumerate(mask.values, 1):
        _, _, statistics, _ = cv2.connectedComponentsWithStats(
            (kinds == kind).astype(np.uint8), connectivity=_NEIGHBOURS
        )
        for x, y, width, height, area in statistics[1:].tolist():  # the first is the rest
            corners = (float(x), float(y), float(x + width), float(y + height))
            if area < mask.least_area:
                small.append({"label": path.name, "name": name, "box": list(corners), "area": area})
            else:
                boxes.append(LabelledBox(name, corners, "pixels", "pixels"))
    repairs["components_left_out"] = small
    return Label(path.name, boxes, repairs=repairs)


def _kinds(path: Path, mask: Mask) -> tuple[NDArray[np.uint8], dict[str, list[dict[str, Any]]]]:
    """What each pixel shows, 0 for the background, else a class counted from 1; and what was read as the nearest."""
    pixels = _pixels(path, mask.is_colours)
    codes = np.zeros(pixels.shape[:2], np.uint32)
    for channel in np.moveaxis(
        pixels, 2, 0
    ):  # as one number, which is sorted far sooner than a row
        codes = codes << 8 | channel
    _, first, inverse, counts = np.unique(
        codes, return_index=True, return_inverse=True, return_counts=True
    )
    values = pixels.reshape(-1, pixels.shape[2])[first]
    meant = np.array(mask.all_values, np.int16).reshape(len(mask.all_values), -1)
    distances = np.stack([np.abs(values.astype(np.int16) - value).max(axis=1) for value in meant])
    nearest, far = distances.argmin(axis=0), distances.min(axis=0)
    strange = np.flatnonzero(far > mask.tolerance)
    if len(strange):
        worst = strange[counts[strange].argmax()]
        told = values[worst].tolist() if mask.is_colours else int(values[worst][0])
        fix = f"{counts[strange].sum()} pixels are of no value that the card names: add that value to its `mask`, "
        fix += "or raise `tolerance` if the mask was saved with loss"
        raise ConversionError(path, "pixels", told, fix)
    changed = int(counts[far > 0].sum())
    entry = {"label": path.name, "pixels": changed, "farthest": int(far.max())}
    kinds = nearest.astype(np.uint8)[inverse.reshape(-1)].reshape(pixels.shape[:2])
    return kinds, {"colours_read_as_nearest": [entry] if changed else []}


def _pixels(path: Path, is_colours: bool) -> NDArray[np.uint8]:
    """Levels [H, W, 3] of colours, or [H, W, 1] of indices, which are those of a palette; alpha is left out."""
    with damage_named(path, ConversionError, "mask", "get a whole copy"), Image.open(path) as image:
        if is_colours:
            return np.asarray(image.convert("RGB"), np.uint8)
        channels, bands = np.asarray(image, np.uint8), image.getbands()
    channels = channels.reshape(*channels.shape[:2], -1)[..., : len(bands) - ("A" in bands)]
    if channels.shape[2] > 1 and not (channels == channels[..., :1]).all():
        fix = "indices are of one channel: write colours in the card's `mask`"
        raise ConversionError(path, "channels", channels.shape[2], fix)
    return channels[..., :1]
