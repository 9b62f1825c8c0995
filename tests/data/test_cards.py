"""Dataset cards: what they say, and how a wrong one is refused."""

from pathlib import PurePath

import pytest
import yaml
from pydantic import ValidationError
from steel_like import card

from defectbench.base.cards import (
    Allows,
    Grouping,
    Official,
    Source,
    SourcePage,
    dataset_tasks,
    load_dataset_card,
    load_shelf,
)
from defectbench.base.errors import ConfigError

CONTENT = {
    "name": "my-steel",
    "title": "My steel",
    "surface": "steel",
    "classes": ["pit", "scale"],
    "source": {"kind": "archive", "urls": ["https://example.org/set.zip"]},
    "layout": {"images": ["img"], "labels": ["xml"]},
    "licence": "CC0",
}


def write(tmp_path, content, name="my-steel"):
    path = tmp_path / f"{name}.yaml"
    path.write_text(
        content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False)
    )
    return path


def test_whole_card(tmp_path):
    loaded = load_dataset_card(write(tmp_path, CONTENT))
    assert (loaded.name, loaded.classes, loaded.folder) == ("my-steel", ["pit", "scale"], tmp_path)
    assert loaded.source.unpacked_mib == 16384
    assert not loaded.allow_empty


EXPECTED = {"images": 1, "boxes_labelled": 1, "boxes": 1}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": "My Steel"}, "name"),
        ({"name": "other"}, "name"),
        ({"classes": []}, "classes"),
        ({"classes": ["pit", "pit"]}, "classes: .*pit stands twice"),
        ({"classes": ["pit", ""]}, "classes: .*'' is empty or has blanks"),
        ({"classes": ["pit", " scale"]}, "classes: .*' scale' is empty or has blanks"),
        ({"drop": ["dirt", "dirt"]}, "drop: .*dirt stands twice"),
        ({"drop": ["dirt "]}, "drop: .*'dirt ' is empty or has blanks"),
        ({"drop": ["pit"]}, "file: .*pit is dropped, and a class or an alias"),
        ({"drop": ["Pit"], "aliases": {"Pit": "pit"}}, "file: .*Pit is dropped, and a class"),
        ({"aliases": {"pit": "scale"}}, "file: .*pit is a class of its own"),
        ({"aliases": {"pit": "pit"}}, "file: .*pit is a class of its own"),
        ({"task": "detecton"}, "task: got 'detecton'; .*did you mean detection?"),
        ({"aliases": {"Pit": "hole"}}, "file"),
        ({"color": "blue"}, "color"),
        ({"layout": {"images": [], "labels": ["xml"]}}, "layout.images"),
        ({"layout": {"images": ["img"], "labels": ["xml"], "format": "sketch"}}, "layout.format"),
        ({"source": {"kind": "rumour"}}, "source.kind"),
        ({"source": {"kind": "archive", "unpacked_mib": 0}}, "source.unpacked_mib"),
        ({"expected": {**EXPECTED, "boxes_per_class": {"scale": 1, "pit": 0}}}, "file"),
        ({"layout": {"images": ["img"]}}, "layout"),
        ({"layout": {"images": ["img"], "labels": ["xml"], "format": "names"}}, "layout"),
        ({"layout": {"images": ["img"], "format": "folders"}}, "file"),
        ({"task": "classification"}, "file"),
        ({"source": {"kind": "package"}}, "source"),
        ({"source": {"kind": "archive", "package": "steel"}}, "source"),
    ],
)
def test_wrong_field_is_named(tmp_path, changes, field):
    with pytest.raises(ConfigError, match=rf"my-steel\.yaml: {field}"):
        load_dataset_card(write(tmp_path, CONTENT | changes))


CLASSED = {"task": "classification", "layout": {"images": ["img"], "format": "folders"}}
IN_CLASSES = {"images": 3, "images_per_class": {"pit": 1, "scale": 2}}


