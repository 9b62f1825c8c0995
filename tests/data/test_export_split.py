"""A certified split for other tools: their files say what ours say, and lists that were changed are refused."""

import json

import pytest
import yaml
from small_sets import blank_images, write_dataset

from defectbench.base.errors import ConfigError, LeakageError
from defectbench.cli import main
from defectbench.data.certificate import certify
from defectbench.data.export_split import export_split
from defectbench.data.groups import group_images
from defectbench.data.split import split

BOXES = {"pit_0.png": [(0, [1.0, 2.0, 3.0, 4.0]), (1, [0.0, 0.0, 8.0, 2.0])], "pit_1.png": []}


@pytest.fixture
def dataset(tmp_path):
    """Twelve images of 8 x 8, each a group of its own, split and certified."""
    folder = write_dataset(tmp_path / "set", blank_images(12), BOXES)
    (folder / "overlaps.csv").write_text("image_a,image_b,dx,dy,correlation,shared_area,kind\n")
    group_images(folder)
    split(folder, "clean")
    certify(folder, "clean")
    return folder


def names_of(dataset, part):
    return (dataset / "clean" / "split0" / f"{part}.txt").read_text().split()


def test_yolo_labels_are_shares_of_the_sides(dataset, tmp_path):
    counts = export_split(dataset, "clean", "yolo", tmp_path / "out")
    assert sum(counts.values()) == 12
    content = yaml.safe_load((tmp_path / "out" / "data.yaml").read_text())
    assert content["names"] == {0: "pit", 1: "scale"}
    for part in ("train", "val", "test"):
        assert content[part] == f"images/{part}"
        images = sorted(path.name for path in (tmp_path / "out" / "images" / part).iterdir())
        labels = sorted(path.stem for path in (tmp_path / "out" / "labels" / part).iterdir())
        assert images == names_of(dataset, part)
        assert labels == [name.removesuffix(".png") for name in images]
    (label,) = (tmp_path / "out").glob("labels/*/pit_0.txt")
    lines = [list(map(float, line.split())) for line in label.read_text().splitlines()]
    assert lines == [[0, 0.3125, 0.5, 0.375, 0.5], [1, 0.5, 0.125, 1.0, 0.25]]
    (empty,) = (tmp_path / "out").glob("labels/*/pit_1.txt")
    assert empty.read_text() == ""


def test_coco_keeps_ids_and_boxes(dataset, tmp_path):
    export_split(dataset, "clean", "coco", tmp_path / "out")
    truth = json.loads((dataset / "annotations.json").read_text())
    there = [
        json.loads((tmp_path / "out" / "annotations" / f"{part}.json").read_text())
        for part in ("train", "val", "test")
    ]
    for key in ("images", "annotations"):
        entries = [entry for content in there for entry in content[key]]
        assert sorted(entries, key=lambda entry: entry["id"]) == truth[key]
    assert all(content["categories"] == truth["categories"] for content in there)


def test_images_are_linked_or_copied(dataset, tmp_path):
    export_split(dataset, "clean", "coco", tmp_path / "linked")
    export_split(dataset, "clean", "coco", tmp_path / "copied", copy=True)
    for folder, is_link in (("linked", True), ("copied", False)):
        (image,) = (tmp_path / folder).glob("*/pit_3.png")
        assert image.is_symlink() is is_link
        assert image.read_bytes() == (dataset / "images" / "pit_3.png").read_bytes()


def test_a_list_that_was_changed_is_refused(dataset, tmp_path):
    path = dataset / "clean" / "split0" / "train.txt"
    path.write_text(path.read_text() + names_of(dataset, "test")[0] + "\n")
    with pytest.raises(LeakageError, match="not the list that was certified"):
        export_split(dataset, "clean", "yolo", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_split_without_a_certificate_is_refused(dataset, tmp_path, capsys):
    (dataset / "clean" / "split0" / "certificate.json").unlink()
    call = ["export-split", "--dataset", str(dataset), "--protocol", "clean"]
    assert main([*call, "--out", str(tmp_path / "out")]) == 2
    assert "certificate.json: file: got 'nothing'" in capsys.readouterr().err


def test_the_set_itself_is_never_replaced(dataset):
    for out in (dataset, dataset.parent):
        with pytest.raises(ConfigError, match="a folder of its own"):
            export_split(dataset, "clean", "yolo", out)
    assert (dataset / "annotations.json").is_file()


def test_a_layout_of_another_task_is_refused(dataset, tmp_path):
    with pytest.raises(ConfigError, match="name yolo or coco"):
        export_split(dataset, "clean", "folders", tmp_path / "out")


def test_classes_of_images_become_folders(dataset, tmp_path):
    path = dataset / "annotations.json"
    content = json.loads(path.read_text())
    kept = {box["image_id"]: box for box in content["annotations"]}
    content["annotations"] = [
        {**box, "bbox": [0.0, 0.0, 8.0, 8.0], "id": n} for n, box in enumerate(kept.values(), 1)
    ]
    content["images"] = [entry for entry in content["images"] if entry["id"] in kept]
    left = [entry["file_name"] for entry in content["images"]]
    path.write_text(json.dumps({"info": {"task": "classification"}, **content}))
    group_images(dataset)
    split(dataset, "clean")
    certify(dataset, "clean")
    export_split(dataset, "clean", "folders", tmp_path / "out")
    images = sorted(path.name for path in (tmp_path / "out").glob("*/*/*.png"))
    assert images == sorted(left)
    assert {path.parent.name for path in (tmp_path / "out").glob("*/*/*.png")} == {"pit", "scale"}
