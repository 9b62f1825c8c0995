"""Certificates: what the parts of a split share, measured from pixels, not from group numbers."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.errors import ConversionError, LeakageError, SplitError
from ..base.files import sha256_file
from ..base.places import parts_folder
from ..base.records import write_record
from ..base.studies import base_protocol
from .coco import PARTS, Coco, protocol_coco, read_coco, read_part
from .overlap import FileOverlap, check_known, read_overlaps

GRID = 50
Mask = NDArray[np.bool_]
Size = tuple[int, int]


def certify(dataset_dir: str | Path, protocol: str, seed: int = 0) -> dict[str, Any]:
    """Measure what the parts share and write ``<protocol>/split<seed>/certificate.json``.

    Images share surface if ``overlaps.csv`` pairs them, if their files hold the same bytes, or if
    they were made from one original. ``groups.csv`` is not consulted. Images of ``left_out.txt`` are in no part.

    Args:
        dataset_dir: ``results/data/<dataset>``.
        protocol: Which split.
        seed: Seed of the split.

    Returns:
        The record. ``shared_images`` counts, for each two parts, images of the second that share
        surface with the first, and ``shared_pixels`` adds these up; ``leak_share`` is the share of
        test images with surface in train or val, ``leak_share_train`` with surface in train, and
        ``visible_share`` the mean share of a test image's area that is visible in train.

    Raises:
        LeakageError: The protocol is ``clean`` and parts share surface. No certificate is left.
        SplitError: The lists do not hold each image exactly once, or overlaps name other images.
    """
    folder = Path(dataset_dir)
    lists_in = parts_folder(folder, protocol, seed)
    out = lists_in / "certificate.json"
    out.unlink(missing_ok=True)
    parts = {part: read_part(lists_in, part) for part in PARTS}
    coco, image_dir = protocol_coco(folder, protocol, seed)
    left_out = lists_in / "left_out.txt"
    unused = read_part(lists_in, "left_out") if left_out.is_file() else []
    _check_cover(lists_in, {**parts, "left_out": unused}, set(coco.images))
    overlaps = read_overlaps(folder)
    originals = read_coco(folder / "annotations.json")
    check_known(folder / "overlaps.csv", overlaps, set(originals.images))
    sources = {name: coco.source(name) for name in coco.images}
    seen = Surfaces(overlaps, parts, sources, sizes_of(originals), _equal_files(image_dir, parts))
    figures = _figures(seen, parts)
    if base_protocol(protocol) == "clean" and figures["shared_pixels"]:
        a, b = seen.example()
        fix = "delete the lists and split again by groups"
        raise LeakageError(lists_in, "shared surface", f"{a} and {b}", fix)
    lists = (*PARTS, "left_out") if left_out.is_file() else PARTS
    inputs = {f"{part}.txt": lists_in / f"{part}.txt" for part in lists}
    inputs |= {name: folder / name for name in ("overlaps.csv", "groups.csv")}
    extra = {"dataset": folder.name, "protocol": protocol, "seed": seed}
    return write_record(out, "certificate", figures, inputs, extra=extra)


def _figures(seen: Surfaces, parts: dict[str, list[str]]) -> dict[str, Any]:
    shared = {f"{a}-{b}": seen.count(a, b) for a, b in combinations(PARTS, 2)}
    test = parts["test"]
    return {
        "shared_pixels": sum(shared.values()),
        "shared_images": shared,
        "leak_share": sum(seen.has_partner(name, ("train", "val")) for name in test) / len(test),
        "leak_share_train": shared["train-test"] / len(test),
        "visible_share": float(np.mean([seen.visible(name, "train") for name in test])),
        "images": {part: len(names) for part, names in parts.items()},
    }


def _check_cover(folder: Path, parts: dict[str, list[str]], images: set[str]) -> None:
    times = Counter(name for names in parts.values() for name in names)
    misplaced = sorted(
        name for name in images | set(times) if (name in images, times[name]) != (True, 1)
    )
    if misplaced:
        fix = "each image of the dataset in exactly one part; split again"
        raise SplitError(folder, "file name", misplaced[0], fix)


def _equal_files(image_dir: Path, parts: dict[str, list[str]]) -> list[list[str]]:
    """Names of files with the same bytes, where there are several."""
    by_hash: dict[str, list[str]] = defaultdict(list)
    for name in (name for names in parts.values() for name in names):
        if not (image_dir / name).is_file():
            raise ConversionError(image_dir / name, "image", "nothing", "convert the dataset again")
        by_hash[sha256_file(image_dir / name)].append(name)
    return [names for names in by_hash.values() if len(names) > 1]


def sizes_of(coco: Coco) -> dict[str, Size]:
    """Width and height in pixels of each image, by its name."""
    return {name: (e["width"], e["height"]) for name, e in coco.images.items()}


class Surfaces:
    """Which images of a split show the same surface.

    Args:
        overlaps: Pairs of original images.
        parts: File names by part.
        sources: File name of each image's original; its own where it is one.
        sizes: Width and height of the originals, by file name.
        equal: Names whose files hold the same bytes.
    """

    def __init__(
        self,
        overlaps: list[FileOverlap],
        parts: dict[str, list[str]],
        sources: dict[str, str],
        sizes: dict[str, Size],
        equal: list[list[str]],
    ) -> None:
        self.sizes, self.sources = sizes, sources
        self.part_of = {name: part for part, names in parts.items() for name in names}
        self.copies: dict[str, list[str]] = defaultdict(list)
        for name in self.part_of:
            self.copies[sources[name]].append(name)
        self.partners: dict[str, list[tuple[str, FileOverlap]]] = defaultdict(list)
        for pair in overlaps + [_whole(names[0], other) for names in equal for other in names[1:]]:
            a, b = (sources.get(name, name) for name in pair.names)
            if a != b:
                self.partners[a].append((b, pair))
                self.partners[b].append((a, pair))

    def _others(self, name: str) -> list[str]:
        original = self.sources[name]
        shared = {original, *(partner for partner, _ in self.partners[original])}
        return [
            other for source in sorted(shared) for other in self.copies[source] if other != name
        ]

    def has_partner(self, name: str, parts: tuple[str, ...]) -> bool:
        """Whether an image shares surface with an image of these parts."""
        return any(self.part_of[other] in parts for other in self._others(name))

    def count(self, first: str, second: str) -> int:
        """Images of the second part that share surface with the first."""
        names = [name for name, part in self.part_of.items() if part == second]
        return sum(self.has_partner(name, (first,)) for name in names)

    def example(self) -> tuple[str, str]:
        """One pair across two parts."""
        return next(
            (name, other)
            for name, part in self.part_of.items()
            for other in self._others(name)
            if self.part_of[other] != part
        )

    def visible(self, name: str, part: str) -> float:
        """Share of an image's area that images of a part show, on a grid of 50 x 50 cells."""
        original = self.sources[name]
        if any(self.part_of[other] == part for other in self.copies[original] if other != name):
            return 1.0
        mask = np.zeros((GRID, GRID), bool)
        for partner, pair in self.partners[original]:
            if any(self.part_of[other] == part for other in self.copies[partner]):
                mask |= shown(pair, original, self.sizes[original], self.sizes[partner])
        return float(mask.mean())