def test_card_for_classification(tmp_path):
    loaded = load_dataset_card(write(tmp_path, {**CONTENT, **CLASSED, "expected": IN_CLASSES}))
    assert (loaded.task, loaded.layout.format) == ("classification", "folders")
    assert loaded.layout.labels == []
    assert loaded.expected
    assert loaded.expected.images == 3
    write(tmp_path, {**CONTENT, "name": "other"}, "other")
    tasks = {"my-steel": "classification", "other": "detection"}
    assert dataset_tasks(["my-steel", "other"], tmp_path) == tasks


@pytest.mark.parametrize(
    "changes",
    [
        {"allow_empty": True},
        {"expected": {**EXPECTED, "boxes_per_class": {"pit": 1, "scale": 0}}},
        {"expected": {"images": 3, "images_per_class": {"scale": 2, "pit": 1}}},
    ],
)
def test_field_that_does_not_fit_classification_is_refused(tmp_path, changes):
    with pytest.raises(ConfigError, match=r"my-steel\.yaml: file"):
        load_dataset_card(write(tmp_path, {**CONTENT, **CLASSED, **changes}))


def test_counts_of_images_do_not_fit_detection(tmp_path):
    with pytest.raises(ConfigError, match="expected counts boxes for detection"):
        load_dataset_card(write(tmp_path, {**CONTENT, "expected": IN_CLASSES}))


@pytest.mark.parametrize("lost", ["title", "licence", "source", "layout", "classes"])
def test_missing_field_is_named(tmp_path, lost):
    content = {key: value for key, value in CONTENT.items() if key != lost}
    with pytest.raises(ConfigError, match=rf"my-steel\.yaml: {lost}"):
        load_dataset_card(write(tmp_path, content))


@pytest.mark.parametrize("content", ["", "[1, 2]", "{", "a: b: c", "steel"])
def test_file_that_is_no_card(tmp_path, content):
    with pytest.raises(ConfigError, match=r"my-steel\.yaml"):
        load_dataset_card(write(tmp_path, content))


def test_card_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match="name a card in datasets/"):
        load_dataset_card(tmp_path / "my-steel.yaml")


def test_class_ids_know_aliases():
    steel = card()
    assert [steel.class_id(name) for name in steel.classes] == [0, 1, 2]
    assert steel.class_id("rolled_in_scale") == 2
    assert steel.class_id("rust") is None


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("IMAGES/a.jpg", "images"),
        ("SET/train/images/crazing/a.jpg", "images"),
        ("SET/Annotations/a.xml", "labels"),
        ("IMAGES/ANNOTATIONS/a.xml", "labels"),
        ("IMAGES", None),
        ("MY IMAGES/a.jpg", None),
        ("a.jpg", None),
    ],
)
def test_layout_goes_by_the_innermost_folder(path, kind):
    assert card().layout.holds(PurePath(path)) == kind


@pytest.mark.parametrize("field", [{"seed": 3}, {"look": {"contrast": 1.5}}])
def test_how_a_set_is_drawn_is_said_of_synthetic_ones_alone(field):
    Source.model_validate({"kind": "synthetic", **field})
    with pytest.raises(ValidationError, match="are of synthetic sets; leave them out"):
        Source.model_validate({"kind": "archive", **field})


@pytest.mark.parametrize(
    ("at", "name", "address"),
    [
        ("kaggle", "a/b", "https://www.kaggle.com/datasets/a/b"),
        ("hugging_face", "a/b", "https://huggingface.co/datasets/a/b"),
        ("google_drive", "1x", "https://drive.google.com/file/d/1x/view"),
        ("doi", "10.1/2", "https://doi.org/10.1/2"),
        ("web", "https://example.org", "https://example.org"),
    ],
)
def test_pages_have_addresses(at, name, address):
    assert SourcePage(at=at, id=name).address == address


