"""Which method is better, and where that cannot be told."""

from __future__ import annotations

from collections.abc import Iterator

from ..columns import pair_table, titles_of
from ..records.study import StudyRecords
from ..table import Table
from ..training_noise import noise_notes
from . import anomaly, classification, detection

ORDER = 50


def parts(study: StudyRecords) -> Iterator[Table]:
    """Pairs of detectors, of classifiers and of what learns without defects, as far as the study has them."""
    detectors = detection.entries_of(study)
    if detectors:
        rows, pairs = study.share(detection.compared)
        notes = noise_notes(rows, detectors, "map50", "mAP50")
        yield pair_table("pairs", pairs, titles_of(detectors), detection.SCORES, notes)
    if classification.entries_of(study):
        yield study.share(classification.pairs_of)
    if anomaly.entries_of(study):
        yield study.share(anomaly.pairs_of)
