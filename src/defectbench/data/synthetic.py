"""The embedded dataset: procedural rolled steel with six classes of defects and exact boxes.

Strips of steel are drawn, then cut into crops that may overlap, as in NEU-DET. Boxes, groups and
shifts are known by construction, so the set is also the ground truth for tests of the overlap
finder, splits and measures.
One seed gives the same bytes: each strip has a random stream of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
from numpy.typing import NDArray

from ..base.cards import DefectLook
from ..base.errors import ConfigError
from ..base.files import (
    atomic_directory,
    atomic_write_json,
    atomic_write_text,
    refuse_others_files,
)
from ..base.tasks import ANOMALY, CLASSIFICATION, DETECTION
from .synthetic_defects import AS_DRAWN, DRAWERS, tight_slices
from .synthetic_strip import Placed, Strip, draw_strip
from .synthetic_texture import Rng

CLASSES = tuple(DRAWERS)
FACTS = "synthetic.json"  # counts of a set; shows that a folder was drawn here
IMAGES, SIZE, LEAST_SIZE_PX = 360, 200, 128
CLASS_IMAGES, CLASS_SIZE = 360, 128
ANOMALY_IMAGES, ANOMALY_SIZE = 400, 128
DEFECT_FREE_SHARE = 0.08
ANOMALY_FREE_SHARE = 0.7
DEFECT_FREE = "defect_free"  # folder of the images without a defect
VISIBLE_SHARE = 0.15  # a box stays in a crop if at least this share of the defect's pixels is in it
LEAST_BOX_PX = 6
LARGEST_CROWD = 6
CROPS_PER_STRIP = {1: 0.62, 2: 0.2, 3: 0.12, 4: 0.06}

Box = tuple[str, int, int, int, int]


@dataclass(frozen=True)
class Crop:
    """One image of the set.

    Attributes:
        file_name: ``strip<k>_<j>.png``.
        group: Number of the strip.
        row: First row of the crop in its strip, pixels.
        column: First column of the crop in its strip, pixels.
        pixels: Grey image, uint8 [size, size].
        boxes: Class and 0-based corners x0, y0, x1, y1; x1 and y1 are exclusive.
    """

    file_name: str
    group: int
    row: int
    column: int
    pixels: NDArray[np.uint8]
    boxes: list[Box]


def synthesize(
    out_dir: str | Path,
    seed: int = 0,
    images: int = IMAGES,
    size: int = SIZE,
    look: DefectLook = AS_DRAWN,
) -> None:
    """Draw the set and write it.

    Makes ``IMAGES/`` (8-bit grey PNG), ``ANNOTATIONS/`` (VOC), ``groups.csv``, ``overlaps.csv``
    (dx, dy: origin of the second image in the first) and ``synthetic.json`` (counts).

    Args:
        out_dir: Folder to make; an older one is replaced as a whole.
        seed: Everything follows from it, to the byte.
        images: Number of images.
        size: Side of an image, pixels.
        look: How plainly the defects show.

    Raises:
        ConfigError: ``images``, ``size`` or ``seed`` is too small.
        FileAccessError: The folder holds files that were not drawn here.

    Example:
        >>> synthesize("results/data/demo-steel/raw", seed=0)  # doctest: +SKIP
    """
    _check_limits(out_dir, images, size, seed)
    with atomic_directory(out_dir) as folder:
        (folder / "IMAGES").mkdir()
        (folder / "ANNOTATIONS").mkdir()
        crops: list[Crop] = []
        for crop in draw_crops(seed, images, size, look):
            _write_crop(folder, crop)
            crops.append(crop)
        _write_tables(folder, crops, seed, size, look)


def synthesize_classes(
    out_dir: str | Path,
    seed: int = 0,
    images: int = CLASS_IMAGES,
    size: int = CLASS_SIZE,
    look: DefectLook = AS_DRAWN,
) -> None:
    """Draw a set for classification: crops of the same steel that show defects of one class only.

    Makes ``IMAGES/<class>/`` (8-bit grey PNG), the other files as ``synthesize`` does.

    Args:
        out_dir: Folder to make; an older one is replaced as a whole.
        seed: Everything follows from it, to the byte.
        images: Number of crops that are drawn; those of several classes, or none, are left out.
        size: Side of an image, pixels.
        look: How plainly the defects show.

    Raises:
        ConfigError: ``images``, ``size`` or ``seed`` is too small.
        FileAccessError: The folder holds files that were not drawn here.
    """
    _check_limits(out_dir, images, size, seed)
    with atomic_directory(out_dir) as folder:
        drawn = draw_crops(seed, images, size, look)
        crops = [c for c in drawn if len({box[0] for box in c.boxes}) == 1]
        for crop in crops:
            _write_in_folder(folder / "IMAGES" / crop.boxes[0][0], crop)
        _write_tables(folder, crops, seed, size, look)


def synthesize_anomalies(
    out_dir: str | Path,
    seed: int = 0,
    images: int = ANOMALY_IMAGES,
    size: int = ANOMALY_SIZE,
    look: DefectLook = AS_DRAWN,
) -> None:
    """Draw a set most of which is free of defects: crops of the same steel, bare strips and strips with defects.

    Makes ``IMAGES/defect_free/`` and ``IMAGES/<class>/`` by the commonest class of a crop (8-bit grey PNG), the other
    files as ``synthesize`` does.

    Args:
        out_dir: Folder to make; an older one is replaced as a whole.
        seed: Everything follows from it, to the byte.
        images: Number of crops.
        size: Side of an image, pixels.
        look: How plainly the defects show.

    Raises:
        ConfigError: ``images``, ``size`` or ``seed`` is too small.
        FileAccessError: The folder holds files that were not drawn here.
    """
    _check_limits(out_dir, images, size, seed)
    with atomic_directory(out_dir) as folder:
        crops = list(draw_crops(seed, images, size, look, ANOMALY_FREE_SHARE))
        for crop in crops:
            names = Counter(box[0] for box in crop.boxes)
            shown = max(names, key=lambda name: names[name]) if names else DEFECT_FREE
            _write_in_folder(folder / "IMAGES" / shown, crop)
        _write_tables(folder, crops, seed, size, look)


def _write_in_folder(folder: Path, crop: Crop) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / crop.file_name), crop.pixels)


def _check_limits(out_dir: str | Path, images: int, size: int, seed: int) -> None:
    refuse_others_files(Path(out_dir), Path(out_dir) / FACTS)
    limits = (("images", images, 1), ("size", size, LEAST_SIZE_PX), ("seed", seed, 0))
    for name, value, least in limits:
        if value < least:
            raise ConfigError(out_dir, name, value, f"use at least {least}")


def draw_crops(
    seed: int,
    images: int = IMAGES,
    size: int = SIZE,
    look: DefectLook = AS_DRAWN,
    defect_free_share: float = DEFECT_FREE_SHARE,
) -> Iterator[Crop]:
    """Yield the images of the set in order, strip by strip."""
    for group, (name, count) in enumerate(_plan(_stream(seed), images, defect_free_share)):
        strip = _draw_balanced_strip(_stream(seed, group), name, count, size, look)
        for number, (row, column) in enumerate(strip.windows):
            window = (slice(row, row + size), slice(column, column + size))
            file_name = f"strip{group:03d}_{number}.png"
            boxes = visible_boxes(strip.defects, row, column, size)
            yield Crop(file_name, group, row, column, strip.pixels[window], boxes)


def visible_boxes(defects: list[Placed], row: int, column: int, size: int) -> list[Box]:
    """Boxes tight to what a crop shows of each defect, of those that show enough.

    Args:
        defects: Defects of the strip.
        row: First row of the crop in the strip.
        column: First column of the crop in the strip.
        size: Side of the crop, pixels.
    """
    boxes = [_visible_box(placed, row, column, size) for placed in defects]
    return [box for box in boxes if box is not None]


def _visible_box(placed: Placed, row: int, column: int, size: int) -> Box | None:
    mask = placed.defect.mask
    top, left = max(row - placed.row, 0), max(column - placed.column, 0)
    bottom, right = max(row + size - placed.row, 0), max(column + size - placed.column, 0)
    shown = mask[top:bottom, left:right]
    if np.count_nonzero(shown) < max(1.0, VISIBLE_SHARE * np.count_nonzero(mask)):
        return None
    rows, columns = tight_slices(shown)
    y0, x0 = placed.row - row + top, placed.column - column + left
    box = (x0 + columns.start, y0 + rows.start, x0 + columns.stop, y0 + rows.stop)
    if min(box[2] - box[0], box[3] - box[1]) < LEAST_BOX_PX:
        return None
    return (placed.defect.name, *box)


def _stream(seed: int, *key: int) -> Rng:
    """An independent stream of random numbers for a key; PCG64 is the same on every machine."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))


