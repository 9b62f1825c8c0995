"""The layout of a user's folder is found from its files, or what is ambiguous is asked for by name."""

import numpy as np
import pytest

from defectbench.base.errors import ConfigError, ConversionError
from defectbench.data.adoption.finding import Said, find
from defectbench.data.adoption.survey import clean, told
from tests.own_pictures import (
    HEIGHT,
    NAMES,
    WIDTH,
    as_deeppcb,
    as_labelme,
    as_mask,
    as_voc,
    as_yolo,
    coco_of,
    plate,
    write_picture,
    write_text,
)

COUNT = 4


def draw(top, place="{}.png", count=COUNT):
    """Pictures, and by picture where it lies and its boxes."""
    drawn = []
    for number in range(count):
        pixels, boxes = plate(number)
        path = top / place.format(f"plate {number}")
        write_picture(path, pixels)
        drawn.append((path, boxes))
    return drawn


def names_file(top, name="classes.txt"):
    write_text(top / name, "".join(f"{name}\n" for name in NAMES))


def voc_beside(top):
    for path, boxes in draw(top):
        as_voc(path, boxes)


def voc_apart(top):
    for path, boxes in draw(top, "JPEGImages/{}.png"):
        as_voc(top / "Annotations" / path.name, boxes)


def yolo_of_parts(top):
    for number, (path, boxes) in enumerate(draw(top, "images/train/{}.png")):
        if number == 3:
            path = path.rename(top / "images" / path.name)
        parts = path.relative_to(top / "images")
        as_yolo(top / "labels" / parts, boxes)
    write_text(top / "data.yaml", "train: images/train\nnames: {0: pit, 1: scratch}\n")


def yolo_beside(top):
    for path, boxes in draw(top, "day one/{}.png"):
        as_yolo(path, boxes)
    names_file(top / "day one")


def labelme_apart(top):
    for path, boxes in draw(top, "pictures/{}.png"):
        as_labelme(top / "json" / path.name, boxes)


def coco_file(top):
    drawn = draw(top, "line/a/{}.png")
    entries = [(f"a/{path.name}", boxes) for path, boxes in drawn]
    write_text(top / "annotations" / "all.json", coco_of(entries))


LAYOUTS = {
    "voc": (voc_beside, voc_apart),
    "yolo": (yolo_of_parts, yolo_beside),
    "labelme": (labelme_apart,),
    "coco": (coco_file,),
}
CASES = [(kind, draw_it) for kind, ways in LAYOUTS.items() for draw_it in ways]


@pytest.mark.parametrize(
    ("kind", "draw_it"), CASES, ids=lambda case: getattr(case, "__name__", case)
)
def test_boxes_and_classes_are_the_same_from_each_layout(kind, draw_it, tmp_path):
    draw_it(tmp_path)
    found = find(tmp_path)
    assert found.classes == list(NAMES)
    assert dict(found.formats) == {kind: COUNT}
    for picture in found.pictures:
        _, boxes = plate(int(picture.path.stem.split()[1]))
        assert [NAMES.index(box.name) for box in picture.boxes] == [number for number, _ in boxes]
        np.testing.assert_allclose(
            [box.corners for box in picture.boxes], [corners for _, corners in boxes], atol=1e-3
        )
    assert clean(found).told() == []


def test_masks_are_told_by_their_few_colours(tmp_path):
    for path, boxes in draw(tmp_path, "photos/{}.png"):
        as_mask(tmp_path / "ground truth" / path.name, boxes)
    found = find(tmp_path)
    assert dict(found.formats) == {"masks": COUNT}
    assert found.classes == ["value_1", "value_2"]
    assert find(tmp_path, Said(classes=NAMES)).classes == list(NAMES)
    first = found.pictures[0]
    assert [box.corners for box in first.boxes] == [plate(0)[1][0][1]]


