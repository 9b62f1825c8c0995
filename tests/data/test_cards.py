"""Dataset cards: what they say, and how a wrong one is refused."""

from pathlib import PurePath

import pytest
import yaml
from pydantic import ValidationError
from steel_like import card

from defectbench.base.cards import Source, dataset_tasks, load_dataset_card
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
