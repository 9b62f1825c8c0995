"""The contract of a dataset card, held for every file in ``datasets/`` and for the one of ``examples/``."""

import csv
import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from defectbench.base.cards import Expected, load_dataset_card
from defectbench.base.errors import ConversionError
from defectbench.data.acquire import acquire
from defectbench.data.convert import convert
from defectbench.data.manifest import read_manifest
from defectbench.data.published import draw_lists

SHELF = Path(__file__).parents[2] / "datasets"
CARDS = [*sorted(SHELF.glob("*.yaml")), SHELF.parent / "examples" / "my_steel" / "my-steel.yaml"]
SIDE = 64


@pytest.fixture(params=CARDS, ids=lambda path: path.stem)
def card(request):
    return load_dataset_card(request.param)


def write_picture(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (SIDE, SIDE), np.uint8)
    Image.fromarray(pixels).save(path)


def write_voc(folder, card, stem, names):
    """A small image and its label in the card's layout; one box a name, none equal."""
    image = folder / card.layout.images[0] / f"{stem}.png"
    label = folder / card.layout.labels[0] / f"{stem}.xml"
    label.parent.mkdir(parents=True, exist_ok=True)
    write_picture(image, len(names))
    objects = "".join(
        f"<object><name>{name}</name><bndbox><xmin>1</xmin><ymin>1</ymin>"
        f"<xmax>{k}</xmax><ymax>{SIDE}</ymax></bndbox></object>"
        for k, name in enumerate(names, 2)
    )
    label.write_text(f"<annotation>{objects}</annotation>")


def write_image(folder, card, stem, seed):
    """A small image in the card's layout."""
    name = f"{stem}{card.layout.image_ending}.png"
    write_picture(folder / card.layout.images[0].replace("*", "a") / name, seed)


def label_file(folder, card, name):
    file = folder / card.layout.labels[0].replace("*", "a") / name
    file.parent.mkdir(parents=True, exist_ok=True)
    return file


def write_labelme(folder, card, stem, names):
    """The same with polygons."""
    write_image(folder, card, stem, len(names))
    shapes = [
        {"label": name, "points": [[0, 0], [k, 0], [k, SIDE]], "shape_type": "polygon"}
        for k, name in enumerate(names, 2)
    ]
    content = {"shapes": shapes, "imageHeight": SIDE, "imageWidth": SIDE}
    label_file(folder, card, f"{stem}.json").write_text(json.dumps(content))


def number_of(card, name):
    """The number that stands for a class in labels; one of no class for a name of none."""
    return next((n for n, named in card.layout.names.items() if named == name), 99)


def write_yolo(folder, card, stem, names):
    """The same with lines of fractions."""
    write_image(folder, card, stem, len(names))
    lines = [
        f"{number_of(card, name)} {k / 2 / SIDE} 0.5 {k / SIDE} 1\n"
        for k, name in enumerate(names, 2)
    ]
    label_file(folder, card, f"{stem}.txt").write_text("".join(lines))


def write_deeppcb(folder, card, stem, names):
    """The same with lines of corners."""
    write_image(folder, card, stem, len(names))
    lines = [f"0 0 {k} {SIDE} {number_of(card, name)}\n" for k, name in enumerate(names, 2)]
    label_file(folder, card, f"{stem}.txt").write_text("".join(lines))


def write_masks(folder, card, stem, names):
    """The same with stripes in a mask."""
    write_image(folder, card, stem, len(names))
    mask = np.zeros((SIDE, SIDE), np.uint8)
    for k, name in enumerate(names):
        mask[:, 4 * k : 4 * k + 2] = card.layout.mask.values.get(name, 99)
    Image.fromarray(mask).save(label_file(folder, card, f"{stem}.png"))


def write_in_folder(folder, card, stem, names):
    """A picture in the folder of its class; right among the images where it has none."""
    write_picture(folder / card.layout.images[0] / "/".join([*names, f"{stem}.png"]), len(names))


