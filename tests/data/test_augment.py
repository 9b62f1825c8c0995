import json
from collections import Counter

import cv2
import numpy as np
import pytest
from small_sets import texture, write_dataset

from defectbench.base.errors import PackError, SplitError
from defectbench.data.augment import augment_offline, turn_boxes
from defectbench.data.coco import read_coco


@pytest.fixture
def folder(tmp_path):
    images = {f"pit_{k}.png": texture(k, 60, 80) for k in range(6)}
    boxes = {name: [(1, [20.0, 15.0, 30.0, 20.0]), (0, [0.0, 0.0, 8.0, 8.0])] for name in images}
    return write_dataset(tmp_path / "set", images, boxes)


def contents(folder, seed=0):
    home = folder / "paper" / f"split{seed}"
    files = [file for file in sorted(home.rglob("*")) if file.is_file()]
    return {file.relative_to(home).as_posix(): file.read_bytes() for file in files}


def test_every_image_becomes_five(folder):
    augment_offline(folder)
    coco = read_coco(folder / "paper" / "split0" / "annotations.json")
    assert Counter(map(coco.source, coco.images)) == {f"pit_{k}.png": 5 for k in range(6)}
    assert {path.name for path in (folder / "paper" / "split0" / "images").iterdir()} == set(
        coco.images
    )
    assert [entry["id"] for entry in coco.images.values()] == list(range(1, 31))
    assert coco.classes == ["pit", "scale"]


def test_the_first_copy_is_the_original(folder):
    augment_offline(folder)
    original = (folder / "images" / "pit_2.png").read_bytes()
    assert (folder / "paper" / "split0" / "images" / "pit_2__aug0.png").read_bytes() == original
    coco = read_coco(folder / "paper" / "split0" / "annotations.json")
    boxes = coco.boxes[coco.images["pit_2__aug0.png"]["id"]]
    assert [box["bbox"] for box in boxes] == [[20.0, 15.0, 30.0, 20.0], [0.0, 0.0, 8.0, 8.0]]


def test_a_box_that_scores_ignore_is_ignored_in_its_copies(folder):
    content = json.loads((folder / "annotations.json").read_text())
    content["annotations"][0]["iscrowd"] = 1
    (folder / "annotations.json").write_text(json.dumps(content))
    augment_offline(folder)
    coco = read_coco(folder / "paper" / "split0" / "annotations.json")
    for name, entry in coco.images.items():
        ignored = [box["category_id"] for box in coco.boxes[entry["id"]] if box["iscrowd"]]
        assert ignored == ([1] if coco.source(name) == "pit_0.png" else [])


def test_boxes_stay_inside_and_keep_their_classes(folder):
    augment_offline(folder)
    coco = read_coco(folder / "paper" / "split0" / "annotations.json")
    for entry in coco.images.values():
        boxes = coco.boxes[entry["id"]]
        assert boxes[0]["category_id"] == 1
        for box in boxes:
            x, y, w, h = box["bbox"]
            assert min(x, y) >= 0
            assert min(w, h) >= 1
            assert x + w <= 80 + 1e-9
            assert y + h <= 60 + 1e-9
            assert box["area"] == pytest.approx(w * h)
    numbers = [box["id"] for boxes in coco.boxes.values() for box in boxes]
    assert len(set(numbers)) == len(numbers)


def test_same_seed_same_bytes_other_seed_other_bytes(folder):
    augment_offline(folder, seed=1)
    first = contents(folder, 1)
    augment_offline(folder, seed=1)
    assert contents(folder, 1) == first
    augment_offline(folder, seed=2)
    assert contents(folder, 2) != first
    assert contents(folder, 1) == first


def test_an_image_does_not_depend_on_how_many_copies_are_made(folder):
    augment_offline(folder, copies=3)
    first = contents(folder)["images/pit_4__aug2.png"]
    augment_offline(folder, copies=5)
    assert contents(folder)["images/pit_4__aug2.png"] == first


def test_variants_show_what_their_boxes_say(tmp_path):
    """A white rectangle on black: the hull of what is white in a variant is its box."""
    pixels = np.zeros((120, 120), np.uint8)
    pixels[40:70, 30:80] = 200
    folder = write_dataset(
        tmp_path / "set", {"a.png": pixels}, {"a.png": [(0, [30.0, 40.0, 50.0, 30.0])]}
    )
    augment_offline(folder, copies=12, seed=5)
    coco = read_coco(folder / "paper" / "split5" / "annotations.json")
    for name, entry in coco.images.items():
        seen = (
            cv2.imread(str(folder / "paper" / "split5" / "images" / name), cv2.IMREAD_GRAYSCALE)
            > 40
        )
        rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
        x, y, w, h = coco.boxes[entry["id"]][0]["bbox"]
        hull = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
        assert [x, y, x + w, y + h] == pytest.approx(hull, abs=1.5)


def test_colour_survives(tmp_path):
    pixels = np.dstack([np.full((40, 40), v, np.uint8) for v in (10, 90, 170)])
    folder = write_dataset(tmp_path / "set", {"a.png": pixels})
    augment_offline(folder, copies=2)
    variant = cv2.imread(str(folder / "paper" / "split0" / "images" / "a__aug1.png"))
    ratio = variant.reshape(-1, 3).mean(0) / np.array([10, 90, 170])
    assert ratio == pytest.approx(np.full(3, ratio[1]), rel=0.06)


def test_boxes_turn_exactly():
    boxes = np.array([[10.0, 20.0, 30.0, 5.0]])
    flip = np.array([[-1.0, 0.0, 99.0], [0.0, 1.0, 0.0]])
    assert turn_boxes(boxes, flip, 100, 80).tolist() == [[60.0, 20.0, 30.0, 5.0]]
    shift = np.array([[1.0, 0.0, -20.0], [0.0, 1.0, 0.0]])
    assert turn_boxes(boxes, shift, 100, 80).tolist() == [[0.0, 20.0, 20.0, 5.0]]
    assert turn_boxes(boxes[:0], flip, 100, 80).shape == (0, 4)


def test_boxes_that_leave_the_image_are_dropped(tmp_path):
    images = {"a.png": texture(1, 100, 100)}
    folder = write_dataset(tmp_path / "set", images, {"a.png": [(0, [0.0, 0.0, 2.0, 2.0])]})
    augment_offline(folder, copies=20)
    content = json.loads((folder / "paper" / "split0" / "annotations.json").read_text())
    kept = Counter(box["image_id"] for box in content["annotations"])
    assert 1 <= len(kept) < 20
    assert all(min(box["bbox"][2:]) >= 1 for box in content["annotations"])


def test_errors_leave_nothing_behind(folder):
    with pytest.raises(SplitError, match="copies: got 0"):
        augment_offline(folder, copies=0)
    (folder / "images" / "pit_3.png").write_bytes(b"not an image")
    with pytest.raises(PackError, match=r"pit_3\.png"):
        augment_offline(folder)
    assert contents(folder) == {}
