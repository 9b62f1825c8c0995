"""Which images show the same surface? Shifted crops by phase correlation, symmetric copies by D4 hashes.

The finder works on a 100 x 100 view of each image with local mean and contrast removed, keeps strong peaks
of the phase correlation, and accepts a pair only if the fine residual at full size agrees as well.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import scipy.fft
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from ..base.files import atomic_path
from .coco import Coco, Grey, read_coco, read_grey
from .d4 import grain, symmetric_pairs

Floats = NDArray[np.float32]
VIEW, PADDED = 100, 128
PEAK_SIGMA, LEAST_VIEW_OVERLAP, VIEW_CORRELATION = 9.0, 20, 0.5
ACCEPT, REFINE_PX, BLOCK = 0.3, 3, 64


@dataclass(frozen=True)
class Overlap:
    """Two images that share surface.

    Attributes:
        image_a: File name.
        image_b: File name.
        dx: Column of image_b's origin in image_a, pixels.
        dy: Row of image_b's origin in image_a, pixels.
        correlation: Agreement of the fine residual where they overlap, -1..1.
        shared_area: Overlap as a share of the image.
        kind: ``shift``, or ``symmetry`` for a flipped, turned or equal copy.
    """

    image_a: str
    image_b: str
    dx: int
    dy: int
    correlation: float
    shared_area: float
    kind: str


def find_overlaps(dataset_dir: str | Path) -> list[Overlap]:
    """Find all pairs and write ``overlaps.csv``.

    Args:
        dataset_dir: ``results/data/<dataset>`` with ``images/`` and ``annotations.json``.

    Returns:
        The pairs, sorted by names.
    """
    folder = Path(dataset_dir)
    coco = read_coco(folder / "annotations.json")
    images = {name: read_grey(folder / "images" / name) for name in coco.images}
    found = {(p.image_a, p.image_b): p for p in symmetric_overlaps(images)}
    for names in _comparable(coco, images).values():
        found.update({(p.image_a, p.image_b): p for p in shifted_overlaps({n: images[n] for n in names})})
    pairs = [found[key] for key in sorted(found)]
    table = pd.DataFrame([astuple(p) for p in pairs], columns=[f.name for f in fields(Overlap)])
    with atomic_path(folder / "overlaps.csv") as part:
        table.to_csv(part, index=False, float_format="%.4f")
    return pairs


def read_overlaps(dataset_dir: str | Path) -> list[Overlap]:
    """Read ``overlaps.csv``."""
    rows = pd.read_csv(Path(dataset_dir) / "overlaps.csv").to_dict("records")
    return [Overlap(**{str(key): value for key, value in row.items()}) for row in rows]


def _comparable(coco: Coco, images: dict[str, Grey]) -> dict[tuple[int, ...], list[str]]:
    """Names by (dominant class, height, width): only these can be crops of one strip."""
    by_key: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for name in coco.images:
        by_key[(coco.dominant_class(name), *images[name].shape)].append(name)
    return by_key


def symmetric_overlaps(images: dict[str, Grey]) -> list[Overlap]:
    """Pairs that are one picture up to a flip or a quarter turn."""
    return [Overlap(a, b, 0, 0, r, 1.0, "symmetry") for a, b, r in symmetric_pairs(images)]


def shifted_overlaps(images: dict[str, Grey]) -> list[Overlap]:
    """Pairs of equally large images that are shifted crops of one surface."""
    names = list(images)
    if len(names) < 2:
        return []
    views = np.stack([flatten_view(images[name]) for name in names])
    residuals = [grain(images[name]) for name in names]
    found = []
    for i, j, dx, dy in _candidates(views):
        verified = _verify(residuals[i], residuals[j], dx, dy)
        if verified is not None:
            a, b = names[i], names[j]
            x, y, correlation, share = verified
            if a > b:
                a, b, x, y = b, a, -x, -y
            found.append(Overlap(a, b, x, y, correlation, share, "shift"))
    return found


def flatten_view(image: Grey, sigma: float = 6.0) -> Floats:
    """View [100, 100] with local mean and contrast removed."""
    small = cv2.resize(image, (VIEW, VIEW), interpolation=cv2.INTER_AREA).astype(np.float32)
    centred = small - gaussian_filter(small, sigma)
    return (centred / np.sqrt(gaussian_filter(centred**2, sigma) + 1.0)).astype(np.float32)


def _candidates(views: Floats) -> Iterator[tuple[int, int, int, int]]:
    """(i, j, dx, dy) on the 100 x 100 view, for strong peaks of the phase correlation."""
    spectra = scipy.fft.rfft2(views, (PADDED, PADDED), workers=-1).astype(np.complex64)
    for i in range(len(views) - 1):
        for start in range(i + 1, len(views), BLOCK):
            block = spectra[start : start + BLOCK]
            cross = spectra[i] * block.conj()
            cross /= np.abs(cross) + 1e-9
            surface = scipy.fft.irfft2(cross, (PADDED, PADDED), workers=-1)
            flat = surface.reshape(len(block), -1)
            peak = flat.argmax(1)
            strong = flat[np.arange(len(block)), peak] > PEAK_SIGMA * flat.std(1)
            for offset in np.flatnonzero(strong):
                j = start + int(offset)
                dy, dx = divmod(int(peak[offset]), PADDED)
                yield from ((i, j, x, y) for x, y in _unwrapped(views[i], views[j], dx, dy))


def _unwrapped(a: Floats, b: Floats, dx: int, dy: int) -> Iterator[tuple[int, int]]:
    """The shifts that a circular peak can stand for and that agree where they overlap."""
    for x in (dx, dx - PADDED):
        for y in (dy, dy - PADDED):
            if max(abs(x), abs(y)) <= VIEW - LEAST_VIEW_OVERLAP:
                first, second = shared_views(a, b, x, y)
                if correlation(first, second) > VIEW_CORRELATION:
                    yield x, y


def shared_views(a: Floats, b: Floats, dx: int, dy: int) -> tuple[Floats, Floats]:
    """The overlapping windows of a and of b, b's origin lying at (dx, dy) in a."""
    height, width = a.shape
    rows, columns = slice(max(dy, 0), height + min(dy, 0)), slice(max(dx, 0), width + min(dx, 0))
    other_rows = slice(max(-dy, 0), height + min(-dy, 0))
    other_columns = slice(max(-dx, 0), width + min(-dx, 0))
    return a[rows, columns], b[other_rows, other_columns]


