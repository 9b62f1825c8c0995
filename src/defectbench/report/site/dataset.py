"""The page of a dataset: samples, counts of classes and sizes, what its certificates say, and images that overlap."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ...base.cards import DatasetCard, load_dataset_card
from ...base.errors import ReportError
from ...base.tasks import TASKS
from ...data.coco import read_list
from ...data.overlap import SHIFT, FileOverlap, read_overlaps
from ...data.truth import read_truth
from ..records.cells import Entry
from ..records.certificates import data_folder
from ..records.detections import lot
from .charts import bar_chart
from .photos import Photo, Photos

PARTS = ("train", "val", "test")
SIDES = (8, 16, 32, 64, 128, 256, 512)  # pixels
OVERLAPS = 3

Counts = dict[str, dict[str, int]]


@dataclass(frozen=True)
class OverlapExample:
    """Two images that show the same surface.

    Attributes:
        names: Their file names.
        photos: The images.
        boxes: What they share, x, y, width and height in each; None where no shift says it.
        words: What is known of them.
    """

    names: tuple[str, str]
    photos: tuple[Photo, Photo]
    boxes: tuple[tuple[int, int, int, int], ...] | None
    words: str


def dataset_card(name: str, models_dir: str | Path) -> DatasetCard | None:
    """The card of a dataset, on the shelf beside that of the methods; None where it has none there."""
    path = Path(models_dir).parent / "datasets" / f"{name}.yaml"
    return load_dataset_card(path) if path.is_file() else None


def card_facts(card: DatasetCard) -> list[tuple[str, str]]:
    """What a card says, in lines."""
    facts = [
        ("name", card.title),
        ("surface", card.surface),
        ("task", card.task),
        ("licence", card.licence),
        ("cite", "; ".join(card.cite)),
        ("unconfirmed", card.unconfirmed),
    ]
    return [(name, text) for name, text in facts if text]


def certificate_facts(entry: Entry) -> list[tuple[str, str]]:
    """What the certificate of a split says, in lines."""
    figures = entry.certificate["figures"]
    counts = ", ".join(f"{part} {figures['images'][part]:,}" for part in PARTS)
    shared = ", ".join(f"{pair} {count:,}" for pair, count in figures["shared_images"].items())
    return [
        ("images", counts),
        ("images that share surface between parts", shared),
        ("test images that show surface seen in training", f"{100 * entry.leak_share:.1f} %"),
        ("groups of the test part", f"{entry.first.accuracy['figures']['n_groups']:,}"),
    ]


def histograms(entry: Entry) -> list[tuple[str, Markup]]:
    """Counts of classes, and of sizes of boxes, by part; nothing where truth or lists are not at hand."""
    inputs = entry.first.accuracy["inputs"]
    truth, folder = Path(inputs["annotations"]["path"]), Path(inputs["images"]["path"]).parent
    lists = {part: folder / f"{part}.txt" for part in PARTS}
    if not truth.is_file() or not all(path.is_file() for path in lists.values()):
        return []
    content = read_truth(truth)
    part_of = {name: part for part, path in lists.items() for name in read_list(path, ReportError)}
    parts = {
        i["id"]: part_of[i["file_name"]] for i in content["images"] if i["file_name"] in part_of
    }
    boxes = [box for box in content["annotations"] if box["image_id"] in parts]
    what = "objects" if TASKS[entry.task].finds_boxes else "images"
    made = [(f"{what} by class and part", _class_counts(content, boxes, parts))]
    if TASKS[entry.task].finds_boxes:
        made.append(
            ("objects by size (root of the area, pixels) and part", _size_counts(boxes, parts))
        )
    return [(title, bar_chart(counts, title)) for title, counts in made]


def _class_counts(
    content: Mapping[str, Any], boxes: Sequence[Mapping[str, Any]], parts: Mapping[int, str]
) -> Counts:
    names = {category["id"]: category["name"] for category in content["categories"]}
    counts: Counts = {name: dict.fromkeys(PARTS, 0) for name in names.values()}
    for box in boxes:
        counts[names[box["category_id"]]][parts[box["image_id"]]] += 1
    return counts


def _size_counts(boxes: Sequence[Mapping[str, Any]], parts: Mapping[int, str]) -> Counts:
    counts: Counts = {name: dict.fromkeys(PARTS, 0) for name in _size_names()}
    names = list(counts)
    for box in boxes:
        side = (box["bbox"][2] * box["bbox"][3]) ** 0.5
        counts[names[sum(side >= bound for bound in SIDES)]][parts[box["image_id"]]] += 1
    used = [n for n, name in enumerate(names) if sum(counts[name].values())]
    return {name: counts[name] for name in names[used[0] : used[-1] + 1]} if used else {}


def _size_names() -> Iterator[str]:
    yield f"under {SIDES[0]}"
    for low, high in pairwise(SIDES):
        yield f"{low} to {high}"
    yield f"{SIDES[-1]} and more"


def overlap_examples(entry: Entry, photos: Photos) -> list[OverlapExample]:
    """Some pairs of images that show the same surface, drawn by lot; nothing where there are none or no images."""
    folder = data_folder(entry.first.folder)
    if not (folder / "overlaps.csv").is_file() or not (folder / "images").is_dir():
        return []
    pairs = sorted(
        read_overlaps(folder), key=lambda pair: (pair.kind != SHIFT, lot(" ".join(pair.names)))
    )
    return [_example(pair, folder / "images", photos) for pair in pairs[:OVERLAPS]]


def _example(pair: FileOverlap, folder: Path, photos: Photos) -> OverlapExample:
    first, second = (photos.add(folder / name) for name in pair.names)
    boxes = None
    if pair.kind == SHIFT and pair.zoom == 1.0 and not pair.turn and not pair.mirrored:
        x, y = max(0, pair.dx), max(0, pair.dy)
        width = min(first.width, pair.dx + second.width) - x
        height = min(first.height, pair.dy + second.height) - y
        boxes = ((x, y, width, height), (x - pair.dx, y - pair.dy, width, height))
    share = f"{100 * pair.shared_area:.0f} % of the smaller image"
    words = f"{share}, {pair.kind}, correlation {pair.correlation:.3f}"
    return OverlapExample(pair.names, (first, second), boxes, words)
