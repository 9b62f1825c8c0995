"""What a layout says: where files lie, and what labels cannot say; what does not fit its format is named."""

import ast
import re
from pathlib import Path, PurePath

import pytest
import yaml
from pydantic import ValidationError

import defectbench
from defectbench.base.cards import DatasetCard
from defectbench.base.label_formats import LABEL_FORMATS
from defectbench.base.layouts import Layout
from defectbench.base.tasks import TASKS
from defectbench.data.formats.registry import BOX_READERS, CLASS_READERS

SOURCES = Path(defectbench.__file__).parent

FOLDERS = {"images": ["photos"], "labels": ["labels"]}
MASK = {"values": {"pit": 1}}


def layout(**fields):
    return Layout.model_validate(FOLDERS | fields)


def test_each_format_is_of_boxes_or_of_images_and_has_a_reader():
    formats = {name for task in TASKS.values() for name in task.label_formats}
    assert sorted(formats) == sorted(LABEL_FORMATS) == sorted([*BOX_READERS, *CLASS_READERS])
    for task in TASKS.values():
        assert set(task.label_formats) == set(BOX_READERS if task.finds_boxes else CLASS_READERS)


@pytest.mark.parametrize(
    "path", sorted(SOURCES.rglob("*.py")), ids=lambda path: path.relative_to(SOURCES).as_posix()
)
def test_no_file_branches_on_a_formats_name(path):
    """What depends on a format asks its facts or its reader; no name is compared."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            formats = [s for s in sides if isinstance(s, ast.Attribute) and s.attr == "format"]
            names = {
                constant.value
                for side in sides
                for constant in ast.walk(side)
                if isinstance(constant, ast.Constant)
            }
            assert not (formats and names & set(LABEL_FORMATS)), f"line {node.lineno}"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("PCBData/group1/1/7_test.jpg", "images"),
        ("PCBData/group1/1/7_TEST.JPG", "images"),
        ("PCBData/group1/1/7_temp.jpg", None),
        ("PCBData/group1/1_not/7.txt", "labels"),
        ("PCBData/trainval.txt", None),
        ("PCBData/agroup1/7_test.jpg", None),
        ("PCBData/.x/group1/7_test.jpg", None),
    ],
)
def test_stars_and_endings(path, kind):
    of = {"images": ["group*"], "labels": ["*_not"], "image_ending": "_test"}
    held = layout(**of, format="deeppcb", names={1: "pit"}, first_pixel=0)
    assert held.holds(PurePath(path)) == kind


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("a/Part0.bmp", "images"),
        ("a/Part0_label.bmp", "labels"),
        ("a/Part0_label.jpg", "images"),
        ("a/Part0_label.txt", "images"),
    ],
)
def test_masks_beside_images(path, kind):
    of = {"images": ["."], "labels": ["."], "label_ending": "_label"}
    assert layout(**of, format="masks", mask=MASK).holds(PurePath(path)) == kind


def test_files_that_name_classes_are_taken_wherever_they_lie():
    yolo = layout(format="yolo")
    for path in ("data.yaml", "x/DATA.yaml", "labels/classes.txt", "photos/obj.names"):
        assert yolo.holds(PurePath(path)) == "names"
    assert yolo.holds(PurePath(".git/data.yaml")) is None
    assert layout().holds(PurePath("data.yaml")) is None


def test_stems_are_what_image_and_label_share():
    held = layout(image_ending="_Test")
    assert held.stem(PurePath("A_TEST.jpg"), "images") == "a"
    assert held.stem(PurePath("A_test.xml"), "labels") == "a_test"


def test_a_list_of_names_begins_with_number_0():
    assert layout(format="yolo", names=["pit", "dent"]).names == {0: "pit", 1: "dent"}
    assert layout(format="yolo", names={3: "pit"}).names == {3: "pit"}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"format": "yole"}, "did you mean yolo"),
        ({"names": ["pit"]}, "names is for yolo, deeppcb; voc does not ask for it"),
        ({"format": "coco", "first_pixel": 1}, "first_pixel is for voc, deeppcb"),
        ({"format": "yolo", "difficult": "drop"}, "difficult is for voc, coco"),
        ({"least_thickness": 3}, "least_thickness is for labelme"),
        ({"format": "labelme", "least_thickness": 0}, "greater than 0"),
        ({"mask": MASK}, "mask is for masks"),
        ({"format": "masks"}, "masks needs `mask`"),
        ({"format": "deeppcb", "first_pixel": 0}, "deeppcb needs `names`"),
        ({"format": "deeppcb", "names": {1: "pit"}}, "deeppcb needs `first_pixel`"),
        ({"first_pixel": 2}, "Input should be 0 or 1"),
        ({"difficult": "hide"}, "'keep', 'drop' or 'ignore'"),
        ({"drop_images": ["all"]}, "'unlabelled', 'empty' or 'repeated'"),
        ({"format": "folders", "labels": [], "image_ending": "_test"}, "image_ending is for voc"),
        ({"format": "folders"}, "`labels` are named for"),
        ({"format": "masks", "mask": {"values": {}}}, "at least 1 item"),
        ({"format": "masks", "mask": {"values": {"pit": 0}}}, "0 stands twice"),
        ({"format": "masks", "mask": {"values": {"pit": 256}}}, "less than or equal to 255"),
        ({"format": "masks", "mask": {"values": {"pit": [1, 2]}}}, "mask.values.pit"),
        ({"format": "masks", "mask": {"values": {"pit": 1, "dent": [1, 2, 3]}}}, "indices alone or colours alone"),
        ({"format": "masks", "mask": {"values": {"pit": 1}, "background": [0, 0, 0]}}, "for the background, too"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(fields, words):
    with pytest.raises(ValidationError) as caught:
        layout(**fields)
    assert words in str(caught.value)


def card(**fields):
    content = {
        "name": "set",
        "title": "set",
        "surface": "steel",
        "classes": ["pit"],
        "aliases": {"Pit": "pit"},
        "drop": ["dust"],
        "source": {"kind": "archive"},
        "layout": FOLDERS,
        "licence": "own",
    }
    return DatasetCard.model_validate(content | fields)


@pytest.mark.parametrize("name", ["pit", "Pit", "dust"])
def test_a_layout_names_classes_aliases_and_dropped_names(name):
    assert card(layout=FOLDERS | {"format": "yolo", "names": [name]}).layout.names == {0: name}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"layout": FOLDERS | {"format": "yolo", "names": ["rust"]}}, "layout.names: 'rust' is no class"),
        (
            {"layout": FOLDERS | {"format": "masks", "mask": {"values": {"rust": 1}}}},
            "layout.mask.values: 'rust' is no class",
        ),
        (
            {"layout": FOLDERS | {"format": "yolo"}, "ignore_label_sizes": True},
            "ignore_label_sizes is for voc, coco, labelme: yolo says no sizes",
        ),
        (
            {
                "layout": FOLDERS | {"drop_images": ["unlabelled"]},
                "allow_empty": True,
                "unlabelled_are_empty": True,
            },
            "say one of both",
        ),
    ],
)  # fmt: skip
def test_a_card_that_contradicts_its_layout_is_named(fields, words):
    with pytest.raises(ValidationError) as caught:
        card(**fields)
    assert words in str(caught.value)


def test_the_layouts_of_the_guide_are_valid():
    guide = (SOURCES.parents[1] / "docs" / "add-a-dataset.md").read_text()
    blocks = re.findall(r"^```yaml\n(.*?)^```", guide, re.DOTALL | re.MULTILINE)
    (examples,) = [block for block in blocks if "format: deeppcb" in block]
    formats = [
        Layout.model_validate(yaml.safe_load(part)["layout"]).format
        for part in examples.split("\n\n")
    ]
    assert formats == ["yolo", "deeppcb", "masks", "masks"]