def test_lists_of_deeppcb_and_its_templates(tmp_path):
    for number in range(COUNT):
        pixels, boxes = plate(number)
        write_picture(tmp_path / "group1" / "1" / f"{number}_test.png", pixels)
        write_picture(tmp_path / "group1" / "1" / f"{number}_temp.png", pixels)
        as_deeppcb(tmp_path / "group1" / "1_not" / f"{number}.txt", boxes)
    found = find(tmp_path)
    assert dict(found.formats) == {"deeppcb": COUNT}
    assert found.templates == COUNT
    assert found.classes == ["open", "short"]


def test_a_folder_a_class_is_a_set_for_classification(tmp_path):
    for number in range(6):
        write_picture(
            tmp_path / "train" / ("ok", "bad")[number % 2] / f"{number}.png", plate(number)[0]
        )
    found = find(tmp_path)
    assert found.task.name == "classification"
    assert found.classes == ["bad", "ok"]
    assert [picture.boxes[0].name for picture in found.pictures] == ["bad"] * 3 + ["ok"] * 3


def test_two_formats_odd_names_and_spellings_in_one_folder(tmp_path):
    for path, boxes in draw(tmp_path / "Line A (old)", "Bilder/{}.png"):
        as_voc(path, boxes, names=("Pit", "SCRATCH"))
    for path, boxes in draw(tmp_path / "line_b", "2024/{}.png"):
        as_yolo(tmp_path / "line_b" / "txt" / path.name, boxes)
    names_file(tmp_path / "line_b" / "txt")
    write_text(tmp_path / "notes.txt", "taken in May")
    found = find(tmp_path)
    assert dict(found.formats) == {"voc": COUNT, "yolo": COUNT}
    assert [name.lower() for name in found.classes] == list(NAMES)
    assert len(found.spellings) == 2
    assert {name for kept in clean(found).boxes.values() for name, _ in kept} == {*found.classes}
    assert any("spellings of one class" in line for line in told(found, clean(found)))


def test_what_looks_like_a_slip_is_listed(tmp_path):
    path, _ = draw(tmp_path, count=1)[0]
    boxes = [
        (0, (1, 1, 20, 20)),
        (0, (1, 1, 20, 20)),  # twice
        (0, (2, 1, 20, 20)),  # overlapping the first
        (1, (40, 40, 43, 50)),  # tiny
        (1, (0, 0, WIDTH, HEIGHT)),  # huge
        (0, (90, 10, WIDTH + 9, 30)),  # cut
        (0, (WIDTH + 5, 10, WIDTH + 9, 30)),  # outside
        (1, (30, 20, 30, 28)),  # flat
        (1, (70, 60, 50, 40)),  # reversed
    ]
    as_voc(path, boxes)
    found = find(tmp_path)
    cleaned = clean(found)
    counts = {kind: len(files) for kind, files in cleaned.slips.items() if files}
    assert counts == dict.fromkeys(
        ("outside", "cut", "flat", "twice", "tiny", "huge", "overlapping", "reversed"), 1
    )
    (kept,) = cleaned.boxes.values()
    assert len(kept) == 6
    assert (NAMES[0], (90.0, 10.0, float(WIDTH), 30.0)) in kept
    assert len(cleaned.told()) == 8


def test_pictures_and_labels_that_cannot_be_used_are_left_out_and_listed(tmp_path):
    drawn = draw(tmp_path, count=6)
    for path, boxes in drawn[:5]:
        as_voc(path, boxes)
    drawn[0][0].write_bytes(drawn[0][0].read_bytes()[:60])
    drawn[1][0].with_suffix(".xml").write_text("<annotation><object></annotation>")
    as_voc(tmp_path / "of nothing", [(0, (1, 1, 5, 5))])
    found = find(tmp_path)
    assert len(found.pictures) == 3
    assert [path.name for path in found.unlabelled] == ["plate 5.png"]
    assert [path.name for path in found.alone] == ["of nothing.xml"]
    assert len(found.faults) == 2
    lines = "\n".join(told(found, clean(found)))
    for words in ("plate 0.png", "plate 1.xml", "say --unlabelled-are-empty", "of nothing.xml"):
        assert words in lines
    assert len(find(tmp_path, Said(unlabelled_are_empty=True)).pictures) == 4


def nothing(top):
    top.mkdir(exist_ok=True)


def a_file(top):
    write_text(top, "x")