def _plan(rng: Rng, images: int, defect_free_share: float) -> Iterator[tuple[str | None, int]]:
    """Yield class (None: defect-free) and number of crops of each strip, classes in balance."""
    with_defects = (1 - defect_free_share) / len(CLASSES)
    wanted: dict[str | None, float] = dict.fromkeys(CLASSES, with_defects)
    wanted[None] = defect_free_share
    made: Counter[str | None] = Counter()
    while (left := images - made.total()) > 0:
        name = max(wanted, key=lambda kind: wanted[kind] * (made.total() + 1) - made[kind])
        drawn = rng.choice(list(CROPS_PER_STRIP), p=list(CROPS_PER_STRIP.values()))
        count = min(int(drawn), left, 4 if name else 2)
        made[name] += count
        yield name, count


def _draw_balanced_strip(
    rng: Rng, name: str | None, count: int, size: int, look: DefectLook
) -> Strip:
    """Draw strips until each crop shows its class most; nothing where that is None."""
    while True:
        strip = draw_strip(rng, name, count, size, look)
        shown = [visible_boxes(strip.defects, *window, size) for window in strip.windows]
        if all(_leads(name, boxes) for boxes in shown):
            return strip


def _leads(name: str | None, boxes: list[Box]) -> bool:
    counts = Counter(box[0] for box in boxes)
    if name is None:
        return not boxes
    most = max((n for other, n in counts.items() if other != name), default=0)
    return len(boxes) <= LARGEST_CROWD and counts[name] > most


