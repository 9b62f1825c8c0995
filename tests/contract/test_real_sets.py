"""Real sets, from archive to annotations, where a folder of their archives is given: DEFECTBENCH_PACKS=/path/to/it.

No image of a set is kept here, so that these tests are passed over elsewhere.
"""

import csv
import gzip
import json
import os
import zipfile
from pathlib import Path, PurePosixPath

import pytest

from defectbench.base.cards import load_dataset_card
from defectbench.base.errors import HashMismatchError
from defectbench.data.acquire import acquire
from defectbench.data.convert import convert
from defectbench.data.groups import named_groups
from defectbench.data.manifest import read_manifest
from defectbench.data.official import read_official

SHELF = Path(__file__).parents[2] / "datasets"
PACKS = Path(os.environ.get("DEFECTBENCH_PACKS", "no-folder"))
ARCHIVES = {
    "neu-det": "neu-det.zip",
    "deeppcb": "deeppcb-test-images.zip",
    "aluminium-sheet-400": "aluminium-sheet-400.zip",
    "gc10-det": "gc10-det-labels-18img.zip",
    "hripcb": "hripcb-sample-10.zip",
}


@pytest.fixture
def archive(request):
    path = PACKS / ARCHIVES[request.param]
    if not path.is_file():
        pytest.skip(f"{path.name} is not in DEFECTBENCH_PACKS")
    return path


def made(card, mirror, out):
    acquire(card, out, mirror=mirror)
    convert(card, out / "raw", out)
    return json.loads((out / "annotations.json").read_text())


def boxes_by_class(coco):
    names = {category["id"]: category["name"] for category in coco["categories"]}
    counts = dict.fromkeys(names.values(), 0)
    for box in coco["annotations"]:
        counts[names[box["category_id"]]] += 1
    return counts


@pytest.mark.parametrize("archive", ["deeppcb"], indirect=True)
def test_deeppcb(archive, tmp_path):
    card = load_dataset_card(SHELF / "deeppcb.yaml")
    coco = made(card, archive, tmp_path)
    assert (len(coco["images"]), len(coco["annotations"])) == (1500, 10013)
    assert list(boxes_by_class(coco).values()) == [1942, 1506, 1965, 1625, 1474, 1501]
    images = [image["file_name"] for image in coco["images"]]
    boards = named_groups(card, images)
    assert sorted(map(len, boards.values())) == [14, 74, 79, 98, 100, 107, 120, 146, 216, 221, 325]
    parts = read_official(card, tmp_path / "raw", images)
    assert {part: len(names) for part, names in parts.items()} == {"trainval": 1000, "test": 500}
    shown = {card.grouping.group_of(name) for name in parts["trainval"]}
    unseen = [name for name in parts["test"] if card.grouping.group_of(name) not in shown]
    assert len(unseen) == 332


@pytest.mark.parametrize("archive", ["aluminium-sheet-400"], indirect=True)
def test_aluminium_sheet(archive, tmp_path):
    card = load_dataset_card(SHELF / "aluminium-sheet-400.yaml")
    coco = made(card, archive, tmp_path)
    assert (len(coco["images"]), len(coco["annotations"])) == (400, 1065)
    counts = {"dirt": 455, "scratch": 266, "pinhole": 211, "wrinkle": 133}
    assert boxes_by_class(coco) == counts
    groups = named_groups(card, [image["file_name"] for image in coco["images"]])
    assert {len(members) for members in groups.values()} == {4}
    assert len(groups) == 100
    assert min(side for box in coco["annotations"] for side in box["bbox"][2:]) == 4


@pytest.mark.parametrize("archive", ["neu-det"], indirect=True)
def test_neu_det(archive, tmp_path):
    coco = made(load_dataset_card(SHELF / "neu-det.yaml"), archive, tmp_path)
    assert (len(coco["images"]), len(coco["annotations"])) == (1800, 4186)


def at_hand(card, folder, manifest):
    """The card without counts, and with the hashes of what lies in a folder alone."""
    present = {path.name for path in folder.rglob("*") if path.is_file()}
    listed = read_manifest(SHELF / card.source.manifest).items()
    lines = [f"{digest}  {name}\n" for name, digest in listed if Path(name).name in present]
    manifest.write_bytes(gzip.compress("".join(lines).encode()))
    source = card.source.model_copy(update={"manifest": str(manifest)})
    return card.model_copy(update={"expected": None, "source": source})


@pytest.mark.parametrize("archive", ["gc10-det"], indirect=True)
def test_gc10_by_the_images_at_hand(archive, tmp_path):
    card = load_dataset_card(SHELF / "gc10-det.yaml")
    with zipfile.ZipFile(archive) as content:
        images = {
            PurePosixPath(name).stem: name for name in content.namelist() if name.endswith(".jpg")
        }
        labels = [name for name in content.namelist() if PurePosixPath(name).stem in images]
        content.extractall(tmp_path / "home", labels)
    some = at_hand(card, tmp_path / "home", tmp_path / "list.gz")
    coco = made(some, tmp_path / "home", tmp_path / "out")
    assert len(coco["images"]) == 18
    assert {(image["width"], image["height"]) for image in coco["images"]} == {(2048, 1000)}
    assert len(named_groups(card, [image["file_name"] for image in coco["images"]])) == 17
    (picture, *_) = (tmp_path / "home").rglob("*.jpg")
    picture.write_bytes(picture.read_bytes() + b" ")
    with pytest.raises(HashMismatchError, match="is registered"):
        acquire(some, tmp_path / "again", mirror=tmp_path / "home")


@pytest.mark.parametrize("archive", ["gc10-det"], indirect=True)
def test_gc10_has_as_many_boxes_as_are_registered(archive):
    card = load_dataset_card(SHELF / "gc10-det.yaml")
    counts = dict.fromkeys(card.classes, 0)
    dropped = 0
    with zipfile.ZipFile(archive) as content:
        labels = [name for name in content.namelist() if name.endswith(".xml")]
        for name in labels:
            for part in content.read(name).decode().split("<name>")[1:]:
                spelled = part.partition("</name>")[0]
                dropped += spelled in card.drop
                number = card.class_id(spelled)
                if number is not None:
                    counts[card.classes[number]] += 1
        (hashes,) = (name for name in content.namelist() if name.endswith("_sha256.csv"))
        rows = list(csv.DictReader(content.read(hashes).decode().splitlines()))
    assert (len(labels), dropped) == (2280, 1)
    assert counts == card.expected.boxes_per_class
    listed = read_manifest(SHELF / card.source.manifest)
    assert len(rows) == 2306
    assert all(listed[f"images/{row['folder']}/{row['file']}"] == row["sha256"] for row in rows)


@pytest.mark.parametrize("archive", ["hripcb"], indirect=True)
def test_hripcb_by_the_images_at_hand(archive, tmp_path):
    card = load_dataset_card(SHELF / "hripcb.yaml").model_copy(update={"expected": None})
    coco = made(card, archive, tmp_path)
    assert len(coco["images"]) == 10
    assert list(boxes_by_class(coco).values()) == [8, 5, 10, 10, 10, 5]
    boards = named_groups(card, [image["file_name"] for image in coco["images"]])
    assert {board: len(names) for board, names in boards.items()} == {
        "04": 1, "07": 2, "08": 1, "10": 2, "11": 2, "12": 2,
    }  # fmt: skip