def _whole(a: str, b: str) -> FileOverlap:
    return FileOverlap(a, b, 0, 0, 1.0, 1.0, "symmetry")


def shown(pair: FileOverlap, name: str, size: Size, other: Size) -> Mask:
    """Cells [50, 50] of an image that its partner shows.

    Args:
        pair: The pair.
        name: Which of the two the cells belong to.
        size: Its width and height, pixels.
        other: The partner's.
    """
    mask = np.zeros((GRID, GRID), bool)
    if pair.kind == "symmetry":
        return ~mask
    # A point of image_b lies at (dx, dy) + zoom * turned(mirrored(point)) in image_a.
    angle = np.radians(pair.turn)
    turn = pair.zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    to_first = turn @ np.diag([-1.0 if pair.mirrored else 1.0, 1.0])
    columns, rows = ((np.arange(GRID) + 0.5) * length / GRID for length in size)
    centres = np.stack(np.meshgrid(columns, rows))
    origin = np.array([pair.dx, pair.dy], float)
    if pair.image_a == name:
        seen = np.tensordot(np.linalg.inv(to_first), centres - origin[:, None, None], 1)
    else:
        seen = np.tensordot(to_first, centres, 1) + origin[:, None, None]
    inside = (seen >= 0) & (seen < np.array(other, float)[:, None, None])
    return np.asarray(inside.all(0))