def _write_crop(folder: Path, crop: Crop) -> None:
    done, png = cv2.imencode(".png", crop.pixels, [cv2.IMWRITE_PNG_COMPRESSION, 4])
    assert done  # an 8-bit grey image can always be coded
    (folder / "IMAGES" / crop.file_name).write_bytes(png.tobytes())
    label = folder / "ANNOTATIONS" / Path(crop.file_name).with_suffix(".xml")
    label.write_bytes(voc_label(crop) + b"\n")


def voc_label(crop: Crop) -> bytes:
    """Pascal VOC label of a crop: corners 1-based and inclusive."""
    root = ElementTree.Element("annotation")
    ElementTree.SubElement(root, "filename").text = crop.file_name
    _append(root, "size", width=crop.pixels.shape[1], height=crop.pixels.shape[0], depth=1)
    for name, x0, y0, x1, y1 in crop.boxes:
        node = ElementTree.SubElement(root, "object")
        ElementTree.SubElement(node, "name").text = name
        _append(node, "bndbox", xmin=x0 + 1, ymin=y0 + 1, xmax=x1, ymax=y1)
    ElementTree.indent(root)
    return ElementTree.tostring(root)


def _append(parent: ElementTree.Element, tag: str, **values: int) -> None:
    node = ElementTree.SubElement(parent, tag)
    for key, value in values.items():
        ElementTree.SubElement(node, key).text = str(value)


def true_overlaps(crops: list[Crop]) -> list[tuple[str, str, int, int, float]]:
    """Pairs that show the same steel.

    Returns:
        Both file names, origin of the second image in the first (dx, dy) in pixels, and the shared
        area as a share of an image.
    """
    pairs = []
    for a, b in combinations(crops, 2):
        side = a.pixels.shape[0]
        dx, dy = b.column - a.column, b.row - a.row
        share = max(0, side - abs(dx)) * max(0, side - abs(dy)) / side**2
        if a.group == b.group and share > 0:
            pairs.append((a.file_name, b.file_name, dx, dy, share))
    return pairs


def _write_tables(folder: Path, crops: list[Crop], seed: int, size: int, look: DefectLook) -> None:
    pairs = true_overlaps(crops)
    groups = "".join(f"{crop.file_name},{crop.group}\n" for crop in crops)
    overlaps = "".join(f"{a},{b},{dx},{dy},{share:.6f}\n" for a, b, dx, dy, share in pairs)
    atomic_write_text(folder / "groups.csv", "file_name,group\n" + groups)
    atomic_write_text(folder / "overlaps.csv", "image_a,image_b,dx,dy,shared_area\n" + overlaps)
    names = Counter(box[0] for crop in crops for box in crop.boxes)
    facts = {
        "seed": seed,
        "size_px": size,
        "look": look.model_dump(),
        "images": len(crops),
        "images_without_defect": sum(not crop.boxes for crop in crops),
        "boxes": names.total(),
        "boxes_per_class": {name: names[name] for name in CLASSES},
        "groups": len({crop.group for crop in crops}),
        "overlapping_pairs": len(pairs),
        "least_visible_share": VISIBLE_SHARE,
    }
    atomic_write_json(folder / FACTS, facts)


# by task: what draws the embedded set for it
SYNTHESIZERS: Mapping[str, Callable[..., None]] = {
    DETECTION.name: synthesize,
    CLASSIFICATION.name: synthesize_classes,
    ANOMALY.name: synthesize_anomalies,
}
