"""Sets for classification: small archives of each layout to exact values, one named error per broken rule."""

import json
import zipfile

import cv2
import pytest
import torch
from small_sets import texture
from steel_like import SIZE, card, files_of, write_image

from defectbench.base.errors import ConversionError
from defectbench.data.acquire import acquire
from defectbench.data.augment import augment_offline
from defectbench.data.certificate import certify
from defectbench.data.coco import read_coco
from defectbench.data.convert import convert
from defectbench.data.groups import group_images
from defectbench.data.overlap import find_overlaps
from defectbench.data.pack import load_pack, pack
from defectbench.data.split import split

CRAZING, INCLUSION, SCALE = 0, 1, 2
LAYOUTS = {
    "folders": {"images": ["IMAGES"], "format": "folders"},
    "names": {"images": ["IMAGES"], "format": "names"},
    "lists": {"images": ["IMAGES"], "labels": ["LISTS"], "format": "lists"},
}


def class_card(form, **changes):
    return card(**{"task": "classification", "layout": LAYOUTS[form], **changes})


def write_set(folder, form, *entries):
    """Write images; an entry is a stem, the class as the set spells it, and a seed of the pixels."""
    for stem, name, seed in entries:
        place = {"folders": f"{name}/{stem}", "names": f"{name}_{stem}", "lists": stem}[form]
        write_image(folder / "IMAGES" / f"{place}.png", seed)
    if form == "lists":
        (folder / "LISTS").mkdir(parents=True)
        lines = [f"./IMAGES/{stem}.jpg {name}" for stem, name, _ in entries]
        (folder / "LISTS" / "all.txt").write_text("\n".join(lines))
    return folder


ENTRIES = (
    ("12", "crazing", 0),
    ("3", "rolled_in_scale", 1),  # an alias
    ("4", "inclusion", 2),
    ("5", "inclusion", 2),  # the same bytes
)


def read(out, name="annotations.json"):
    return json.loads((out / name).read_text())


def assert_refused(raw, tmp_path, the_card, *words):
    with pytest.raises(ConversionError) as caught:
        convert(the_card, raw, tmp_path / "out")
    for word in words:
        assert word in str(caught.value)
    left = {path.name for path in (tmp_path / "out").iterdir() if path.suffix != ".lock"}
    assert left == set()


@pytest.mark.parametrize("form", LAYOUTS)
def test_an_archive_of_each_layout_gives_whole_images_as_boxes(form, tmp_path):
    home = write_set(tmp_path / "SET", form, *ENTRIES)
    (home / "IMAGES" / "Thumbs.db").write_bytes(b"junk")
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for path in (path for path in home.rglob("*") if path.is_file()):
            archive.write(path, path.relative_to(tmp_path).as_posix())
    the_card, out = class_card(form), tmp_path / "out"
    acquire(the_card, out, mirror=tmp_path / "set.zip")
    convert(the_card, out / "raw", out)
    coco = read(out)
    stems = {
        "folders": ["3", "4", "5", "12"],
        "names": ["crazing_12", "inclusion_4", "inclusion_5", "rolled_in_scale_3"],
        "lists": ["3", "4", "5", "12"],
    }[form]
    assert coco["info"] == {"task": "classification"}
    assert [image["file_name"] for image in coco["images"]] == [f"{stem}.png" for stem in stems]
    expected = {"12": CRAZING, "3": SCALE, "4": INCLUSION, "5": INCLUSION}
    boxes = [(a["image_id"], a["category_id"], a["bbox"], a["area"]) for a in coco["annotations"]]
    assert boxes == [
        (k, expected[stem.split("_")[-1]], [0, 0, *SIZE], SIZE[0] * SIZE[1])
        for k, stem in enumerate(stems, 1)
    ]
    twins = ["inclusion_4.png", "inclusion_5.png"] if form == "names" else ["4.png", "5.png"]
    assert read(out, "conversion.json") == {
        "dataset": "steel-like",
        "task": "classification",
        "images": 4,
        "images_per_class": {"crazing": 1, "inclusion": 2, "rolled-in_scale": 1},
        "class_told_by": form,
        "images_dropped": [],
        "names_mapped": {"rolled_in_scale": 1},
        "files_renamed": {},
        "identical_images": [twins],
        "identical_images_of_several_classes": [],
        "files_ignored": ["SET/IMAGES/Thumbs.db"],
    }


