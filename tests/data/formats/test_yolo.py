"""YOLO labels: fractions become pixels, numbers become the classes that the card or the set says."""

import pytest

from .small_raw import Raw


@pytest.fixture
def raw(tmp_path):
    raw = Raw(tmp_path, "yolo", names=["pit", "scratch"])
    raw.image("a.png")
    return raw


def test_fractions_of_the_sides_become_edges(raw):
    raw.label("a.txt", "1 0.5 0.5 0.25 0.2\n\n0 0.05 0.1 0.1 0.2\n")
    boxes, report = raw.convert()
    assert boxes == {"a.png": [("scratch", 15, 12, 25, 18), ("pit", 0, 0, 4, 6)]}
    assert report["coordinates"].startswith("fractions of the sides")
    assert "shapes_boxed" not in report


def test_six_decimals_give_whole_pixels_back(tmp_path):
    raw = Raw(tmp_path, "yolo", names=["pit", "scratch"])
    raw.image("a.png", (333, 777))
    raw.label("a.txt", "0 0.021021 0.001287 0.036036 0.002574\n")
    boxes, report = raw.convert()
    assert boxes == {"a.png": [("pit", 1, 0, 13, 2)]}
    assert report["boxes_clipped"] == []


def test_an_outline_becomes_the_box_around_it_and_is_told(raw, capsys):
    raw.label("a.txt", "0 0.1 0.1 0.5 0.2 0.3 0.9\n0 .1 .1 .2 .1 .2 .2 .1 .2\n")
    boxes, report = raw.convert()
    assert boxes == {"a.png": [("pit", 4, 3, 20, 27), ("pit", 4, 3, 8, 6)]}
    assert report["shapes_boxed"] == {"outline": 2}
    assert "shapes taken as the boxes around them: outline (2)" in capsys.readouterr().out


def test_a_box_past_the_edge_is_cut_and_listed(raw):
    raw.label("a.txt", "0 0.95 0.5 0.2 0.2\n")
    boxes, report = raw.convert()
    assert boxes == {"a.png": [("pit", 34, 12, 40, 18)]}
    assert report["boxes_clipped"] == [
        {"label": "a.txt", "from": [34, 12, 42, 18], "to": [34, 12, 40, 18]}
    ]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_marked_encodings_and_windows_lines(raw, encoding):
    raw.label("a.txt", "1 0.5 0.5 0.25 0.2\r\n".encode(encoding))
    assert raw.convert()[0] == {"a.png": [("scratch", 15, 12, 25, 18)]}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("1 0,5 0,5 0,25 0,2", ("line 2: got '0,5'", "write a decimal point")),
        ("1 nan 0.5 0.25 0.2", ("line 2: got 'nan'", "finite number")),
        ("1 inf 0.5 0.25 0.2", ("line 2: got 'inf'",)),
        ("1 1e999 0.5 0.25 0.2", ("line 2: got '1e999'",)),
        ("1 ０.5 0.5 0.25 0.2", ("line 2", "finite number")),
        ("1 20 15 10 6", ("line 2: got '20'", "fractions of the image's sides")),
        ("1 1.5 0.5 0.25 0.2", ("line 2: got '1.5'", "0 to 1")),
        ("1 0.5 0.5 -0.25 0.2", ("line 2: got '-0.25'", "0 to 1")),
        ("1 0.5 0.5 0 0.2", ("line 2", "sides above 0")),
        ("1 0.5 0.5 0.25", ("line 2", "a class and 4 numbers")),
        ("1", ("line 2", "a class and 4 numbers")),
        ("1 0.5 0.5 0.25 0.2 0.97", ("line 2", "a class and 4 numbers")),
        ("2 0.5 0.5 0.25 0.2", ("line 2 class: got '2'", "0 pit, 1 scratch")),
        ("-1 0.5 0.5 0.25 0.2", ("line 2 class: got '-1'",)),
        ("pit 0.5 0.5 0.25 0.2", ("line 2 class: got 'pit'",)),
        ("0.5 0.5 0.5 0.25 0.2", ("line 2 class: got '0.5'",)),
    ],
)
def test_a_line_that_is_none_is_named(raw, line, words):
    raw.label("a.txt", f"0 0.5 0.5 0.25 0.2\n{line}\n")
    raw.refused("a.txt", *words)


