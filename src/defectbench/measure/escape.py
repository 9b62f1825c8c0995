"""Escape at a fixed overkill rate: what a plant lets pass where it rejects so many good parts."""

from __future__ import annotations

from dataclasses import dataclass

OVERKILL_RATE = 0.05


@dataclass(frozen=True)
class EscapeRate:
    """Escape at a fixed overkill rate.

    Attributes:
        overkill_rate: Largest share of images with a false alarm that was allowed.
        overkill_base: ``defect_free_images`` or ``all_images``.
        n_overkill_base: Number of those images.
        threshold: Detections must score above it; found on the scored images themselves.
        escape_rate_images: Share of defective images that pass; None without any.
        escape_rate_boxes: Share of true boxes that pass; None without any.
        n_defective_images: Number of images with a true box.
    """

    overkill_rate: float
    overkill_base: str
    n_overkill_base: int
    threshold: float
    escape_rate_images: float | None
    escape_rate_boxes: float | None
    n_defective_images: int
