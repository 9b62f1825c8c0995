"""Controls: programs that learn nothing and mark floor and ceiling of a table.

``memoriser`` copies training boxes across overlapping images: what a split leaks. ``class_prior``
says the same boxes for every image. ``oracle`` says the truth: anything but 1.0 is an error of the
measure. ``label_jitter`` says the truth as a second annotator would, with the disagreement measured
between overlapping images: a soft ceiling.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.errors import ConfigError, MeasurementError
from ..base.files import atomic_write_json, read_json
from ..data.overlap import read_overlaps
from ..deploy.nms import nms
from ..deploy.predict import coco_results
from .agreement import Labels, Overlap, clip, label_agreement, labels_by_image
from .bootstrap import pairwise_iou

MERGE_IOU = 0.4
LEAST_VISIBLE = 0.05
PRIOR_BOXES = 16
PRIOR_SAMPLE = 400
LEAST_CHECKS = 30
# Agreement of NEU-DET's labels at IoU 0.5 and 0.75 (field notes, finding 3), used where a dataset
# shows too few objects twice.
KNOWN_AGREEMENT = (0.85, 0.54)

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Parts:
    """What a control may know.

    Attributes:
        labels: Boxes of all images, by image id.
        classes: Class ids.
        train: Ids of the training images.
        test: Ids of the test images.
        overlaps: Pairs of images of the same surface.
        seed: Seed of what is drawn.
    """

    labels: dict[int, Labels]
    classes: list[int]
    train: list[int]
    test: list[int]
    overlaps: list[Overlap]
    seed: int


Control = Callable[[Parts], list[dict[str, Any]]]


def control(
    kind: str, dataset_dir: str | Path, protocol: str, out: str | Path, seed: int = 0
) -> list[dict[str, Any]]:
    """Write the predictions of a control for the test part.

    Args:
        kind: ``memoriser``, ``class_prior``, ``oracle`` or ``label_jitter``.
        dataset_dir: The dataset's folder, ``results/data/<dataset>``.
        protocol: How the parts were made.
        out: The file to make: a COCO result list.
        seed: Seed of what is drawn (label jitter only).

    Returns:
        The results as written.

    Raises:
        ConfigError: There is no such control.
        MeasurementError: Lists, annotations and overlaps do not belong together.
    """
    if kind not in CONTROLS:
        raise ConfigError(out, "control", kind, f"name one of {', '.join(CONTROLS)}")
    results = CONTROLS[kind](read_parts(Path(dataset_dir), protocol, seed))
    atomic_write_json(out, results)
    return results


def read_parts(dataset_dir: Path, protocol: str, seed: int) -> Parts:
    """Read what a control may know from a dataset's folder.

    Raises:
        MeasurementError: A list names an image without annotations.
    """
    folder = dataset_dir / protocol
    own = folder / "annotations.json"
    truth = read_json(own if own.exists() else dataset_dir / "annotations.json")
    ids = {image["file_name"]: image["id"] for image in truth["images"]}
    return Parts(
        labels=labels_by_image(truth),
        classes=sorted(category["id"] for category in truth["categories"]),
        train=_listed(folder / "train.txt", ids),
        test=_listed(folder / "test.txt", ids),
        overlaps=_known_overlaps(dataset_dir, ids),
        seed=seed,
    )


def _listed(path: Path, ids: dict[str, int]) -> list[int]:
    names = [line.strip() for line in path.read_text().split("\n") if line.strip()]
    for name in names:
        if name not in ids:
            fix = "make the split and the annotations from the same dataset"
            raise MeasurementError(path, "image", name, fix)
    return [ids[name] for name in names]


def _known_overlaps(dataset_dir: Path, ids: dict[str, int]) -> list[Overlap]:
    """Shifted pairs of images with annotations; flipped and turned copies are left out."""
    return [
        Overlap(ids[p.image_a], ids[p.image_b], p.dx, p.dy, p.correlation, p.shared_area)
        for p in read_overlaps(dataset_dir)
        if p.kind == "shift" and {p.image_a, p.image_b} <= set(ids)
    ]


def memoriser(parts: Parts) -> list[dict[str, Any]]:
    """Copy boxes of training images across overlaps (field notes, appendix A).

    A box is shifted by the found offset and clipped; its score is visible share x correlation x
    shared area; boxes of a class are merged at IoU 0.4.
    """
    train = set(parts.train)
    seen: dict[int, list[Overlap]] = {}
    for pair in parts.overlaps:
        for way in (pair, pair.reverse()):
            if way.second in train:
                seen.setdefault(way.first, []).append(way)
    return [row for image in parts.test for row in _remember(parts, image, seen.get(image, []))]


def _remember(parts: Parts, image: int, overlaps: list[Overlap]) -> list[dict[str, Any]]:
    boxes: list[Floats] = [np.zeros((0, 4))]
    classes: list[Integers] = [np.zeros(0, dtype=np.int64)]
    scores: list[Floats] = [np.zeros(0)]
    here = parts.labels[image]
    for overlap in overlaps:
        there = parts.labels[overlap.second]
        moved = there.boxes + np.array([overlap.dx, overlap.dy, 0.0, 0.0])
        cut = clip(moved, (0.0, 0.0), (here.width, here.height))
        visible = np.prod(cut[:, 2:], axis=1) / np.prod(there.boxes[:, 2:], axis=1)
        kept = visible > LEAST_VISIBLE
        boxes.append(cut[kept])
        classes.append(there.classes[kept])
        scores.append(visible[kept] * overlap.correlation * overlap.shared_area)
    found = np.concatenate(boxes), np.concatenate(classes), np.concatenate(scores)
    return _merged(parts, image, *found)


def _merged(
    parts: Parts, image: int, boxes: Floats, classes: Integers, scores: Floats
) -> list[dict[str, Any]]:
    table = np.zeros((len(boxes), len(parts.classes)))
    columns = np.searchsorted(parts.classes, classes)
    table[np.arange(len(boxes)), columns] = np.clip(scores, 0.0, 1.0)
    kept, ranked, labels = nms(_corners(boxes), table, 0.0, MERGE_IOU)
    return coco_results(image, kept, ranked, np.asarray(parts.classes)[labels])


def _corners(boxes: Floats) -> Floats:
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


def class_prior(parts: Parts) -> list[dict[str, Any]]:
    """The most typical training boxes of each class, the same for every image.

    Boxes are chosen one by one, each the box that covers most boxes of its class not yet covered
    (IoU 0.5, in shares of the image); its score is how many of those a training image has.
    """
    typical = [
        (box, label, covered / max(len(parts.train), 1))
        for label in parts.classes
        for box, covered in _typical(_relative_boxes(parts, label))
    ]
    results = []
    for image in parts.test:
        here = parts.labels[image]
        unit = np.array([here.width, here.height] * 2, dtype=np.float64)
        for box, label, share in typical:
            results += coco_results(
                image, _corners((box * unit)[None]), np.array([min(share, 1.0)]), np.array([label])
            )
    return results


def _relative_boxes(parts: Parts, label: int) -> Floats:
    found = [np.zeros((0, 4))]
    for image in parts.train:
        here = parts.labels[image]
        unit = np.array([here.width, here.height] * 2, dtype=np.float64)
        found.append(here.boxes[here.classes == label] / unit)
    return np.concatenate(found)


def _typical(boxes: Floats) -> list[tuple[Floats, float]]:
    """Up to 16 boxes and the number of boxes that each covers."""
    step = max(1, -(-len(boxes) // PRIOR_SAMPLE))
    sample = boxes[::step]
    covers = pairwise_iou(sample, sample) >= 0.5
    chosen = []
    while covers.any() and len(chosen) < PRIOR_BOXES:
        counts = covers.sum(axis=1)
        best = int(np.argmax(counts))
        chosen.append((sample[best], float(counts[best] * step)))
        covers[:, covers[best]] = False
    return chosen


def oracle(parts: Parts) -> list[dict[str, Any]]:
    """The truth itself, at score 1."""
    results = []
    for image in parts.test:
        here = parts.labels[image]
        results += coco_results(image, _corners(here.boxes), np.ones(len(here.boxes)), here.classes)
    return results


def label_jitter(parts: Parts) -> list[dict[str, Any]]:
    """The truth as a second annotator would say it.

    Sides move by normal noise in proportion to the box, and a share of boxes lies elsewhere, both
    fitted to the agreement of the dataset's own labels at IoU 0.5 and 0.75.
    """
    boxes = np.concatenate([np.zeros((0, 4)), *(parts.labels[i].boxes for i in parts.test)])
    random = np.random.default_rng([parts.seed, 1])
    noise = random.standard_normal(boxes.shape)
    sigma, misplaced = fit_jitter(boxes, noise, *measured_agreement(parts))
    moved = jitter(boxes, noise, sigma)
    elsewhere = random.random(len(boxes)) < misplaced
    places = random.random((len(boxes), 2))
    results, start = [], 0
    for image in parts.test:
        here = parts.labels[image]
        rows = slice(start, start + len(here.boxes))
        start += len(here.boxes)
        room = np.array([here.width, here.height]) - moved[rows, 2:]
        corner = np.where(elsewhere[rows, None], places[rows] * room, moved[rows, :2])
        own = clip(
            np.concatenate([corner, moved[rows, 2:]], axis=1), (0, 0), (here.width, here.height)
        )
        results += coco_results(image, _corners(own), np.ones(len(own)), here.classes)
    return results


def measured_agreement(parts: Parts) -> tuple[float, float]:
    """Share of boxes that another image's label confirms at IoU 0.5 and 0.75.

    That of NEU-DET where the dataset shows fewer than 30 boxes twice.
    """
    checks = label_agreement(parts.labels, parts.overlaps)
    if len(checks) < LEAST_CHECKS:
        return KNOWN_AGREEMENT
    return float((checks >= 0.5).mean()), float((checks >= 0.75).mean())


def jitter(boxes: Floats, noise: Floats, sigma: float) -> Floats:
    """Move the four sides of boxes x y w h by ``sigma`` x noise x side length."""
    reach = np.tile(boxes[:, 2:], 2) * noise * sigma
    corners = np.sort((_corners(boxes) + reach).reshape(-1, 2, 2), axis=1)
    return np.concatenate([corners[:, 0], corners[:, 1] - corners[:, 0]], axis=1)


def fit_jitter(boxes: Floats, noise: Floats, agree50: float, agree75: float) -> tuple[float, float]:
    """Noise and share of misplaced boxes that give an agreement at IoU 0.5 and 0.75.

    Returns:
        ``sigma``, noise of a side in side lengths, and the share of misplaced boxes.
    """
    if not len(boxes) or agree50 <= 0:
        return 0.0, 1.0 - agree50
    low, high = 0.0, 1.0
    for _ in range(40):
        sigma = (low + high) / 2
        at50, at75 = _rates(boxes, noise, sigma)
        too_much = at75 * agree50 < agree75 * at50
        low, high = (low, sigma) if too_much else (sigma, high)
    sigma = low if low > 1e-6 else 0.0
    at50, _ = _rates(boxes, noise, sigma)
    return sigma, float(np.clip(1 - agree50 / max(at50, 1e-9), 0.0, 1.0))


def _rates(boxes: Floats, noise: Floats, sigma: float) -> tuple[float, float]:
    moved = jitter(boxes, noise, sigma)
    low = np.maximum(boxes[:, :2], moved[:, :2])
    high = np.minimum(boxes[:, :2] + boxes[:, 2:], moved[:, :2] + moved[:, 2:])
    shared = np.prod(np.maximum(high - low, 0.0), axis=1)
    union = np.prod(boxes[:, 2:], axis=1) + np.prod(moved[:, 2:], axis=1) - shared
    iou = shared / np.maximum(union, 1e-9)
    return float((iou >= 0.5).mean()), float((iou >= 0.75).mean())


CONTROLS: dict[str, Control] = {
    "memoriser": memoriser,
    "class_prior": class_prior,
    "oracle": oracle,
    "label_jitter": label_jitter,
}