def test_a_text_of_another_encoding_is_named(raw):
    raw.label("a.txt", b"0 0.5 0.5 0.25 0.2\n\xb2 0 0 0 0")
    raw.refused("a.txt", "line 2", "save the file as UTF-8")


def test_an_empty_text_is_free_of_defects_where_the_card_allows_it(raw):
    raw.label("a.txt", "\n")
    raw.refused("a.txt", "each image of this set shows a defect")
    assert raw.convert(allow_empty=True)[0] == {"a.png": []}


def test_a_text_without_image_and_an_image_without_text(raw):
    raw.label("a.txt", "0 0.5 0.5 0.25 0.2\n")
    raw.label("b.txt", "0 0.5 0.5 0.25 0.2\n")
    raw.refused("b.txt", "get the image of b")
    (raw.home / "labels" / "b.txt").unlink()
    raw.image("c.png")
    raw.refused("c.png", "get the label of c")


# Which class a number is


@pytest.fixture
def unnamed(raw):
    raw.layout.pop("names")
    raw.label("a.txt", "1 0.5 0.5 0.25 0.2\n")
    return raw


FILES = {
    "data.yaml": "path: ../x\nnc: 2\nnames: [Pit, scratch]\n",
    "data.yml": "names:\n  0: pit\n  1: scratch\n",
    "classes.txt": "pit\r\nscratch\r\n",
    "labels/classes.txt": "pit\nscratch\n",
    "obj.names": "pit\nscratch",
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_the_set_says_the_classes(unnamed, name):
    (unnamed.home / name).write_text(FILES[name])
    assert unnamed.convert()[0] == {"a.png": [("scratch", 15, 12, 25, 18)]}


@pytest.mark.parametrize("name", FILES)
def test_card_and_file_agree_or_the_difference_is_named(unnamed, name):
    (unnamed.home / name).write_text(FILES[name])
    unnamed.layout["names"] = ["pit", "scratch"]
    assert unnamed.convert()[0] == {"a.png": [("scratch", 15, 12, 25, 18)]}
    unnamed.layout["names"] = ["scratch", "pit"]
    unnamed.refused(name.split("/")[-1], "for 0", "the card says scratch")


def test_a_file_with_more_classes_than_the_card_is_named(unnamed):
    (unnamed.home / "classes.txt").write_text("pit\nscratch\ndent\n")
    unnamed.layout["names"] = ["pit", "scratch"]
    unnamed.refused("classes.txt", "dent for 2", "the card says nothing")


def test_two_files_that_contradict_each_other_are_named(unnamed):
    (unnamed.home / "classes.txt").write_text("pit\nscratch\n")
    (unnamed.home / "data.yaml").write_text("names: [scratch, pit]\n")
    unnamed.refused("data.yaml", "names", "classes.txt of the set says pit")


def test_a_file_without_names_says_nothing(unnamed):
    (unnamed.home / "data.yaml").write_text("train: images\n")
    unnamed.refused("class names", "write `names` under the card's layout")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("nc: 3\nnames: [pit, scratch]\n", ("nc: got 3", "`names` holds 2")),
        ("names: pit\n", ("names", "a list of names")),
        ("names: [pit, [scratch]]\n", ("names", "a list of names")),
        ("names: {x: pit}\n", ("names", "got 'x'")),
        ("names: [pit, scratch]\nkpt_shape: [17, 3]\n", ("kpt_shape", "export boxes")),
        ("names: [pit\n", ("data.yaml",)),
        ("- pit\n- scratch\n", ("content: got 'list'", "a mapping that holds `names`")),
        ("", ("class names", "write `names`")),
    ],
)
def test_a_file_that_says_no_classes_is_named(unnamed, content, words):
    (unnamed.home / "data.yaml").write_text(content)
    unnamed.refused(*words)


def test_a_class_of_the_file_that_the_card_does_not_know(unnamed):
    (unnamed.home / "classes.txt").write_text("pit\ndent\n")
    unnamed.refused("a.txt", "line 1 class", "'dent'", "add an alias")


def test_a_dropped_class(unnamed):
    (unnamed.home / "classes.txt").write_text("pit\ndent\n")
    unnamed.label("a.txt", "0 0.5 0.5 0.25 0.2\n1 0.5 0.5 0.25 0.2\n")
    boxes, report = unnamed.convert(drop=["dent"])
    assert boxes == {"a.png": [("pit", 15, 12, 25, 18)]}
    assert report["labels_dropped"] == [{"label": "a.txt", "name": "dent"}]
