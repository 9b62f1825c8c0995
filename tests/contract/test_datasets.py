"""The contract of a dataset card, held for every file in ``datasets/``."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from defectbench.base.cards import load_dataset_card
from defectbench.base.errors import ConversionError
from defectbench.data.acquire import acquire
from defectbench.data.convert import convert
from defectbench.data.manifest import read_manifest

SHELF = Path(__file__).parents[2] / "datasets"
CARDS = sorted(SHELF.glob("*.yaml"))
SIDE = 64


@pytest.fixture(params=CARDS, ids=lambda path: path.stem)
def card(request):
    return load_dataset_card(request.param)


def write_voc(folder, card, stem, names):
    """A small image and its label in the card's layout; one box a name, none equal."""
    image = folder / card.layout.images[0] / f"{stem}.png"
    label = folder / card.layout.labels[0] / f"{stem}.xml"
    for path in (image, label):
        path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(len(names)).integers(0, 255, (SIDE, SIDE), np.uint8)
    Image.fromarray(pixels).save(image)
    objects = "".join(
        f"<object><name>{name}</name><bndbox><xmin>1</xmin><ymin>1</ymin>"
        f"<xmax>{k}</xmax><ymax>{SIDE}</ymax></bndbox></object>"
        for k, name in enumerate(names, 2)
    )
    label.write_text(f"<annotation>{objects}</annotation>")


WRITERS = {"voc": write_voc}


def without_counts(card):
    """The card for a small folder: the registered counts and hashes are those of the real set."""
    source = card.source.model_copy(update={"manifest": None, "sha256": None, "kind": "archive"})
    return card.model_copy(update={"expected": None, "source": source})


@pytest.fixture
def small(card, tmp_path):
    """A folder in the card's layout that holds each name that its labels may bear."""
    names = [*card.classes, *card.aliases]
    for name in names:
        WRITERS[card.layout.format](tmp_path / "home", card, f"pic-{names.index(name)}", [name])
    WRITERS[card.layout.format](tmp_path / "home", card, "several", names)
    return tmp_path / "home"


def make(card, home, out):
    acquire(without_counts(card), out, mirror=home)
    convert(without_counts(card), out / "raw", out)
    return json.loads((out / "annotations.json").read_text())


def test_a_set_in_its_layout_goes_from_folder_to_annotations(card, small, tmp_path):
    coco = make(card, small, tmp_path / "out")
    assert [category["name"] for category in coco["categories"]] == card.classes
    assert [category["id"] for category in coco["categories"]] == list(range(len(card.classes)))
    names = [*card.classes, *card.aliases]
    assert len(coco["images"]) == len(names) + 1
    assert len(coco["annotations"]) == 2 * len(names)
    files = {image["file_name"]: image["id"] for image in coco["images"]}
    for number, name in enumerate(names):
        found = [a for a in coco["annotations"] if a["image_id"] == files[f"pic-{number}.png"]]
        assert [a["category_id"] for a in found] == [card.class_id(name)]
        assert found[0]["bbox"] == [0, 0, 2, SIDE]


def test_an_unknown_name_is_refused(card, small, tmp_path):
    WRITERS[card.layout.format](small, card, "pic-0", ["no class of any set"])
    with pytest.raises(ConversionError, match="no class of any set"):
        make(card, small, tmp_path / "out")


def test_an_image_without_a_defect_is_taken_or_refused_as_the_card_says(card, small, tmp_path):
    WRITERS[card.layout.format](small, card, "clean", [])
    if card.allow_empty:
        assert len(make(card, small, tmp_path / "out")["images"]) == 2 + len(
            [*card.classes, *card.aliases]
        )
    else:
        with pytest.raises(ConversionError, match="clean"):
            make(card, small, tmp_path / "out")


def test_dropped_names_are_listed(card, small, tmp_path):
    for name in card.drop:
        WRITERS[card.layout.format](small, card, f"drop-{name}", [name, card.classes[0]])
    make(card, small, tmp_path / "out")
    report = json.loads((tmp_path / "out" / "conversion.json").read_text())
    assert sorted(entry["name"] for entry in report["labels_dropped"]) == sorted(card.drop)


def test_names_are_safe_in_paths_lists_and_tables(card):
    for name in card.classes:
        assert re.fullmatch(r"[a-z0-9_-]+", name)
    assert card.title.strip()
    assert card.licence.strip()


def test_an_archive_can_be_had_and_checked(card):
    if card.source.kind == "synthetic":
        assert not card.source.urls
        return
    assert card.source.place_here
    if not card.source.urls:  # a set of one's own, given as a mirror
        return
    assert card.source.home.startswith("http")
    assert all(url.startswith("https://") for url in card.source.urls)
    assert card.source.manifest or card.source.sha256
    assert card.expected
    assert card.cite


def test_published_lists_hold_each_image_once(card):
    for file in card.splits.values():
        with (card.folder / file).open(newline="") as handle:
            rows = list(csv.DictReader(handle))
        names = [row["file_name"] for row in rows]
        assert len(names) == len(set(names))
        assert {row["part"] for row in rows} == {"train", "val", "test"}
        if card.expected:
            assert len(names) == card.expected.images


def test_registered_counts_agree_with_each_other(card):
    if card.expected:
        counts = card.expected
        assert counts.boxes == sum(counts.boxes_per_class.values())
        assert counts.boxes <= counts.boxes_labelled - counts.duplicates


def test_the_list_of_hashes_covers_each_image_and_label(card):
    if card.source.manifest and card.expected:
        paths = read_manifest(card.folder / card.source.manifest)
        assert not [path for path in paths if Path(path).is_absolute() or ".." in path]
        kinds = [card.layout.holds(Path(path)) for path in paths]
        assert kinds.count("images") >= card.expected.images
        assert kinds.count("labels") >= card.expected.images


def test_no_image_lies_on_the_shelf():
    allowed = {".yaml", ".gz", ".md", ".csv"}
    assert {path.suffix for path in SHELF.rglob("*") if path.is_file()} <= allowed