def write_by_name(folder, card, stem, names):
    """A picture whose name begins with its class."""
    name = f"{names[0]}_{stem}.png" if names else f"{stem}.png"
    write_picture(folder / card.layout.images[0] / name, len(names))


def write_listed(folder, card, stem, names):
    """A picture and its line in a list of the set."""
    write_picture(folder / card.layout.images[0] / f"{stem}.png", len(names))
    table = folder / card.layout.labels[0] / "labels.csv"
    table.parent.mkdir(parents=True, exist_ok=True)
    with table.open("a") as handle:
        handle.writelines(f"images/{stem}.png  {name}  mono\n" for name in names)


WRITERS = {
    "voc": write_voc,
    "labelme": write_labelme,
    "yolo": write_yolo,
    "deeppcb": write_deeppcb,
    "masks": write_masks,
    "folders": write_in_folder,
    "names": write_by_name,
    "lists": write_listed,
}


def labelled_names(card):
    """Names that labels of the set may bear; where they bear numbers these stand for classes alone."""
    numbers = bool(card.layout.names or card.layout.mask)
    return card.classes if numbers else [*card.classes, *card.aliases]


def write_official_lists(folder, card):
    """The publisher's lists: the last image is for test, the others to learn from."""
    if card.official is None:
        return
    suffixes = {".png", ".jpg"}
    stems = sorted(
        path.stem.removesuffix(card.official.behind)
        for path in folder.rglob("*")
        if path.suffix in suffixes and card.layout.holds(path.relative_to(folder)) == "images"
    )
    for part, files in card.official.lists.items():
        for file in files:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            listed = stems[-1:] if part == "test" else stems[:-1]
            (folder / file).write_text("".join(f"images/{stem}.jpg x\n" for stem in listed))


def without_counts(card):
    """The card for a small folder: the registered counts and hashes are those of the real set."""
    own = {"manifest": None, "sha256": None, "md5": None, "kind": "archive", "package": None}
    own |= {"listed_only": False}
    source = card.source.model_copy(update=own)
    return card.model_copy(update={"expected": None, "source": source})


@pytest.fixture
def small(card, tmp_path):
    """A folder in the card's layout that holds each name that its labels may bear."""
    names = labelled_names(card)
    for name in names:
        WRITERS[card.layout.format](tmp_path / "home", card, f"pic-{names.index(name)}", [name])
    if card.task == "detection":
        WRITERS[card.layout.format](tmp_path / "home", card, "several", names)
    return tmp_path / "home"


def make(card, home, out):
    write_official_lists(home, card)
    acquire(without_counts(card), out, mirror=home)
    convert(without_counts(card), out / "raw", out)
    return json.loads((out / "annotations.json").read_text())


def test_a_set_in_its_layout_goes_from_folder_to_annotations(card, small, tmp_path):
    coco = make(card, small, tmp_path / "out")
    assert [category["name"] for category in coco["categories"]] == card.classes
    assert [category["id"] for category in coco["categories"]] == list(range(len(card.classes)))
    names = labelled_names(card)
    several = int(card.task == "detection")
    assert len(coco["images"]) == len(names) + several
    assert len(coco["annotations"]) == (1 + several) * len(names)
    ending = card.layout.image_ending
    files = {
        image["file_name"].replace(f"{ending}.png", ".png").split("_")[-1]: image["id"]
        for image in coco["images"]
    }
    for number, name in enumerate(names):
        found = [a for a in coco["annotations"] if a["image_id"] == files[f"pic-{number}.png"]]
        assert [a["category_id"] for a in found] == [card.class_id(name)]
        assert found[0]["bbox"] == [0, 0, 2 if several else SIDE, SIDE]


def test_an_unknown_name_is_refused(card, small, tmp_path):
    WRITERS[card.layout.format](small, card, "unknown", ["no-class-of-any-set"])
    numbers = bool(card.layout.names or card.layout.mask)
    with pytest.raises(ConversionError, match="99" if numbers else "no-class-of-any-set"):
        make(card, small, tmp_path / "out")


