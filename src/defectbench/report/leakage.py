"""The leakage premium: what a method gains when its test part has been seen in training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot

from .rows import FLOORS, Row

HONEST = "clean"


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


def leakage_premiums(rows: Sequence[Row]) -> list[Premium]:
    """Premiums of methods, and of controls that do not know the truth, over ``clean``.

    Args:
        rows: Rows of the comparison; the order is kept.
    """
    clean = {(row.dataset, row.method): row for row in rows if row.protocol == HONEST}
    return [
        _premium(row, clean[row.dataset, row.method])
        for row in rows
        if row.protocol != HONEST
        and (row.dataset, row.method) in clean
        and (not row.is_control or row.method in FLOORS)
    ]


def _premium(leaked: Row, clean: Row) -> Premium:
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


def _difference(leaked: Row, clean: Row, figure: str) -> dict[str, float]:
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