def no_pictures(top):
    write_text(top / "a.gif", "x")


def no_labels(top):
    draw(top, "images/{}.png")


def labels_are_pictures(top):
    draw(top, "images/{}.png")
    for number in range(COUNT):
        write_picture(top / "labels" / f"plate {number}.png", plate(number + 50)[0])


def two_formats_of_one_picture(top):
    for path, boxes in draw(top):
        as_voc(path, boxes)
        as_yolo(path, boxes)


def one_label_of_two_pictures(top):
    draw(top, "a/{}.png")
    for path, boxes in draw(top, "b/{}.png"):
        as_voc(top / "labels" / path.name, boxes)


def names_do_not_match(top):
    for number, (_, boxes) in enumerate(draw(top)):
        as_voc(top / f"label {number}.png", boxes)


def good_and_kinds(top):
    draw(top, "Good/train/{}.png")
    draw(top, "pit/{}.png", 2)


def kinds_and_pictures_beside(top):
    draw(top)
    draw(top, "pit/{}.png", 2)


def two_kinds_in_folders_of_pictures(top):
    draw(top, "good/images/{}.png")
    draw(top, "pit/images/{}.png", 2)
    draw(top, "scratch/images/{}.png", 2)


def as_mvtec_has_it(top, mask="{}_mask.png"):
    for part in ("train", "test"):
        draw(top, f"{part}/good/{{}}.png")
    for path, boxes in draw(top, "test/pit/{}.png", 2):
        as_mask(top / "ground_truth/pit" / mask.format(path.stem), boxes)


def nothing_is_labelled(top):
    for path, _ in draw(top):
        as_voc(path, [])


@pytest.mark.parametrize(
    ("make", "said", "words"),
    [
        (lambda top: None, Said(), "name a folder that holds pictures"),
        (a_file, Said(), "unpack an archive first"),
        (nothing, Said(), "put pictures there"),
        (no_pictures, Said(), "1 .gif"),
        (no_labels, Said(), "put a label of each picture beside it"),
        (labels_are_pictures, Said(), "pictures in their place"),
        (two_formats_of_one_picture, Said(), "--format"),
        (one_label_of_two_pictures, Said(), "--images"),
        (names_do_not_match, Said(), "give both one name"),
        (nothing_is_labelled, Said(), "there is nothing to learn"),
        (voc_apart, Said(format="yolo"), "no label of that format"),
        (voc_apart, Said(format="cvat"), "name one of voc"),
        (voc_apart, Said(images=("photos",)), "there are"),
        (voc_apart, Said(classes=("pit",)), "--classes"),
        (good_and_kinds, Said(good=("fine",)), r"--good: folder: got 'fine'.*there are pit, train"),
        (
            good_and_kinds,
            Said(good=("good", "pit")),
            "all of good parts.*put some of these in folders",
        ),
        (good_and_kinds, Said(good=("good",), format="voc"), "leave one of the two out"),
        (good_and_kinds, Said(good=("good", "fine")), r"--good: folder: got 'fine'"),
        (kinds_and_pictures_beside, Said(good=("pit",)), "and none in a folder of a kind"),
        (
            kinds_and_pictures_beside,
            Said(),
            "--unlabelled-are-empty of those outside of any folder",
        ),
    ],
)
def test_what_is_wrong_or_ambiguous_is_named_with_how_to_say_it(make, said, words, tmp_path):
    make(tmp_path / "set")
    with pytest.raises(ConfigError, match=words):
        find(tmp_path / "set", said)


def test_what_is_ambiguous_can_be_said(tmp_path):
    two_formats_of_one_picture(tmp_path / "a")
    assert dict(find(tmp_path / "a", Said(format="yolo")).formats) == {"yolo": COUNT}
    one_label_of_two_pictures(tmp_path / "b")
    assert len(find(tmp_path / "b", Said(images=("b",))).pictures) == COUNT


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (good_and_kinds, Said(good=("good",))),
        (kinds_and_pictures_beside, Said(unlabelled_are_empty=True)),
    ],
)
def test_good_parts_are_told_by_a_folder_or_by_lying_in_none(make, said, tmp_path):
    make(tmp_path / "set")
    found = find(tmp_path / "set", said)
    assert found.task.learns_defect_free
    shown = [box.name for picture in found.pictures for box in picture.boxes]
    assert shown == ["pit"] * 2
    assert sum(not picture.boxes for picture in found.pictures) == COUNT
    assert f"{COUNT} pictures of good parts, to learn from" in " ".join(told(found, clean(found)))