def test_images_keep_their_bytes_and_a_second_run_gives_the_same(tmp_path):
    raw, out = write_set(tmp_path / "raw", "names", *ENTRIES), tmp_path / "out"
    convert(class_card("names"), raw, out)
    before = files_of(out)
    assert files_of(out / "images") == files_of(raw / "IMAGES")
    convert(class_card("names"), raw, out)
    assert files_of(out) == before


def test_a_name_in_two_class_folders_gets_the_class_before_it(tmp_path):
    raw = write_set(tmp_path / "raw", "folders", ("1", "rolled_in_scale", 0), ("1", "inclusion", 1))
    write_image(raw / "IMAGES" / "inclusion" / "2.png", 2)
    convert(class_card("folders"), raw, tmp_path / "out")
    files = [image["file_name"] for image in read(tmp_path / "out")["images"]]
    assert files == ["inclusion-1.png", "rolled-in_scale-1.png", "2.png"]
    assert files_of(tmp_path / "out" / "images").keys() == set(files)
    assert read(tmp_path / "out", "conversion.json")["files_renamed"] == {
        "IMAGES/inclusion/1.png": "inclusion-1.png",
        "IMAGES/rolled_in_scale/1.png": "rolled-in_scale-1.png",
    }


def test_equal_images_of_two_classes_are_listed(tmp_path):
    entries = (("1", "crazing", 0), ("2", "inclusion", 0), ("3", "crazing", 0))
    convert(class_card("names"), write_set(tmp_path / "raw", "names", *entries), tmp_path / "out")
    report = read(tmp_path / "out", "conversion.json")
    same = ["crazing_1.png", "crazing_3.png", "inclusion_2.png"]
    assert report["identical_images_of_several_classes"] == [same]


@pytest.mark.parametrize("form", LAYOUTS)
def test_dropped_classes_are_listed(form, tmp_path):
    raw = write_set(tmp_path / "raw", form, ("1", "crazing", 0), ("2", "blank", 1))
    convert(class_card(form, drop=["blank"]), raw, tmp_path / "out")
    report = read(tmp_path / "out", "conversion.json")
    assert report["images"] == 1
    assert [entry["name"] for entry in report["images_dropped"]] == ["blank"]


@pytest.mark.parametrize("form", LAYOUTS)
def test_an_unknown_class_is_named(form, tmp_path):
    raw = write_set(tmp_path / "raw", form, ("1", "rust", 0))
    words = ("class: got 'rust'", "crazing, inclusion, rolled-in_scale")
    assert_refused(raw, tmp_path, class_card(form), *words)


@pytest.mark.parametrize("form", LAYOUTS)
def test_a_corrupt_image_is_named(form, tmp_path):
    raw = write_set(tmp_path / "raw", form, ("1", "crazing", 0))
    path = next((raw / "IMAGES").rglob("*.png"))
    path.write_bytes(path.read_bytes()[:200])
    assert_refused(raw, tmp_path, class_card(form), path.name, "get a whole copy")


def test_an_image_beside_the_class_folders_is_named(tmp_path):
    raw = write_set(tmp_path / "raw", "folders", ("1", "crazing", 0))
    write_image(raw / "IMAGES" / "2.png", 1)
    assert_refused(raw, tmp_path, class_card("folders"), "2.png: class: got 'IMAGES'")


@pytest.mark.parametrize("stem", ["crazing1", "_1"])
def test_a_name_without_a_class_is_named(stem, tmp_path):
    write_image(tmp_path / "raw" / "IMAGES" / f"{stem}.png")
    assert_refused(tmp_path / "raw", tmp_path, class_card("names"), f"{stem}.png: class")