def correlation(a: Floats, b: Floats) -> float:
    """Pearson correlation of two windows; 0 where one is constant."""
    x, y = a - a.mean(), b - b.mean()
    norm = float(np.sqrt(float((x * x).sum()) * float((y * y).sum())))
    return float((x * y).sum()) / norm if norm > 0 else 0.0


def _without_lines(window: Floats) -> Floats:
    """Row and column means removed, so that straight lines alone cannot match."""
    return window - window.mean(0) - window.mean(1, keepdims=True) + window.mean()


def _verify(a: Floats, b: Floats, dx: int, dy: int) -> tuple[int, int, float, float] | None:
    """Best (dx, dy, correlation, shared area) at full size near a candidate, if it is good enough."""
    height, width = a.shape
    x0, y0 = round(dx * width / VIEW), round(dy * height / VIEW)
    best: tuple[int, int, float, float] | None = None
    for y in range(y0 - REFINE_PX, y0 + REFINE_PX + 1):
        for x in range(x0 - REFINE_PX, x0 + REFINE_PX + 1):
            share = max(0, width - abs(x)) * max(0, height - abs(y)) / (width * height)
            if share == 0:
                continue
            first, second = shared_views(a, b, x, y)
            value = correlation(_without_lines(first), _without_lines(second))
            if best is None or value > best[2]:
                best = (x, y, value, share)
    return best if best is not None and best[2] > ACCEPT else None