def test_a_kind_is_called_by_the_innermost_folder_that_says_one(tmp_path):
    two_kinds_in_folders_of_pictures(tmp_path)
    assert find(tmp_path, Said(good=("good",))).classes == ["pit", "scratch"]
    assert find(tmp_path, Said(format="folders")).classes == ["good", "pit", "scratch"]


@pytest.mark.parametrize("name", ["good", "GOOD/", "test/good", "{top}/test/good"])
def test_a_folder_of_good_parts_is_called_by_name_or_by_path(name, tmp_path):
    as_mvtec_has_it(tmp_path)
    found = find(tmp_path, Said(good=(name.format(top=tmp_path),)))
    is_path = "test" in name
    assert found.classes == (["good", "pit"] if is_path else ["pit"])
    assert any("good is taken as a kind of defect" in note for note in found.notes) == is_path
    assert sum(not picture.boxes for picture in found.pictures) == (1 if is_path else 2) * COUNT


def test_the_top_itself_may_hold_the_good_parts(tmp_path):
    kinds_and_pictures_beside(tmp_path)
    found = find(tmp_path, Said(good=(".",)))
    assert (found.classes, len(found.pictures)) == (["pit"], COUNT + 2)


@pytest.mark.parametrize("are_told_by_pixels", [True, False])
def test_masks_of_defects_are_no_kind_of_them(are_told_by_pixels, tmp_path):
    as_mvtec_has_it(tmp_path)
    if not are_told_by_pixels:  # as masks with soft edges, which hold many levels
        for path in (tmp_path / "ground_truth").rglob("*.png"):
            write_picture(path, plate(9)[0])
    found = find(tmp_path, Said(good=("good",)))
    assert len(found.pictures) == 2 * COUNT + 2
    assert any("2 labels of defects are not used" in note for note in found.notes)
    assert any("taken as masks" in note for note in found.notes) != are_told_by_pixels


def test_good_parts_beside_labels_are_told_of(tmp_path):
    as_mvtec_has_it(tmp_path)
    found = find(tmp_path)
    assert (found.task.name, len(found.pictures)) == ("detection", 2)
    assert any("say --good good" in note for note in found.notes)


def test_an_option_without_effect_is_told(tmp_path):
    draw(tmp_path, "images/{}.png")
    draw(tmp_path, "pit/{}.png", 2)
    found = find(tmp_path, Said(unlabelled_are_empty=True))
    assert any("--unlabelled-are-empty is of no effect" in note for note in found.notes)


def test_a_picture_in_folders_of_two_classes_is_told(tmp_path):
    good_and_kinds(tmp_path)
    found = find(tmp_path, Said(good=("good",)))
    assert any("Good/train/plate 0.png and pit/plate 0.png" in note for note in found.notes)
    write_picture(tmp_path / "pit" / "plate 0.png", plate(8)[0])
    write_picture(tmp_path / "pit" / "plate 1.png", plate(9)[0])
    assert not find(tmp_path, Said(good=("good",))).notes


def test_labels_made_for_another_size_are_an_error(tmp_path):
    for path, boxes in draw(tmp_path):
        as_voc(path, boxes)
        label = path.with_suffix(".xml")
        size = "<annotation><size><width>192</width><height>128</height></size>"
        label.write_text(label.read_text().replace("<annotation>", size))
    with pytest.raises(ConversionError, match="made for another size"):
        find(tmp_path)


def test_where_most_is_broken_the_first_fault_is_told(tmp_path):
    for path, boxes in draw(tmp_path):
        as_voc(path, boxes)
        path.write_bytes(b"no picture")
    with pytest.raises(ConversionError, match="4 pictures or labels are like that"):
        find(tmp_path)
