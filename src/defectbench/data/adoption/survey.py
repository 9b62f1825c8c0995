"""What a user should see of a folder: counts, sizes, classes, and boxes that look like slips."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..coco import Corners
from ..formats.label import LabelledBox
from .finding import Found, LabelledPicture

TINY = 4.0  # shorter side of a box, pixels
HUGE = 0.9  # of the picture's area
SAME = 0.7  # intersection over union of two boxes of one class
EXAMPLES = 3
SLIPS = {
    "outside": "boxes outside of their picture, left out",
    "cut": "boxes cut at the edge of their picture",
    "reversed": "boxes whose corners stand in the other order",
    "flat": "boxes without an area, left out",
    "twice": "boxes that stand twice, the second left out",
    "tiny": f"boxes with a side under {TINY:g} pixels",
    "huge": f"boxes over {HUGE:.0%} of their picture",
    "overlapping": f"pairs of boxes of one class that overlap by {SAME:.0%} or more: one object labelled twice?",
}


@dataclass
class Cleaned:
    """Boxes as they can be used, and what was changed or looks odd.

    Attributes:
        boxes: Class and corners by picture; inside it, with an area, each once.
        slips: Files by kind of slip, one entry a box.
    """

    boxes: dict[Path, list[tuple[str, Corners]]] = field(default_factory=dict)
    slips: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def told(self) -> list[str]:
        """The slips, one line a kind."""
        lines = []
        for kind, words in SLIPS.items():
            files = list(dict.fromkeys(self.slips.get(kind, ())))
            if files:
                more = ", ..." if len(files) > EXAMPLES else ""
                count = len(self.slips[kind])
                lines.append(f"{count} {words} ({', '.join(files[:EXAMPLES])}{more})")
        return lines


def clean(found: Found) -> Cleaned:
    """Bring boxes into their pictures, and note what looks like a slip."""
    cleaned = Cleaned()
    for picture in found.pictures:
        cleaned.boxes[picture.path] = _clean(found, picture, cleaned)
    return cleaned


def _clean(found: Found, picture: LabelledPicture, cleaned: Cleaned) -> list[tuple[str, Corners]]:
    file = found.folder.told(picture.path)
    kept: list[tuple[str, Corners]] = []
    for box in picture.boxes:
        fault, corners = _inside(box, picture)
        if box.corners[0] > box.corners[2] or box.corners[1] > box.corners[3]:
            cleaned.slips["reversed"].append(file)
        if fault is not None:
            cleaned.slips[fault].append(file)
        entry = (found.spellings.get(box.name, box.name), corners)
        if fault in ("outside", "flat"):
            continue
        if entry in kept:
            cleaned.slips["twice"].append(file)
            continue
        kept.append(entry)
        if found.task.finds_boxes:
            _note_size(cleaned, corners, picture, file)
    cleaned.slips["overlapping"] += [file] * _overlapping(kept)
    return kept


def _inside(box: LabelledBox, picture: LabelledPicture) -> tuple[str | None, Corners]:
    """What is wrong with a box, and what of it lies in the picture."""
    x0, y0, x1, y1 = box.corners
    x0, x1, y0, y1 = min(x0, x1), max(x0, x1), min(y0, y1), max(y0, y1)
    width, height = float(picture.size.width), float(picture.size.height)
    inside = (max(x0, 0.0), max(y0, 0.0), min(x1, width), min(y1, height))
    if x0 == x1 or y0 == y1:
        return "flat", inside
    if inside[0] >= inside[2] or inside[1] >= inside[3]:
        return "outside", inside
    beyond = max(abs(a - b) for a, b in zip(inside, (x0, y0, x1, y1), strict=True))
    return ("cut" if beyond > 1 else None), inside


def _note_size(cleaned: Cleaned, corners: Corners, picture: LabelledPicture, file: str) -> None:
    x0, y0, x1, y1 = corners
    if min(x1 - x0, y1 - y0) < TINY:
        cleaned.slips["tiny"].append(file)
    if (x1 - x0) * (y1 - y0) > HUGE * picture.size.width * picture.size.height:
        cleaned.slips["huge"].append(file)


def _overlapping(boxes: Sequence[tuple[str, Corners]]) -> int:
    """Pairs of boxes of one class that are nearly one."""
    pairs = 0
    for n, (name, a) in enumerate(boxes):
        for other, b in boxes[:n]:
            pairs += name == other and _iou(a, b) >= SAME
    return pairs


def _iou(a: Corners, b: Corners) -> float:
    across = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    down = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = [(c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)]
    return across * down / max(sum(areas) - across * down, 1e-9)


def told(found: Found, cleaned: Cleaned) -> list[str]:
    """What a folder holds, in lines."""
    formats = ", ".join(f"{name} ({count})" for name, count in found.formats.most_common())
    lines = [f"{len(found.pictures)} pictures for {found.task.name}, labels: {formats}"]
    lines.append(f"sizes: {_sizes(found)}")
    boxes = Counter(name for kept in cleaned.boxes.values() for name, _ in kept)
    images = Counter(name for kept in cleaned.boxes.values() for name in {n for n, _ in kept})
    lines.append("class, boxes, pictures:" if found.task.finds_boxes else "class, pictures:")
    for name in found.classes:
        count = f"{boxes[name]}, {images[name]}" if found.task.finds_boxes else f"{boxes[name]}"
        lines.append(f"  {name}: {count}")
    if found.task.finds_boxes:
        free = sum(not kept for kept in cleaned.boxes.values())
        lines.append(f"{free} pictures are labelled as free of defects")
        lines += [f"  {line}" for line in _box_sizes(found, cleaned)]
    if found.task.learns_defect_free:
        free = sum(not kept for kept in cleaned.boxes.values())
        lines.append(
            f"{free} pictures of good parts, to learn from; those above are scored and never learnt from"
        )
    if found.spellings:
        read = ", ".join(f"{name} as {to}" for name, to in found.spellings.items())
        lines.append(f"spellings of one class: {read}")
    return lines + _left_out(found) + cleaned.told() + found.notes


def _left_out(found: Found) -> list[str]:
    folder, lines = found.folder, []
    used = {picture.path for picture in found.pictures}
    unlabelled = [path for path in found.unlabelled if path not in used]
    if unlabelled:
        lines.append(
            f"{len(unlabelled)} pictures without a label, left out, the first is {folder.told(unlabelled[0])}: "
            "say --unlabelled-are-empty if they show no defect"
        )
    elif found.unlabelled:
        lines.append(f"{len(found.unlabelled)} pictures without a label, taken as free of defects")
    if found.alone:
        first = folder.told(found.alone[0])
        lines.append(f"{len(found.alone)} labels without a picture, left out, the first is {first}")
    if found.templates:
        lines.append(f"{found.templates} templates beside the tested pictures, left out")
    return lines + [f"left out: {fault}" for fault in found.faults]


def _sizes(found: Found) -> str:
    sizes = Counter((picture.size.width, picture.size.height) for picture in found.pictures)
    told_sizes = [f"{w} x {h} ({count})" for (w, h), count in sizes.most_common(4)]
    return ", ".join([*told_sizes, *([f"{len(sizes) - 4} others"] if len(sizes) > 4 else [])])


def _box_sizes(found: Found, cleaned: Cleaned) -> list[str]:
    """Sizes of boxes, in pixels and as a share of their picture's longer side."""
    shorter = np.array(
        [min(c[2] - c[0], c[3] - c[1]) for kept in cleaned.boxes.values() for _, c in kept]
    )
    if not shorter.size:
        return []
    low, middle, high = np.quantile(shorter, [0.05, 0.5, 0.95])
    return [
        f"shorter side of the boxes: 5 % under {low:.0f} px, median {middle:.0f}, 95 % under {high:.0f}"
    ]
