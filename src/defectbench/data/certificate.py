"""Certificates: what the parts of a split share, measured from pixels and not from group numbers."""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.errors import LeakageError, SplitError
from ..base.records import write_record
from .coco import PARTS, protocol_coco, read_part, source_stem
from .overlap import Overlap, read_overlaps

GRID = 50
Mask = NDArray[np.bool_]


def certify(dataset_dir: str | Path, protocol: str, seed: int = 0) -> dict[str, Any]:
    """Measure what the parts share and write ``<protocol>/certificate.json``.

    Args:
        dataset_dir: ``results/data/<dataset>``.
        protocol: Which split.
        seed: Seed of the split, written down.

    Returns:
        The record. ``shared_images`` counts, for each two parts, images of the second that share surface with
        the first; ``leak_share`` is the share of test images with surface in train or val, ``visible_share``
        the mean area of a test image that is visible in train.

    Raises:
        LeakageError: The protocol is ``clean`` and parts share surface.
        SplitError: The lists do not hold each image exactly once.
    """
    folder = Path(dataset_dir)
    parts = {part: read_part(folder, protocol, part) for part in PARTS}
    coco, _ = protocol_coco(folder, protocol)
    _check_cover(folder / protocol, parts, set(coco.images))
    seen = Surfaces(read_overlaps(folder), parts)
    shared = {f"{a}-{b}": seen.count(a, b) for a, b in combinations(PARTS, 2)}
    if protocol == "clean" and any(shared.values()):
        a, b = seen.example()
        raise LeakageError(folder / protocol, "shared surface", f"{a} and {b}", "split again by groups")
    test = parts["test"]
    visible = [seen.visible(name, "train") for name in test]
    figures = {
        "shared_pixels": sum(shared.values()),
        "shared_images": shared,
        "leak_share": sum(seen.has_partner(n, ("train", "val")) for n in test) / len(test),
        "visible_share": float(np.mean(visible)),
        "images": {part: len(names) for part, names in parts.items()},
    }
    inputs = {f"{part}.txt": folder / protocol / f"{part}.txt" for part in PARTS}
    inputs |= {name: folder / name for name in ("overlaps.csv", "groups.csv")}
    extra = {"dataset": folder.name, "protocol": protocol, "seed": seed}
    return write_record(folder / protocol / "certificate.json", "certificate", figures, inputs, extra=extra)


def _check_cover(folder: Path, parts: dict[str, list[str]], images: set[str]) -> None:
    listed = [name for names in parts.values() for name in names]
    odd = sorted(set(listed) ^ images) or sorted({n for n in listed if listed.count(n) > 1})
    if odd or len(listed) != len(images):
        raise SplitError(folder, "file name", odd[0], "each image in exactly one part; split again")


class Surfaces:
    """Which images of a split show the same surface.

    Args:
        overlaps: Pairs of original images.
        parts: File names by part; augmented names lead back to their originals.
    """

    def __init__(self, overlaps: list[Overlap], parts: dict[str, list[str]]) -> None:
        self.part_of = {name: part for part, names in parts.items() for name in names}
        self.by_stem: dict[str, list[str]] = defaultdict(list)
        for name in self.part_of:
            self.by_stem[source_stem(name)].append(name)
        self.partners: dict[str, list[tuple[str, Overlap]]] = defaultdict(list)
        for pair in overlaps:
            a, b = source_stem(pair.image_a), source_stem(pair.image_b)
            self.partners[a].append((b, pair))
            self.partners[b].append((a, pair))

    def _others(self, name: str) -> list[str]:
        stem = source_stem(name)
        stems = {stem, *(partner for partner, _ in self.partners[stem])}
        return [other for s in sorted(stems) for other in self.by_stem[s] if other != name]

    def has_partner(self, name: str, parts: tuple[str, ...]) -> bool:
        """Whether an image shares surface with an image of these parts."""
        return any(self.part_of[other] in parts for other in self._others(name))

    def count(self, first: str, second: str) -> int:
        """Images of the second part that share surface with the first."""
        names = [name for name, part in self.part_of.items() if part == second]
        return sum(self.has_partner(name, (first,)) for name in names)

    def example(self) -> tuple[str, str]:
        """One pair across two parts."""
        for name, part in self.part_of.items():
            for other in self._others(name):
                if self.part_of[other] != part:
                    return name, other
        raise SplitError("certificate", "pair across parts", None, "there is none")

    def visible(self, name: str, part: str) -> float:
        """Share of an image's area that images of a part show, on a grid of 50 x 50 cells."""
        stem = source_stem(name)
        mask = np.zeros((GRID, GRID), bool)
        if any(self.part_of[o] == part for o in self.by_stem[stem] if o != name):
            return 1.0
        for partner, pair in self.partners[stem]:
            if any(self.part_of[other] == part for other in self.by_stem[partner]):
                mask |= _window(pair, stem)
        return float(mask.mean())


def _window(pair: Overlap, stem: str) -> Mask:
    """Cells of an image that its partner shows. Sides follow from shift and shared area."""
    mask = np.zeros((GRID, GRID), bool)
    if pair.kind == "symmetry":
        return ~mask
    sign = 1 if source_stem(pair.image_a) == stem else -1
    side = _side(pair)
    x, y = (round(sign * shift / side * GRID) for shift in (pair.dx, pair.dy))
    mask[max(y, 0) : GRID + min(y, 0), max(x, 0) : GRID + min(x, 0)] = True
    return mask


def _side(pair: Overlap) -> float:
    """Side of a square image from (1 - |dx|/s)(1 - |dy|/s) = shared area."""
    a, b, share = abs(pair.dx), abs(pair.dy), pair.shared_area
    if share >= 1 or a + b == 0:
        return 1.0
    root = (a + b + ((a + b) ** 2 - 4 * (1 - share) * a * b) ** 0.5) / 2
    return root / (1 - share)