def test_lists_may_be_several_with_commas_and_further_columns(tmp_path):
    raw = write_set(tmp_path / "raw", "lists", ("1", "crazing", 0))
    write_image(raw / "IMAGES" / "2.png", 1)
    (raw / "LISTS" / "more.csv").write_text("\n2.png, inclusion, mono\n\n")
    convert(class_card("lists"), raw, tmp_path / "out")
    assert [a["category_id"] for a in read(tmp_path / "out")["annotations"]] == [CRAZING, INCLUSION]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"9.png inclusion", ("line 1", "9.png", "not among the images")),
        (b"1.png inclusion", ("line 1", "1.png", "all.txt has it already")),
        (b"2.png", ("line 1", "write the file name, then its class")),
        (b"\xff\xfe2", ("line 1", "UTF-8")),
        (b"", ("2.png: class", "list it with its class (1 images are in no list)")),
    ],
)
def test_a_list_that_does_not_fit_its_images_is_named(line, words, tmp_path):
    raw = write_set(tmp_path / "raw", "lists", ("1", "crazing", 0))
    write_image(raw / "IMAGES" / "2.png", 1)
    (raw / "LISTS" / "more.txt").write_bytes(line)
    assert_refused(raw, tmp_path, class_card("lists"), *words)


@pytest.mark.parametrize("form", ["names", "lists"])
def test_a_stem_that_occurs_twice_is_named(form, tmp_path):
    raw = write_set(tmp_path / "raw", form, ("1", "crazing", 0))
    path = next((raw / "IMAGES").rglob("*.png"))
    write_image(path.with_suffix(".jpg"), 1)
    assert_refused(raw, tmp_path, class_card(form), "stem", "keep one")


def classes_of(out):
    coco = read(out)
    names = {image["id"]: image["file_name"] for image in coco["images"]}
    return {names[a["image_id"]]: a["category_id"] for a in coco["annotations"]}


def test_equal_names_in_two_folders_are_two_images_told_apart_by_their_paths(tmp_path):
    for folder, seed in (("day1", 0), ("day2", 1)):
        write_image(tmp_path / "raw" / "IMAGES" / folder / "crazing_1.png", seed)
    convert(class_card("names"), tmp_path / "raw", tmp_path / "out")
    assert set(classes_of(tmp_path / "out")) == {"day1-crazing_1.png", "day2-crazing_1.png"}
    lists = tmp_path / "raw" / "LISTS"
    lists.mkdir()
    (lists / "all.txt").write_text("crazing_1.png crazing\n")
    assert_refused(
        tmp_path / "raw", tmp_path / "no", class_card("lists"), "write its path, such as"
    )
    (lists / "all.txt").write_text("day2/crazing_1.png crazing\n./DAY1/crazing_1.png inclusion\n")
    convert(class_card("lists"), tmp_path / "raw", tmp_path / "out")
    assert sorted(classes_of(tmp_path / "out").values()) == [CRAZING, INCLUSION]
    (lists / "all.txt").unlink()
    for folder, name in (("day1", "crazing"), ("day2", "inclusion")):
        (lists / folder).mkdir()
        (lists / folder / "all.txt").write_text(f"crazing_1.png {name}\n")
    convert(class_card("lists"), tmp_path / "raw", tmp_path / "out")
    assert classes_of(tmp_path / "out") == {
        "crazing-crazing_1.png": 0,
        "inclusion-crazing_1.png": 1,
    }


@pytest.mark.parametrize(
    ("stem", "text"),
    [
        ("a0", "a0.png pit deep"),
        ("a0", "a0.png  pit deep   mono"),
        ("a0", "a0.png\tpit deep\tmono"),
        ("a 0", "a 0.png\tpit deep"),
        ("a0", "file_name,class\na0.png,pit deep"),
        ("a, 0", '"a, 0.png", pit deep'),
        ("a 0", '"a 0.png" pit deep'),
        (" a0", " a0.png,pit deep"),
        ("a0", " a0.png,pit deep,mono"),
    ],
)
def test_lists_in_each_grammar(stem, text, tmp_path):
    raw = write_set(tmp_path / "raw", "lists", (stem, "pit", 0))
    (raw / "LISTS" / "all.txt").write_text(text)
    the_card = class_card("lists", classes=["scale", "pit deep"], aliases={})
    convert(the_card, raw, tmp_path / "out")
    assert classes_of(tmp_path / "out") == {f"{stem}.png": 1}


