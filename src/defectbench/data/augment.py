"""Offline augmentation before the split: the protocol ``paper``.

It leaks by construction and is kept to show what that does to a score.
"""

from __future__ import annotations

import json
from pathlib import Path, PurePath
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..base.errors import SplitError
from ..base.files import LONGEST_NAME, atomic_directory, atomic_write_text
from ..base.places import truth_folder
from .coco import SOURCE, coco_content, read_coco
from .pack import read_rgb

COPIES = 5
MAX_DEGREES, BRIGHTNESS = 15.0, 0.3
Boxes = NDArray[np.float64]


def augment_offline(dataset_dir: str | Path, copies: int = COPIES, seed: int = 0) -> None:
    """Make images and annotations of ``paper/split<seed>``: originals and variants, before the split.

    The first copy keeps the original's bytes; the others are flipped, turned by up to 15 degrees
    and brightened or darkened by up to 30 %. Boxes become the hull of their turned corners.

    Args:
        dataset_dir: ``results/data/<dataset>``.
        copies: Images that each original becomes.
        seed: Seed of the draws and of the split behind them; each image has a stream of its own.

    Raises:
        SplitError: There is nothing to copy.
        PackError: An image cannot be decoded.
    """
    if copies < 1:
        raise SplitError(dataset_dir, "copies", copies, "give at least 1, the original")
    folder = Path(dataset_dir)
    out = truth_folder(folder, "paper", seed)
    coco = read_coco(folder / "annotations.json")
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    with atomic_directory(out / "images") as part:
        for name, entry in coco.images.items():
            source = folder / "images" / name
            pixels = read_rgb(source)
            boxes = np.array([b["bbox"] for b in coco.boxes[entry["id"]]], float).reshape(-1, 4)
            labels = [(b["category_id"], b["iscrowd"]) for b in coco.boxes[entry["id"]]]
            for copy in range(copies):
                file = copy_name(name, copy, entry["id"])
                if copy == 0:
                    (part / file).write_bytes(source.read_bytes())
                    moved = boxes
                else:
                    rng = np.random.default_rng([seed, entry["id"], copy])
                    variant, moved = _variant(pixels, boxes, rng)
                    (part / file).write_bytes(_png(variant))
                names = {"file_name": file, SOURCE: name}
                images.append({**entry, "id": len(images) + 1, **names})
                annotations += _annotations(len(images), labels, moved, len(annotations))
    content = coco_content(images, annotations, coco.classes, coco.task)
    atomic_write_text(out / "annotations.json", json.dumps(content) + "\n")


def copy_name(name: str, copy: int, number: int) -> str:
    """File name of a copy; a name at the limit of file systems is cut, and the image's number kept.

    Args:
        name: File name of the original.
        copy: Which copy; the first keeps the original's bytes and so its suffix.
        number: Number of the image, no other's.

    Example:
        >>> copy_name("pit_1.jpg", 2, 7)
        'pit_1__aug2.png'
    """
    path = PurePath(name)
    ending = f"__aug{copy}{path.suffix if copy == 0 else '.png'}"
    room = LONGEST_NAME - len(ending.encode())
    stem = path.stem.encode()
    if len(stem) > room:
        mark = f"~{number}"
        stem = stem[: room - len(mark)].decode(errors="ignore").encode() + mark.encode()
    return stem.decode() + ending


def _png(pixels: NDArray[np.uint8]) -> bytes:
    """PNG of an RGB image, with one channel where the three are equal."""
    grey = pixels[..., 0]
    even = np.array_equal(pixels, np.stack([grey] * 3, axis=-1))
    return cv2.imencode(".png", grey if even else pixels[..., ::-1])[1].tobytes()


def _annotations(
    image_id: int, labels: list[tuple[int, int]], boxes: Boxes, used: int
) -> list[dict[str, Any]]:
    kept = [(c, b) for c, b in zip(labels, boxes.tolist(), strict=True) if b[2] >= 1 and b[3] >= 1]
    return [
        {
            "id": used + n,
            "image_id": image_id,
            "category_id": c,
            "bbox": b,
            "area": b[2] * b[3],
            "iscrowd": is_crowd,
        }
        for n, ((c, is_crowd), b) in enumerate(kept, 1)
    ]


def _variant(
    pixels: NDArray[np.uint8], boxes: Boxes, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], Boxes]:
    height, width = pixels.shape[:2]
    angle = rng.uniform(-MAX_DEGREES, MAX_DEGREES)
    centre = (width / 2 - 0.5, height / 2 - 0.5)
    matrix = np.asarray(cv2.getRotationMatrix2D(centre, angle, 1.0), np.float64)
    if rng.random() < 0.5:
        matrix = matrix @ np.array([[-1, 0, width - 1], [0, 1, 0], [0, 0, 1.0]])
    if rng.random() < 0.5:
        matrix = matrix @ np.array([[1, 0, 0], [0, -1, height - 1], [0, 0, 1.0]])
    turned = cv2.warpAffine(pixels, matrix, (width, height), borderMode=cv2.BORDER_REFLECT_101)
    gain = 1 + rng.uniform(-BRIGHTNESS, BRIGHTNESS)
    bright = np.clip(turned.astype(np.float32) * gain, 0, 255).round().astype(np.uint8)
    return bright, turn_boxes(boxes, matrix, width, height)


def turn_boxes(boxes: Boxes, matrix: NDArray[np.floating], width: int, height: int) -> Boxes:
    """Axis-aligned hulls of turned boxes [N, 4] (x, y, w, h), clipped to the image.

    The matrix maps pixel centres; box corners lie half a pixel beside them.
    """
    x, y, w, h = boxes.T
    xs = np.stack((x, x + w, x, x + w), -1) - 0.5
    ys = np.stack((y, y, y + h, y + h), -1) - 0.5
    tx = matrix[0, 0] * xs + matrix[0, 1] * ys + matrix[0, 2] + 0.5
    ty = matrix[1, 0] * xs + matrix[1, 1] * ys + matrix[1, 2] + 0.5
    x0, x1 = tx.min(1).clip(0, width), tx.max(1).clip(0, width)
    y0, y1 = ty.min(1).clip(0, height), ty.max(1).clip(0, height)
    return np.stack((x0, y0, x1 - x0, y1 - y0), -1)
