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
    write_image_of(folder, card, stem, names)
    label = label_path(folder, card, stem, ".xml")
    objects = "".join(
        f"<object><name>{name}</name><bndbox><xmin>1</xmin><ymin>1</ymin>"
        f"<xmax>{k}</xmax><ymax>{SIDE}</ymax></bndbox></object>"
        for k, name in enumerate(names, 2)
    )
    label.write_text(f"<annotation>{objects}</annotation>")


def suffix_of(card):
    """A kind of picture that the card takes up."""
    return ".jpg" if card.why_dropped(Path("pic.png")) else ".png"


def write_in_folder(folder, card, stem, names):
    """A picture in the folder of its class; right among the images where it has none."""
    name = f"{stem}{suffix_of(card)}"
    write_picture(folder / card.layout.images[0] / "/".join([*names, name]), len(names))


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


def label_path(folder, card, stem, suffix):
    path = (
        folder
        / card.layout.labels[0].replace("*", "some")
        / f"{stem}{card.layout.label_ending}{suffix}"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def write_image_of(folder, card, stem, names):
    name = f"{stem}{card.layout.image_ending}.png"
    write_picture(folder / card.layout.images[0].replace("*", "some") / name, len(names))


def numbers_of(card, names):
    """Numbers by which labels mean these names; 999, which none has, where the card knows no such name."""
    numbers = {card.class_id(name): number for number, name in card.layout.names.items()}
    return [numbers.get(card.class_id(name), 999) for name in names]


def write_yolo(folder, card, stem, names):
    """Boxes as wide as in ``write_voc``, in fractions of the side; a file names the classes where the card does not."""
    write_image_of(folder, card, stem, names)
    numbers = numbers_of(card, names)
    if not card.layout.names:
        (folder / "classes.txt").write_text("\n".join(card.classes))
        numbers = [999 if (number := card.class_id(name)) is None else number for name in names]
    lines = [
        f"{number} {k / SIDE / 2:.6f} 0.5 {k / SIDE:.6f} 1\n" for k, number in enumerate(numbers, 2)
    ]
    label_path(folder, card, stem, ".txt").write_text("".join(lines))


def write_corners(folder, card, stem, names):
    """The same as corners in pixels."""
    write_image_of(folder, card, stem, names)
    first = card.layout.first_pixel
    lines = [
        f"{first} {first} {k} {SIDE} {number}\n"
        for k, number in enumerate(numbers_of(card, names), 2)
    ]
    label_path(folder, card, stem, ".txt").write_text("".join(lines))


def write_labelme(folder, card, stem, names):
    """The same as rectangles."""
    write_image_of(folder, card, stem, names)
    shapes = [
        {"label": name, "shape_type": "rectangle", "points": [[0, 0], [k, SIDE]]}
        for k, name in enumerate(names, 2)
    ]
    label_path(folder, card, stem, ".json").write_text(json.dumps({"shapes": shapes}))


def write_coco(folder, card, stem, names):
    """The same as a file for each image, which is one of the ways of COCO."""
    write_image_of(folder, card, stem, names)
    content = {
        "images": [{"id": 1, "file_name": f"{stem}{card.layout.image_ending}.png"}],
        "categories": [{"id": k, "name": name} for k, name in enumerate(names)],
        "annotations": [
            {"id": k, "image_id": 1, "category_id": k, "bbox": [0, 0, k + 2, SIDE]}
            for k in range(len(names))
        ],
    }
    label_path(folder, card, stem, ".json").write_text(json.dumps(content))


def write_mask(folder, card, stem, names):
    """Stripes of two columns, the first at the left edge, with two columns between them."""
    write_image_of(folder, card, stem, names)
    mask = card.layout.mask
    side = max(SIDE, 4 * len(names))
    pixels = np.zeros((SIDE, side, 3), np.uint8) + np.uint8(mask.all_values[0])
    for k, name in enumerate(names):
        number = card.class_id(name)
        value = UNKNOWN_LEVEL if number is None else mask.values[card.classes[number]]
        pixels[:, 4 * k : 4 * k + 2] = np.uint8(value)
    pixels = pixels[:, :SIDE]
    image = Image.fromarray(pixels if mask.is_colours else pixels[..., 0])
    image.save(label_path(folder, card, stem, ".png"))


WRITERS = {
    "voc": write_voc,
    "yolo": write_yolo,
    "coco": write_coco,
    "labelme": write_labelme,
    "masks": write_mask,
    "deeppcb": write_corners,
    "folders": write_in_folder,
    "names": write_by_name,
    "lists": write_listed,
}


UNKNOWN_LEVEL = 77
UNKNOWN = {
    "yolo": "999",
    "deeppcb": "999",
    "masks": str(UNKNOWN_LEVEL),
}  # how a label spells a class of no set


def write_official_lists(folder, card):
    """The publisher's lists: the last image is for test, the others to learn from."""
    if card.official is None:
        return
    stems = sorted(
        path.stem.removesuffix(card.official.behind)
        for path in folder.rglob("*.png")
        if card.layout.holds(path.relative_to(folder)) == "images"
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
    names = [*card.classes, *card.aliases]
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
    names = [*card.classes, *card.aliases]
    several = int(card.task == "detection")
    assert len(coco["images"]) == len(names) + several
    assert len(coco["annotations"]) == (1 + several) * len(names)
    files = {image["file_name"]: image["id"] for image in coco["images"]}
    for number, name in enumerate(names):
        (of_name,) = [
            i for file, i in files.items() if re.search(rf"pic-{number}(_\w+)?\.(png|jpg)$", file)
        ]
        found = [a for a in coco["annotations"] if a["image_id"] == of_name]
        assert [a["category_id"] for a in found] == [card.class_id(name)]
        assert found[0]["bbox"] == [0, 0, 2 if several else SIDE, SIDE]


def test_an_unknown_name_is_refused(card, small, tmp_path):
    if card.layout.mask and card.layout.mask.tolerance >= UNKNOWN_LEVEL:
        return  # any colour is near one that it names
    WRITERS[card.layout.format](small, card, "unknown", ["no-class-of-any-set"])
    with pytest.raises(
        ConversionError, match=UNKNOWN.get(card.layout.format, "no-class-of-any-set")
    ):
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
            free = counts.images_without_defect or 0
            assert counts.images == sum(counts.images_per_class.values()) + free
            return
        assert counts.boxes == sum(counts.boxes_per_class.values())
        assert counts.boxes <= counts.boxes_labelled - counts.duplicates


def test_the_list_of_hashes_covers_each_image_and_label(card):
    if card.source.manifest and card.expected:
        paths = read_manifest(card.folder / card.source.manifest)
        assert not [path for path in paths if Path(path).is_absolute() or ".." in path]
        kinds = [card.layout.holds(Path(path)) for path in paths]
        assert kinds.count("images") >= card.expected.images
        form = card.layout.label_format
        needed = card.expected.images if form.name in ONE_EACH else int(bool(form.suffixes))
        assert kinds.count("labels") >= needed


ONE_EACH = ("voc", "yolo", "labelme", "masks", "deeppcb")  # formats with a label for each image


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
