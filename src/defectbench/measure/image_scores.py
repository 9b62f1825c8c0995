"""One number an image, beside whether the image shows a defect: ROC, and what a threshold rejects and lets pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.bounds import LEAST_DEFECT_FREE
from ..data.pack import Pack
from .escape import OVERKILL_RATE, EscapeRate

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scored:
    """Images with their scores, in the order of ascending ids.

    Attributes:
        scores: [I], one number an image.
        defective: [I], whether an image shows a defect.
        classes: [I], its class; -1 without a defect.
    """

    scores: Floats
    defective: NDArray[np.bool_]
    classes: NDArray[np.int64]


def auroc(scored: Scored, weights: NDArray[Any] | None = None) -> Floats:
    """Area under the ROC curve [B], ties half; NaN where one of the two kinds of images has no weight.

    Args:
        scored: The images.
        weights: [B, I], how often each image counts; once by default.

    Example:
        >>> two = np.array([False, True])
        >>> float(auroc(Scored(np.array([1.0, 2.0]), two, np.array([-1, 0])))[0])
        1.0
    """
    counts = counted(scored, weights)
    bad, good = scored.scores[scored.defective], scored.scores[~scored.defective]
    above = (bad[:, None] > good) + 0.5 * (bad[:, None] == good)
    of_bad, of_good = counts[:, scored.defective], counts[:, ~scored.defective]
    pairs = of_bad.sum(1) * of_good.sum(1)
    won = ((of_bad @ above) * of_good).sum(1)
    return np.divide(won, pairs, out=np.full(len(counts), np.nan), where=pairs > 0)


def thresholds(
    scored: Scored, rate: float = OVERKILL_RATE, weights: NDArray[Any] | None = None
) -> Floats:
    """The lowest thresholds [B] that no more than a share of the images without a defect score above.

    NaN where no such image has weight.

    Args:
        scored: The images.
        rate: That share.
        weights: [B, I], how often each image counts; once by default.
    """
    counts = counted(scored, weights)[:, ~scored.defective]
    good = scored.scores[~scored.defective]
    order = np.argsort(-good, kind="stable")
    total = counts.sum(1)
    passed = np.cumsum(counts[:, order], axis=1) > (rate * total + 1e-9)[:, None]
    found = np.full(len(counts), np.nan)
    known = passed.any(axis=1)
    if not known.any():
        return found
    found[known] = good[order][passed[known].argmax(axis=1)]
    return found


def rejected(
    scored: Scored,
    above: Floats | float,
    of: NDArray[np.bool_],
    weights: NDArray[Any] | None = None,
) -> Floats:
    """Share [B] of some images that score above a threshold; NaN where none has weight, or there is no threshold.

    Args:
        scored: The images.
        above: [B] or one, the threshold.
        of: [I], which images.
        weights: [B, I], how often each image counts; once by default.
    """
    counts = counted(scored, weights)[:, of]
    limits = np.broadcast_to(np.asarray(above, np.float64), (len(counts),))
    hits = (counts * (scored.scores[of] > limits[:, None])).sum(1)
    total = counts.sum(1)
    share = np.divide(hits, total, out=np.full(len(counts), np.nan), where=total > 0)
    return np.where(np.isnan(limits), np.nan, share)


def counted(scored: Scored, weights: NDArray[Any] | None) -> Floats:
    """How often each image counts [B, I]; once where nothing is said."""
    return np.ones((1, len(scored.scores))) if weights is None else weights.astype(np.float64)


def escape_of(scored: Scored, rate: float = OVERKILL_RATE) -> EscapeRate | None:
    """Escape at the threshold that the images without a defect set themselves; None with fewer than 20 of them."""
    n_free, n_bad = int((~scored.defective).sum()), int(scored.defective.sum())
    if not can_reject(scored):
        return None
    threshold = float(thresholds(scored, rate)[0])
    caught = rejected(scored, threshold, scored.defective)[0]
    escaped = float(1 - caught) if n_bad else None
    return EscapeRate(rate, "defect_free_images", n_free, threshold, escaped, None, n_bad)


def can_reject(scored: Scored) -> bool:
    """Whether there are enough images without a defect for a rate of overkill."""
    return int((~scored.defective).sum()) >= LEAST_DEFECT_FREE


def kinds_of(scored: Scored) -> dict[str, int]:
    """How many images there are, and how many without and with a defect, by the keys of records."""
    bad = int(scored.defective.sum())
    count = len(scored.scores)
    return {"n_images": count, "n_defect_free_images": count - bad, "n_defective_images": bad}


def pack_scored(pack: Pack[Any], rows: Sequence[Mapping[str, Any]]) -> Scored:
    """Scores of the images of a pack beside their truth, in its order.

    Args:
        pack: The pack; an image without a label is free of defects.
        rows: A result for each image, in the pack's order.
    """
    classes = np.asarray(pack.labels).max(axis=1)
    scores = np.array([row["anomaly"] for row in rows], np.float64)
    return Scored(scores, classes >= 0, classes.astype(np.int64))
