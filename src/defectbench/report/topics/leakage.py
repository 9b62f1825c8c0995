"""The leakage premium: what a method gains when its test part has been seen in training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import hypot

from ...base.studies import LISTED, base_protocol, share_name, train_share
from ..numbers import percent, points
from ..records.cells import FLOORS
from ..records.study import StudyRecords
from ..table import HEADLINE, NAME, Column, Table, keys_of, plain, row_of, word_column
from .detection import compared, entries_of
from .detection.rows import DetectionRow

ORDER = 40
HONEST = "clean"


def _difference_column(key: str, heading: str, priority: int) -> Column:
    return Column(key, heading, write=points, priority=priority)


COLUMNS = (
    word_column("dataset", "dataset", 7),
    word_column("protocol", "protocol", 2),
    Column("leak_share", "leak", "%", percent, priority=5),
    word_column("title", "method", NAME),
    Column("epochs_clean", "epochs, clean", write=plain, priority=9),
    Column("epochs", "epochs", write=plain, priority=9),
    Column("map50_clean", "mAP50 clean", "%", percent, priority=3),
    Column("map50", "mAP50", "%", percent, priority=3),
    _difference_column("map50_premium", "premium", HEADLINE),
    Column("map50_95_clean", "mAP50-95 clean", "%", percent, priority=8),
    Column("map50_95", "mAP50-95", "%", percent, priority=8),
    _difference_column("map50_95_premium", "premium", 6),
)


@dataclass(frozen=True)
class Premium:
    """A method under a leaked protocol beside the same method under the clean one.

    Attributes:
        dataset: Name of the dataset.
        protocol: The leaked protocol.
        method: Name of the method.
        title: Its name in tables.
        leak_share: Share of test images that show surface of a training image.
        map50: Score under the leaked protocol.
        map50_clean: Score under ``clean``.
        map50_premium: Leaked minus clean.
        map50_premium_low: Lower end of its 95 % interval.
        map50_premium_high: Upper end.
        map50_95: Score under the leaked protocol.
        map50_95_clean: Score under ``clean``.
        map50_95_premium: Leaked minus clean.
        map50_95_premium_low: Lower end of its 95 % interval.
        map50_95_premium_high: Upper end.
        epochs: Epochs under the leaked protocol; None for a control.
        epochs_clean: Epochs under ``clean``; None for a control.
        n_seeds: Seeds under the leaked protocol.
        n_seeds_clean: Seeds under ``clean``.
    """

    dataset: str
    protocol: str
    method: str
    title: str
    leak_share: float
    map50: float
    map50_clean: float
    map50_premium: float
    map50_premium_low: float
    map50_premium_high: float
    map50_95: float
    map50_95_clean: float
    map50_95_premium: float
    map50_95_premium_low: float
    map50_95_premium_high: float
    epochs: int | None
    epochs_clean: int | None
    n_seeds: int
    n_seeds_clean: int


def parts(study: StudyRecords) -> Iterator[Table]:
    """The table of premiums; nothing without detectors."""
    if not entries_of(study):
        return
    rows, _ = study.share(compared)
    yield premium_table(leakage_premiums(rows))


def premium_table(premiums: Sequence[Premium]) -> Table:
    """Premiums as a table."""
    return Table(
        name="leakage",
        title="Leakage premium",
        columns=COLUMNS,
        rows=[row_of(premium) for premium in premiums],
        fields=keys_of(Premium),
        lead="What a method gains when its test part shows surface seen in training: points of mAP over the same "
        "method under `clean`, with 95 % interval.",
        empty="No method stands under `clean` and under another protocol.",
        formats=("csv", "md", "page"),
    )


def leakage_premiums(rows: Sequence[DetectionRow]) -> list[Premium]:
    """Premiums of methods, and of controls that do not know the truth, over ``clean``.

    Args:
        rows: Rows of the comparison; the order is kept.
    """
    clean = {
        (row.dataset, row.protocol, row.method): row
        for row in rows
        if base_protocol(row.protocol) == HONEST
    }
    return [
        _premium(row, clean[row.dataset, honest, row.method])
        for row in rows
        if base_protocol(row.protocol) != HONEST
        and (row.dataset, honest := _honest_of(row.protocol), row.method) in clean
        and (not row.is_control or row.method in FLOORS)
    ]


def _honest_of(protocol: str) -> str:
    """What a protocol is held against: ``clean``, and for a share of the training part the same share under it.

    Example:
        >>> _honest_of("random"), _honest_of("random-10pct"), _honest_of("random-imbalanced")
        ('clean', 'clean-10pct', 'clean')
    """
    share = train_share(protocol)
    return HONEST if share is None else f"{HONEST}{LISTED}{share_name(share)}"


def _premium(leaked: DetectionRow, clean: DetectionRow) -> Premium:
    return Premium(
        dataset=leaked.dataset,
        protocol=leaked.protocol,
        method=leaked.method,
        title=leaked.title,
        leak_share=leaked.leak_share,
        **_difference(leaked, clean, "map50"),
        **_difference(leaked, clean, "map50_95"),
        epochs=leaked.epochs,
        epochs_clean=clean.epochs,
        n_seeds=leaked.n_seeds,
        n_seeds_clean=clean.n_seeds,
    )


def _difference(leaked: DetectionRow, clean: DetectionRow, figure: str) -> dict[str, float]:
    """Difference of two independent scores; the test parts differ, so nothing is paired.

    The interval joins the distances to the own ends (Zou and Donner 2008, MOVER).
    """
    (a, a_low, a_high), (b, b_low, b_high) = (
        tuple(getattr(row, f"{figure}{end}") for end in ("", "_low", "_high"))
        for row in (leaked, clean)
    )
    return {
        figure: a,
        f"{figure}_clean": b,
        f"{figure}_premium": a - b,
        f"{figure}_premium_low": a - b - hypot(a - a_low, b_high - b),
        f"{figure}_premium_high": a - b + hypot(a_high - a, b - b_low),
    }
