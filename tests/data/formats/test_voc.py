"""Pascal VOC: what the card says of first pixels and of difficult objects, and of images that have no label."""

import pytest

from .small_raw import Raw


def label(*objects):
    """Objects: class name, corners, whether difficult."""
    return "".join(
        [
            "<annotation><filename>a.png</filename>",
            *(
                f"<object><name>{name}</name><difficult>{difficult}</difficult><bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin>"
                f"<xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>"
                for name, (x0, y0, x1, y1), difficult in objects
            ),
            "</annotation>",
        ]
    )


PLAIN, HARD = ("pit", (1, 2, 10, 12), 0), ("scratch", (3, 4, 20, 9), 1)


@pytest.fixture
def raw(tmp_path):
    raw = Raw(tmp_path, "voc")
    raw.image("a.png")
    raw.label("a.xml", label(PLAIN, HARD))
    return raw


def test_pixels_count_from_1_unless_the_card_says_otherwise(raw):
    boxes, report = raw.convert()
    assert boxes == {"a.png": [("pit", 0, 1, 10, 12), ("scratch", 2, 3, 20, 9)]}
    assert report["coordinates"].startswith("1-based inclusive")
    raw.layout["first_pixel"] = 0
    boxes, report = raw.convert()
    assert boxes == {"a.png": [("pit", 1, 2, 10, 12), ("scratch", 3, 4, 20, 9)]}
    assert report["coordinates"] == "corners are edges of pixels that count from 0"


def test_fractions_are_told_with_the_pixel_that_is_first(raw):
    raw.label("a.xml", label(("pit", (0.1, 0.2, 0.5, 0.6), 0)))
    raw.layout["first_pixel"] = 0
    raw.refused("a.xml", "bndbox", "write pixels, counted from 0")


def test_difficult_objects_are_kept_dropped_or_ignored(raw):
    kept, hard = ("pit", 0, 1, 10, 12), ("scratch", 2, 3, 20, 9)
    boxes, report = raw.convert()
    assert boxes == {"a.png": [kept, hard]}
    assert report["tags_ignored"] == {"object.difficult": 1}
    raw.layout["difficult"] = "drop"
    boxes, report = raw.convert()
    assert boxes == {"a.png": [kept]}
    assert (report["boxes_labelled"], report["boxes"]) == (2, 1)
    assert report["apart_dropped"] == [{"label": "a.xml", "name": "scratch"}]
    assert report["tags_ignored"] == {}
    raw.layout["difficult"] = "ignore"
    boxes, report = raw.convert()
    assert boxes == {"a.png": [kept, (*hard, "ignored")]}
    assert report["apart_ignored"] == [{"label": "a.xml", "name": "scratch"}]


def test_a_set_of_difficult_objects_alone_is_empty_when_they_are_dropped(raw):
    raw.label("a.xml", label(HARD))
    raw.layout["difficult"] = "drop"
    raw.refused("a.xml", "each image of this set shows a defect")


# Images that a card leaves out


@pytest.fixture
def torn(tmp_path):
    """GC10-DET's ways: a flat folder of labels, images in folders of classes, names in two of them, images alone."""
    raw = Raw(tmp_path, "voc")
    for name in ("1/a.png", "2/b.png", "1/c.png", "2/c.png", "1/d.png"):
        raw.image(name)
    for stem in "ab":
        raw.label(f"{stem}.xml", label(PLAIN))
    return raw


def test_images_without_label_are_dropped_where_the_card_says_so(torn, capsys):
    torn.refused("label", "each image needs a label")
    torn.layout["drop_images"] = ["unlabelled"]
    boxes, report = torn.convert()
    assert sorted(boxes) == ["a.png", "b.png"]
    assert report["images_dropped"] == [
        {"file": f"set/images/{name}", "why": "no label"} for name in ("1/c.png", "2/c.png", "1/d.png")
    ]  # fmt: skip
    assert "3 images or labels left out by the card" in capsys.readouterr().out


def test_images_whose_label_holds_no_object_are_dropped_where_the_card_says_so(torn):
    torn.layout["drop_images"] = ["unlabelled", "empty"]
    torn.label("a.xml", label())
    boxes, report = torn.convert()
    assert list(boxes) == ["b.png"]
    assert {"file": "set/images/1/a.png", "why": "a label without object"} in report[
        "images_dropped"
    ]
    assert sorted(path.name for path in (torn.out / "images").iterdir()) == ["b.png"]


def test_a_card_that_leaves_out_all_images_is_named(torn):
    torn.layout["drop_images"] = ["unlabelled", "empty"]
    for stem in "ab":
        torn.label(f"{stem}.xml", label())
    torn.refused("images: got 0", "take a rule out of `drop_images`")


@pytest.mark.parametrize("folders", [["images"], ["1", "2"]])
def test_a_label_of_a_name_in_two_folders(torn, folders):
    torn.layout["images"] = folders
    torn.layout["drop_images"] = ["unlabelled"]
    torn.label("c.xml", label(PLAIN))
    torn.refused("c." if folders == ["images"] else "stem")
    torn.layout["drop_images"] = ["unlabelled", "repeated"]
    boxes, report = torn.convert()
    assert sorted(boxes) == ["a.png", "b.png"]
    why = "2 images of this stem and one label"
    dropped = [entry["file"] for entry in report["images_dropped"] if entry["why"] == why]
    assert dropped == ["set/images/1/c.png", "set/images/2/c.png", "set/labels/c.xml"]


def test_the_error_of_such_a_label_says_the_rule(torn):
    torn.label("c.xml", label(PLAIN))
    (torn.home / "images/1/d.png").unlink()
    torn.refused("c.xml", "several folders hold an image of it", "drop_images: [repeated]")


def test_names_in_two_folders_with_a_label_each_are_two_images(torn):
    torn.layout["drop_images"] = ["unlabelled", "repeated"]
    for folder in "12":
        torn.label(f"{folder}/c.xml", label(PLAIN))
    boxes, _ = torn.convert()
    assert sorted(boxes) == ["1-c.png", "2-c.png", "a.png", "b.png"]
