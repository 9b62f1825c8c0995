"""How far the labels of a set agree with themselves, class by class: what a score can be held against.

Where two images show the same surface, its objects were annotated twice. The share of boxes that the other image's
annotation confirms, at IoU 0.5 and at 0.75, is the agreement of labels. Average precision is no agreement, and a
detector may draw boxes nearer to the mean of all annotators than one more annotator does: it is a soft mark, and no
ceiling (the ceiling is a control, ``label_jitter.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ..data.coco import read_detection
from ..data.overlap import SHIFT, read_overlaps
from .accuracy import groups_of
from .agreement import Overlap, agreement_checks, labels_by_image
from .statistics import CONFIDENCE

THRESHOLDS = {"agreement50": 0.5, "agreement75": 0.75}


@dataclass(frozen=True)
class Agreement:
    """How many boxes another annotation confirms.

    Attributes:
        share: Share of the checks.
        low: Lower end of its 95 % interval over groups; None where there is one group.
        high: Upper end.
    """

    share: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class LabelNoise:
    """Agreement of the labels of one class, or of all.

    Attributes:
        n_checks: Boxes that another image shows too; each pair is checked both ways.
        n_groups: Groups of images that they are of.
        agreement50: Those that agree at IoU 0.5.
        agreement75: Those that agree at IoU 0.75.
    """

    n_checks: int
    n_groups: int
    agreement50: Agreement
    agreement75: Agreement


@dataclass(frozen=True)
class SetNoise:
    """Agreement of the labels of a set.

    Attributes:
        n_pairs: Pairs of images that show the same surface.
        per_class: By class name, of classes with objects that were annotated twice; without any, nothing is known.
        all: That of all classes together; None where nothing is known.
    """

    n_pairs: int
    per_class: dict[str, LabelNoise]
    all: LabelNoise | None


def label_noise(dataset_dir: str | Path) -> SetNoise:
    """Measure the agreement of a set's labels from its overlapping images.

    Args:
        dataset_dir: ``results/data/<dataset>``.

    Raises:
        SplitError: ``overlaps.csv`` is missing or damaged.
        ConfigError: The dataset is for another task.
        MeasurementError: An image has no group.
    """
    folder = Path(dataset_dir)
    truth = read_detection(folder / "annotations.json")
    ids = {image["file_name"]: image["id"] for image in truth["images"]}
    pairs = [
        Overlap(ids[p.image_a], ids[p.image_b], p.dx, p.dy, p.correlation, p.shared_area)
        for p in read_overlaps(folder)
        if p.kind == SHIFT and {*p.names} <= set(ids)
    ]
    checks = agreement_checks(labels_by_image(truth), pairs)
    if not checks.iou.size:
        return SetNoise(len(pairs), {}, None)
    group_by_id = dict(
        zip(sorted(ids.values()), groups_of(truth, folder / "groups.csv"), strict=True)
    )
    groups = np.array([group_by_id[image] for image in checks.images])
    per_class = {}
    for category in sorted(truth["categories"], key=lambda entry: entry["id"]):
        here = checks.classes == category["id"]
        if here.any():
            per_class[category["name"]] = _noise(checks.iou[here], groups[here])
    return SetNoise(len(pairs), per_class, _noise(checks.iou, groups))


def _noise(iou: NDArray[np.float64], groups: NDArray[np.str_]) -> LabelNoise:
    shares = {name: agreement(iou >= least, groups) for name, least in THRESHOLDS.items()}
    return LabelNoise(len(iou), len(np.unique(groups)), **shares)


def agreement(
    agrees: NDArray[np.bool_], groups: Sequence[Any] | NDArray[Any], confidence: float = CONFIDENCE
) -> Agreement:
    """A share of checks with its interval over groups: boxes of a group are annotated by one hand, and checked twice.

    The interval is Clopper and Pearson's of as many independent checks as would vary like these do, after Korn and
    Graubard (Survey Methodology 24, 1998), so that a share of 0 or 1 has a width, too: there each group counts as one.

    Args:
        agrees: [n], whether each check agrees; at least one.
        groups: [n], group of each.
        confidence: Share of the interval.
    """
    names, member = np.unique(np.asarray(groups), return_inverse=True)
    counts = np.bincount(member)
    hits = np.bincount(member, weights=agrees)
    n, share = len(agrees), float(np.mean(agrees))
    few = len(names)
    if few == 1:
        return Agreement(share, None, None)
    effective = float(few)
    if 0 < share < 1:
        left_out = (hits.sum() - hits) / (n - counts)
        variance = (few - 1) / few * float(((left_out - left_out.mean()) ** 2).sum())
        effective = share * (1 - share) / variance if variance > 0 else float(n)
    tail = (1 - confidence) / 2
    wider = (stats.t.ppf(1 - tail, max(n - 1, 1)) / stats.t.ppf(1 - tail, few - 1)) ** 2
    effective = min(effective, float(n)) * wider
    x = share * effective
    low = float(stats.beta.ppf(tail, x, effective - x + 1)) if x > 0 else 0.0
    high = float(stats.beta.ppf(1 - tail, x + 1, effective - x)) if x < effective else 1.0
    return Agreement(share, low, high)