def test_a_further_column_that_names_another_class_is_refused(tmp_path):
    raw = write_set(tmp_path / "raw", "lists", ("1", "crazing", 0))
    for line in ("1.png,crazing,inclusion\n", "1.png crazing inclusion\n"):
        (raw / "LISTS" / "all.txt").write_text(line)
        assert_refused(raw, tmp_path, class_card("lists"), "line 1: got 'inclusion'", "one class")


def test_a_stem_that_occurs_twice_in_a_class_folder_is_named(tmp_path):
    raw = write_set(tmp_path / "raw", "folders", ("1", "crazing", 0))
    write_image(raw / "IMAGES" / "crazing" / "1.jpg", 1)
    assert_refused(raw, tmp_path, class_card("folders"), "stem", "keep one")


def test_counts_that_differ_stop_the_conversion(tmp_path):
    raw = write_set(tmp_path / "raw", "names", *ENTRIES)
    counts = {"crazing": 2, "inclusion": 2, "rolled-in_scale": 0}
    the_card = class_card("names", expected={"images": 4, "images_per_class": counts})
    assert_refused(raw, tmp_path, the_card, "images_per_class", "is registered")


def test_a_set_without_images_or_lists_is_named(tmp_path):
    (tmp_path / "raw" / "IMAGES").mkdir(parents=True)
    assert_refused(tmp_path / "raw", tmp_path, class_card("names"), "images", "no file")
    write_image(tmp_path / "raw" / "IMAGES" / "1.png")
    assert_refused(tmp_path / "raw", tmp_path, class_card("lists"), "labels", "no file")


@pytest.fixture
def textured(tmp_path):
    """Converted: ten textures a class, the first two of them the same file."""
    for number, name in enumerate(["crazing", "inclusion"]):
        folder = tmp_path / "raw" / "IMAGES" / name
        folder.mkdir(parents=True)
        for k in range(10):
            pixels = texture(10 * number + max(k, 1), 48, 64)
            assert cv2.imwrite(str(folder / f"{name[0]}{k}.png"), pixels)
    the_card = class_card("folders", classes=["crazing", "inclusion"], aliases={})
    convert(the_card, tmp_path / "raw", tmp_path / "set")
    find_overlaps(tmp_path / "set")
    return tmp_path / "set"


def test_the_whole_way_to_packs(textured):
    groups = group_images(textured)
    twins = [("c0.png", "c1.png"), ("i0.png", "i1.png")]
    assert len(set(groups.values())) == 18
    assert all(groups[a] == groups[b] for a, b in twins)
    parts = split(textured, "clean")
    assert {part: len(names) for part, names in parts.items()} == {"train": 14, "val": 2, "test": 4}
    assert certify(textured, "clean")["figures"]["shared_pixels"] == 0
    pack(textured, "clean", "test", 32, textured / "test.safetensors")
    packed = load_pack(textured / "test.safetensors", task="classification")
    letters = [name[0] for name in sorted(parts["test"])]
    assert packed.labels.tolist() == [[["c", "i"].index(letter)] for letter in letters]
    whole = torch.tensor([[0.0, 4.0, 32.0, 28.0]])  # 64 x 48 pixels in a square of 32
    assert torch.equal(packed.boxes, whole.expand(4, 1, 4))


def test_variants_keep_class_box_and_task(textured):
    group_images(textured)
    augment_offline(textured, copies=3)
    coco = read_coco(textured / "paper" / "split0" / "annotations.json")
    assert coco.task == "classification"
    assert len(coco.images) == 60
    for name, image in coco.images.items():
        (box,) = coco.boxes[image["id"]]
        assert box["category_id"] == ["c", "i"].index(name[0])
        assert box["bbox"] == pytest.approx([0, 0, 64, 48])
