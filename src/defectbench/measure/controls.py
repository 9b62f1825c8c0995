"""Controls: programs that learn nothing and mark floor and ceiling of a table.

``memoriser`` copies training boxes across overlapping images: what a split leaks. ``class_prior``
says the same boxes for every image. ``oracle`` says the truth: anything but 1.0 is an error of the
measure. The three of the label jitter move the true boxes by the disagreement that is measured between
overlapping images: ``label_jitter`` without an order, a reference; ``label_jitter_ranked`` and
``label_jitter_half`` in the best order, ceilings.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.errors import ConfigError
from ..base.files import atomic_write_json
from ..deploy.predict import coco_results
from .agreement import corners
from .bootstrap import pairwise_iou
from .label_jitter import label_jitter, label_jitter_half, label_jitter_ranked
from .memoriser import memoriser
from .parts import Parts, read_parts

PRIOR_BOXES = 16
PRIOR_SAMPLE = 400

Floats = NDArray[np.float64]
Control = Callable[[Parts], list[dict[str, Any]]]


def control(
    kind: str,
    dataset_dir: str | Path,
    protocol: str,
    out: str | Path,
    seed: int = 0,
    split_seed: int = 0,
) -> list[dict[str, Any]]:
    """Write the predictions of a control for the test part.

    Args:
        kind: One of ``CONTROLS``.
        dataset_dir: The dataset's folder, ``results/data/<dataset>``.
        protocol: How the parts were made.
        out: The file to make: a COCO result list.
        seed: Seed of what is drawn (label jitter alone).
        split_seed: Seed of the split.

    Returns:
        The results as written.

    Raises:
        ConfigError: There is no such control.
        MeasurementError: Lists, annotations and overlaps do not belong together.
        NoAgreementError: It is of the label jitter, and how far the labels agree is not known.
    """
    if kind not in CONTROLS:
        raise ConfigError(out, "control", kind, f"name one of {', '.join(CONTROLS)}")
    results = CONTROLS[kind](read_parts(Path(dataset_dir), protocol, seed, split_seed))
    atomic_write_json(out, results)
    return results


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
                image, corners((box * unit)[None]), np.array([min(share, 1.0)]), np.array([label])
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
        results += coco_results(image, corners(here.boxes), np.ones(len(here.boxes)), here.classes)
    return results


CONTROLS: dict[str, Control] = {
    "memoriser": memoriser,
    "class_prior": class_prior,
    "oracle": oracle,
    "label_jitter": label_jitter,
    "label_jitter_ranked": label_jitter_ranked,
    "label_jitter_half": label_jitter_half,
}