def test_what_a_person_does_stands_in_one_line():
    pages = [{"at": "doi", "id": "10.1/2", "note": "labels, too"}, {"at": "kaggle", "id": "a/b"}]
    source = Source.model_validate({"kind": "archive", "pages": pages, "place_here": "unpack it"})
    assert source.needs_a_person
    assert source.how_to_get() == (
        "get it at https://doi.org/10.1/2 (labels, too), or at https://www.kaggle.com/datasets/a/b; unpack it"
    )
    assert not Source(kind="archive", urls=["https://example.org/a.zip"]).needs_a_person
    assert not Source(kind="synthetic").needs_a_person


def test_what_a_licence_says_nothing_of_is_not_stated():
    assert Allows(commercial="not allowed").told() == (
        "research not stated, commercial not allowed, redistribution not stated"
    )


@pytest.mark.parametrize(
    ("rule", "stem", "group"),
    [
        ({"pattern": r"^(\d+)_"}, "04_short_12", "04"),
        ({"pattern": r"img_\d+_([^_]+)_"}, "img_01_SIS001577_00041", "SIS001577"),
        ({"pattern": r"^(\d+)_"}, "short_12", None),
        ({"modulus": 104, "offset": 1}, "105", "0"),
        ({"modulus": 104, "offset": 1}, "a1_412", "99"),
        ({"modulus": 104, "offset": 1, "block": 10}, "125", "2"),
        ({"modulus": 104}, "plate", None),
    ],
)
def test_groups_are_told_by_names(rule, stem, group):
    assert Grouping.model_validate({"of": "board", **rule}).group_of(stem) == group


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({}, "write one of both"),
        ({"pattern": "(a)", "modulus": 3}, "write one of both"),
        ({"pattern": "a"}, "into parentheses"),
        ({"pattern": "(a"}, "no regular expression"),
        ({"pattern": "(a)", "block": 2}, "belong to `modulus`"),
    ],
)
def test_a_rule_of_groups_that_is_none(rule, message):
    with pytest.raises(ValidationError, match=message):
        Grouping.model_validate({"of": "board", **rule})


@pytest.mark.parametrize(
    "lists",
    [
        {"test": ["c"]},
        {"train": ["a"], "test": ["c"]},
        {"train": ["a"], "val": ["b"], "trainval": ["d"], "test": ["c"]},
        {"train": ["a"], "trainval": ["d"], "test": ["c"]},
    ],
)
def test_publishers_parts_are_three_or_two_to_draw_from(lists):
    with pytest.raises(ValidationError, match="trainval"):
        Official.model_validate(lists)


def test_what_a_card_holds():
    lists = {"trainval": ["lists/a.txt"], "test": ["b.txt"]}
    steel = card(official=lists, drop_files={"*_temp.jpg": "a template", "bad.jpg": "damaged"})
    held = {
        path: steel.holds(PurePath(path))
        for path in (
            "SET/lists/a.txt",
            "a.txt",
            "IMAGES/b.txt",
            "IMAGES/x_temp.JPG",
            "IMAGES/x.jpg",
            "other/x.jpg",
        )
    }
    assert list(held.values()) == ["lists", None, "lists", None, "images", None]
    assert steel.why_dropped(PurePath("IMAGES/Bad.jpg")) == "damaged"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"protocols": {"customary": "official"}}, "needs the lists of `official`"),
        (
            {"images": 1, "expected": {**EXPECTED, "boxes_per_class": dict.fromkeys("abc", 0)}},
            "leave `images` out",
        ),
        ({"source": {"kind": "archive", "listed_only": True}}, "needs a `manifest`"),
        ({"source": {"kind": "archive", "md5": "abc"}}, "md5"),
    ],
)
def test_fields_of_a_card_that_do_not_fit(changes, message):
    classes = {"classes": list("abc"), "aliases": {}}
    with pytest.raises(ValidationError, match=message):
        card(**classes, **changes)


def test_a_shelf_is_read_by_name(tmp_path):
    for name in ("b", "a"):
        write(tmp_path, {**CONTENT, "name": name}, name)
    assert [loaded.name for loaded in load_shelf(tmp_path)] == ["a", "b"]
