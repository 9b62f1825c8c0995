"""Packs of tiles: the images of one part, cut into tiles after the split, written tile by tile."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..base.errors import PackError
from ..base.places import parts_folder
from ..base.tasks import task_named
from ..base.tiling import MOST_TILES, Tiling
from .coco import protocol_coco, read_part
from .letterbox import PAD_VALUE, letterbox
from .mapped import write_streamed
from .pack import IMAGES, TILES, certified_metadata, certified_pixels, read_annotated, read_labels
from .tiling import assign_boxes, count_tiles, cut_to, tile_windows

TRAIN = "train"


def pack_tiles(
    dataset_dir: str | Path,
    protocol: str,
    part: str,
    size: int,
    out: str | Path,
    tiling: Tiling,
    split_seed: int = 0,
) -> None:
    """Cut the images of one part into tiles and write these, one a row. The part is a list of whole images.

    The truth of a tile is that of its image, cut at the tile, as far as enough of a box is visible. The training part
    keeps a share of the tiles that show no defect at all; those that show less of one than counts, and nothing else,
    are neither and are left out. The other parts keep all tiles, so that they make whole images again.

    Args:
        dataset_dir: ``results/data/<dataset>``.
        protocol: Which split; its certificate must be there.
        part: ``train``, ``val`` or ``test``.
        size: Side of the tiles as the network sees them, pixels.
        out: File to write.
        tiling: How images are cut.
        split_seed: Seed of the split, which draws the tiles without a defect that are kept.

    Raises:
        LeakageError: The part's list is not the one that was certified.
        PackError: The size is not positive, the set is for a task without boxes, an image gives too many tiles or
            cannot be decoded, or a box has no area, lies outside its image or names no class.
        SplitError: The part's list is missing.
    """
    if size < 1:
        raise PackError(out, "size", size, "give the side of the network's input in pixels")
    folder = Path(dataset_dir)
    coco, image_dir = protocol_coco(folder, protocol, split_seed)
    if not task_named(coco.task).finds_boxes:
        raise PackError(out, "task", coco.task, "its images are scored whole: pack without tiles")
    parts = parts_folder(folder, protocol, split_seed)
    names, certificate = read_part(parts, part), parts / "certificate.json"
    shared = certified_pixels(certificate, parts / f"{part}.txt")
    truth = read_labels(coco, names, folder / "annotations.json")
    _check_counts(names, truth["original_size"], tiling, image_dir)
    plans = _plans(truth, tiling)
    if part == TRAIN:
        plans = _thinned(plans, tiling.free_share, split_seed)
    if not any(len(plan.windows) for plan in plans):
        fix = "no image shows a defect: keep a share of the tiles without one (`free_share`)"
        raise PackError(out, "tiles", 0, fix)
    tensors = _tensors(plans, truth, size, tiling.side)
    names_of_part = {"dataset": folder.name, "protocol": protocol, "part": part}
    metadata = names_of_part | certified_metadata(coco, size, shared, certificate)
    metadata[TILES] = json.dumps(tiling.model_dump())
    shape = (len(tensors["windows"]), 3, size, size)
    paths = [image_dir / name for name in names]
    rows = _tiles(paths, plans, truth["original_size"], size, tiling.side)
    write_streamed(out, tensors, IMAGES, shape, rows, metadata)


@dataclass(frozen=True)
class _Plan:
    """The tiles of one image that are packed.

    Attributes:
        windows: [T, 4], where they lie.
        has: [K, T], which boxes of the image the truth of each has.
        free: [T], whether none shows even a part of a box.
    """

    windows: NDArray[np.int64]
    has: NDArray[np.bool_]
    free: NDArray[np.bool_]

    def of(self, kept: NDArray[np.bool_]) -> _Plan:
        """Some of the tiles."""
        return _Plan(self.windows[kept], self.has[:, kept], self.free[kept])


def _check_counts(
    names: list[str], sizes: NDArray[np.int64], tiling: Tiling, image_dir: Path
) -> None:
    """Tiles that overlap nearly wholly would fill any disk."""
    for name, (width, height) in zip(names, sizes.tolist(), strict=True):
        count = count_tiles(width, height, tiling)
        if count > MOST_TILES:
            fix = f"cut it into {MOST_TILES:,} at most: give a larger side or less overlap"
            raise PackError(image_dir / name, "tiles", count, fix)


def _plans(truth: dict[str, NDArray[Any]], tiling: Tiling) -> list[_Plan]:
    plans = []
    for boxes, labels, (width, height) in zip(
        truth["boxes"], truth["labels"], truth["original_size"].tolist(), strict=True
    ):
        windows, real = tile_windows(width, height, tiling), boxes[labels >= 0]
        low = np.maximum(real[:, None, :2], windows[None, :, :2])
        high = np.minimum(real[:, None, 2:], windows[None, :, 2:])
        touched = np.asarray((high > low).all(axis=2).any(axis=0), np.bool_)
        plans.append(_Plan(windows, assign_boxes(real, windows, tiling), ~touched))
    return plans


def _thinned(plans: list[_Plan], share: float, seed: int) -> list[_Plan]:
    """Tiles with a box, and a share of those without any defect, drawn over the whole part."""
    free = np.concatenate([plan.free for plan in plans])
    numbers = np.flatnonzero(free)
    kept = np.concatenate([plan.has.any(axis=0) for plan in plans])
    order = np.random.default_rng(seed).permutation(len(numbers))
    kept[numbers[order[: round(share * len(numbers))]]] = True
    ends = np.cumsum([len(plan.windows) for plan in plans])[:-1]
    of_images = np.split(kept, ends)
    return [plan.of(some) for plan, some in zip(plans, of_images, strict=True)]


def _tensors(
    plans: list[_Plan], truth: dict[str, NDArray[Any]], size: int, side: int
) -> dict[str, NDArray[Any]]:
    """All tensors of the pack but the pixels."""
    scale = size / side
    count = sum(len(plan.windows) for plan in plans)
    most = max(1, *(int(plan.has.sum(axis=0).max(initial=0)) for plan in plans))
    boxes = np.zeros((count, most, 4), np.float32)
    labels = np.full((count, most), -1, np.int64)
    row = 0
    for image, plan in enumerate(plans):
        for tile, window in enumerate(plan.windows):
            chosen = np.flatnonzero(plan.has[:, tile])
            boxes[row, : len(chosen)] = cut_to(truth["boxes"][image][chosen], window) * scale
            labels[row, : len(chosen)] = truth["labels"][image][chosen]
            row += 1
    tiles_of = [len(plan.windows) for plan in plans]
    return {
        "boxes": boxes,
        "labels": labels,
        "image_ids": np.repeat(truth["image_ids"], tiles_of),
        "original_size": np.full((count, 2), side, np.int64),
        "scale": np.full(count, scale, np.float32),
        "pad": np.zeros((count, 2), np.float32),
        "windows": np.concatenate([plan.windows for plan in plans]),
        "whole_ids": truth["image_ids"],
        "whole_size": truth["original_size"],
        "whole_boxes": truth["boxes"],
        "whole_labels": truth["labels"],
    }


def _tiles(
    paths: list[Path],
    plans: list[_Plan],
    sizes: NDArray[np.int64],
    size: int,
    side: int,
) -> Iterator[NDArray[np.uint8]]:
    """The pixels of each tile, [3, S, S]; one image is decoded at a time."""
    for path, plan, annotated in zip(paths, plans, sizes.tolist(), strict=True):
        if not len(plan.windows):
            continue
        pixels = read_annotated(path, tuple(annotated))
        for window in plan.windows:
            yield letterbox(crop(pixels, window, side), size)[0].transpose(2, 0, 1)


def crop(pixels: NDArray[np.uint8], window: NDArray[np.int64], side: int) -> NDArray[np.uint8]:
    """A tile of an image [H, W, 3], [side, side, 3]; what lies beside a smaller image is grey."""
    x0, y0, x1, y1 = window.tolist()
    view = pixels[y0:y1, x0:x1]
    below, beside = side - (y1 - y0), side - (x1 - x0)
    if not (below or beside):
        return view
    grey = (PAD_VALUE,) * 3
    return np.asarray(
        cv2.copyMakeBorder(view, 0, below, 0, beside, cv2.BORDER_CONSTANT, value=grey), np.uint8
    )