def test_an_image_without_a_defect_is_taken_or_refused_as_the_card_says(card, small, tmp_path):
    WRITERS[card.layout.format](small, card, "clean", [])
    if card.allow_empty:
        made = make(card, small, tmp_path / "out")
        assert len(made["images"]) == 2 + len(labelled_names(card))
    else:
        with pytest.raises(ConversionError, match="clean"):
            make(card, small, tmp_path / "out")


def test_dropped_names_are_listed(card, small, tmp_path):
    kept = [card.classes[0]] if card.task == "detection" else []
    for name in card.drop:
        WRITERS[card.layout.format](small, card, f"drop-{name}", [name, *kept])
    make(card, small, tmp_path / "out")
    report = json.loads((tmp_path / "out" / "conversion.json").read_text())
    dropped = report["labels_dropped" if card.task == "detection" else "images_dropped"]
    assert sorted(entry["name"] for entry in dropped) == sorted(card.drop)


def test_annotations_name_a_task_that_is_not_detection(card, small, tmp_path):
    coco = make(card, small, tmp_path / "out")
    assert coco.get("info", {"task": "detection"}) == {"task": card.task}


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
    if card.source.kind == "package":
        assert card.source.manifest
    if not card.source.urls:  # a package, or a set of one's own, given as a mirror
        return
    assert card.source.home.startswith("http")
    assert all(url.startswith("https://") for url in card.source.urls)
    checked = card.source.manifest or card.source.sha256 or card.source.md5
    assert checked or "hash" in card.unconfirmed
    assert card.n_images
    assert card.cite


def test_a_set_that_no_program_can_get_says_what_a_person_does(card):
    if card.source.needs_a_person:
        assert card.source.how_to_get()
        assert all(page.address.startswith("https://") for page in card.source.pages)


def test_customs_of_a_set_are_told(card):
    if card.layout.format in ("folders", "names", "lists") or card.source.kind == "synthetic":
        return
    if card.folder == SHELF:
        assert card.protocols.papers
        assert card.protocols.clean


def test_the_rule_of_groups_fits_each_listed_image(card):
    if card.grouping and card.source.manifest:
        paths = map(Path, read_manifest(card.folder / card.source.manifest))
        images = [path for path in paths if card.holds(path) == "images"]
        groups = {card.grouping.group_of(path.stem) for path in images}
        assert None not in groups
        assert 1 < len(groups) < len(images)


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
        if not isinstance(counts, Expected):
            assert counts.images == sum(counts.images_per_class.values())
            return
        assert counts.boxes == sum(counts.boxes_per_class.values())
        assert counts.boxes <= counts.boxes_labelled - counts.duplicates


def test_the_list_of_hashes_covers_each_image_and_label(card):
    if card.source.manifest and card.expected:
        paths = read_manifest(card.folder / card.source.manifest)
        assert not [path for path in paths if Path(path).is_absolute() or ".." in path]
        kinds = [card.holds(Path(path)) for path in paths]
        assert kinds.count("images") >= card.expected.images
        one_each = ("voc", "labelme", "yolo", "deeppcb", "masks")
        needed = {"lists": 1, **dict.fromkeys(one_each, card.expected.images)}
        needed = needed.get(card.layout.format, 0)
        assert kinds.count("labels") >= needed


def read_rows(path):
    with path.open(newline="") as handle:
        return [tuple(row) for row in csv.reader(handle)][1:]


def test_thin_training_lists_begin_the_training_part_of_each_class(card):
    for file in card.train_lists.values():
        thin = read_rows(card.folder / file)
        counts = Counter(name for _, name in thin)
        assert set(counts) == set(card.classes)
        drawn, again = draw_lists(card, counts)
        assert again == thin
        assert drawn == read_rows(card.folder / card.splits["random"])


def test_no_image_lies_on_the_shelf():
    allowed = {".yaml", ".gz", ".md", ".csv"}
    assert {path.suffix for path in SHELF.rglob("*") if path.is_file()} <= allowed
