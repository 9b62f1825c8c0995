import json

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from small_sets import texture, write_dataset, write_overlaps

from defectbench.base.errors import LeakageError, MeasurementError, PackError, SplitError
from defectbench.base.files import sha256_file
from defectbench.data.certificate import certify
from defectbench.data.groups import group_images
from defectbench.data.letterbox import letterbox
from defectbench.data.pack import checksum, load_pack, pack
from defectbench.data.split import split

BOXES = {
    "pit_0.png": [(1, [10.0, 20.0, 30.0, 40.0]), (0, [0.0, 0.0, 100.0, 50.0])],
    "pit_1.png": [],
}


@pytest.fixture
def folder(tmp_path):
    images = {f"pit_{k}.png": texture(k, 50 if k == 0 else 100, 100) for k in range(10)}
    boxes = {**BOXES, "pit_0.png": [(1, [10.0, 20.0, 30.0, 25.0]), (0, [0.0, 0.0, 100.0, 50.0])]}
    folder = write_dataset(tmp_path / "set", images, boxes)
    write_overlaps(folder, [])
    group_images(folder)
    (folder / "random" / "split0").mkdir(parents=True)
    for part, numbers in {"train": range(7), "val": [7], "test": [8, 9]}.items():
        text = "".join(f"pit_{k}.png\n" for k in numbers)
        (folder / "random" / "split0" / f"{part}.txt").write_text(text)
    certify(folder, "random")
    return folder


@pytest.fixture
def packed(folder):
    out = folder / "random" / "split0" / "train@64.safetensors"
    pack(folder, "random", "train", 64, out)
    return out


def test_tensors_of_a_pack(packed):
    found = load_pack(packed)
    assert found.images.shape == (7, 3, 64, 64)
    assert (found.images.dtype, len(found), found.size) == (torch.uint8, 7, 64)
    assert found.boxes.shape == (7, 2, 4)
    assert (found.boxes.dtype, found.labels.dtype) == (torch.float32, torch.int64)
    assert found.image_ids.tolist() == list(range(1, 8))
    assert found.original_size.tolist()[:2] == [[100, 50], [100, 100]]
    assert found.scale.tolist() == pytest.approx([0.64] * 7)
    assert found.pad.tolist()[:2] == [[0, 16], [0, 0]]
    assert found.classes == ["pit", "scale"]


def test_boxes_lie_in_pack_pixels_and_padding_is_zero(packed):
    found = load_pack(packed)
    assert found.labels[:3].tolist() == [[1, 0], [-1, -1], [0, -1]]
    assert found.boxes[0].tolist() == [
        pytest.approx([6.4, 12.8 + 16, 25.6, 28.8 + 16]),
        pytest.approx([0, 16, 64, 48]),
    ]
    assert not found.boxes[found.labels < 0].any()


def mark_first_box(folder):
    """Set the first box of a set apart, so that scores ignore it."""
    content = json.loads((folder / "annotations.json").read_text())
    content["annotations"][0]["iscrowd"] = 1
    (folder / "annotations.json").write_text(json.dumps(content))


def test_a_box_that_scores_ignore_is_not_learned(folder):
    mark_first_box(folder)
    certify(folder, "random")
    out = folder / "random" / "split0" / "train@64.safetensors"
    pack(folder, "random", "train", 64, out)
    found = load_pack(out)
    assert found.labels[0].tolist() == [0]
    assert found.boxes[0].tolist() == [pytest.approx([0, 16, 64, 48])]


def test_metadata_carries_the_certificate(packed):
    metadata = load_pack(packed).metadata
    certificate = packed.parent / "certificate.json"
    expected = {
        "dataset": "set", "protocol": "random", "part": "train", "size": "64",
        "classes": '["pit", "scale"]', "shared_pixels": "0",
    }  # fmt: skip
    assert {key: metadata[key] for key in expected} == expected
    assert metadata["certificate_sha256"] == sha256_file(certificate)


def test_a_pack_of_another_task_is_refused(folder):
    content = json.loads((folder / "annotations.json").read_text())
    (folder / "annotations.json").write_text(
        json.dumps({"info": {"task": "classification"}, **content})
    )
    out = folder / "random" / "split0" / "val@64.safetensors"
    pack(folder, "random", "val", 64, out)
    with pytest.raises(PackError, match=r"task: got 'classification'; this step is for detection"):
        load_pack(out)
    assert load_pack(out, task="classification").metadata["task"] == "classification"


def test_a_pack_of_detection_says_so(packed):
    assert load_pack(packed).metadata["task"] == "detection"
    with pytest.raises(PackError, match="task: got 'detection'; this step is for classification"):
        load_pack(packed, task="classification")


def test_pixels_are_rgb_and_unchanged_at_native_size(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    image = tmp_path / "image.png"
    cv2.imwrite(str(image), pixels[..., ::-1])
    view, scale, pad = letterbox(pixels, 32)
    assert np.array_equal(view, pixels)
    assert (scale, pad) == (1.0, (0, 0))


def test_letterbox_pads_both_sides_with_grey():
    view, scale, pad = letterbox(np.full((10, 40, 3), 200, np.uint8), 80)
    assert (scale, pad) == (2.0, (0, 30))
    assert (view[:30] == 114).all()
    assert (view[50:] == 114).all()
    assert (view[30:50] == 200).all()
    view, scale, pad = letterbox(np.full((40, 10, 3), 200, np.uint8), 20)
    assert (scale, pad) == (0.5, (7, 0))
    assert (view[:, 7:12] == 200).all()


def test_letterbox_shrinks_by_area():
    pixels = np.kron(np.array([[0, 255], [255, 0]], np.uint8), np.ones((1, 1), np.uint8))
    checks = np.tile(pixels, (20, 20))[..., None].repeat(3, -1)
    assert set(letterbox(checks, 20)[0].ravel().tolist()) <= {127, 128}


def test_the_same_part_packs_to_the_same_bytes(folder, packed):
    before = packed.read_bytes()
    pack(folder, "random", "train", 64, packed)
    assert packed.read_bytes() == before


def test_a_changed_byte_is_found(packed):
    data = bytearray(packed.read_bytes())
    data[-1] ^= 1
    packed.write_bytes(bytes(data))
    with pytest.raises(PackError, match="sha256"):
        load_pack(packed)
    assert len(load_pack(packed, verify=False)) == 7


def test_a_truncated_pack_is_found(packed):
    packed.write_bytes(packed.read_bytes()[:-100])
    with pytest.raises(PackError, match="content"):
        load_pack(packed, verify=False)


def test_a_file_that_is_no_pack_is_named(tmp_path):
    path = tmp_path / "x.safetensors"
    with pytest.raises(PackError, match="content"):
        load_pack(path)
    save_file({"images": torch.zeros(1)}, path)
    with pytest.raises(PackError, match="content"):
        load_pack(path)


def test_a_pack_without_metadata_is_named(packed):
    save_file(load_file(packed), packed)
    with pytest.raises(PackError, match="classes is missing"):
        load_pack(packed)


def test_checksum_tells_tensors_apart():
    one = {"a": torch.zeros(4), "b": torch.ones(4)}
    assert checksum(one) == checksum(dict(reversed(one.items())))
    assert checksum(one) != checksum({"a": torch.ones(4), "b": torch.zeros(4)})


def test_a_list_changed_after_its_certificate_is_refused(folder):
    (folder / "random" / "split0" / "train.txt").write_text("pit_0.png\npit_9.png\n")
    with pytest.raises(LeakageError, match=r"train\.txt: sha256"):
        pack(folder, "random", "train", 64, folder / "out.safetensors")
    assert not (folder / "out.safetensors").exists()


def test_a_leak_stands_in_the_metadata(folder):
    write_overlaps(folder, [("pit_0.png", "pit_9.png", 5, 5, 0.9)])
    certify(folder, "random")
    pack(folder, "random", "test", 64, folder / "test.safetensors")
    assert load_pack(folder / "test.safetensors").metadata["shared_pixels"] == "1"


@pytest.mark.parametrize(
    ("field", "value", "culprit"),
    [
        ("bbox", [5.0, 5.0, 0.0, 9.0], r"pit_\d\.png: annotation 4: bbox"),
        ("bbox", [5.0, 5.0, 9.0, -1.0], "annotations 3 bbox"),
        ("bbox", [95.0, 5.0, 9.0, 9.0], r"pit_\d\.png: annotation 4: bbox"),
        ("bbox", [-1.0, 5.0, 9.0, 9.0], r"pit_\d\.png: annotation 4: bbox"),
        ("bbox", [float("nan"), 5.0, 9.0, 9.0], "annotations 3 bbox"),
        ("category_id", 2, "annotations 3 category_id: got 2"),
        ("category_id", -1, "annotations 3 category_id: got -1"),
    ],
)
def test_degenerate_labels_are_named(folder, field, value, culprit):
    path = folder / "annotations.json"
    content = json.loads(path.read_text())
    content["annotations"][3][field] = value
    path.write_text(json.dumps(content))
    with pytest.raises((MeasurementError, PackError), match=culprit):
        pack(folder, "random", "train", 64, folder / "out.safetensors")
    assert not (folder / "out.safetensors").exists()


def test_images_that_do_not_fit_their_annotations_are_named(folder):
    out = folder / "out.safetensors"
    cv2.imwrite(str(folder / "images" / "pit_2.png"), np.zeros((7, 9), np.uint8))
    with pytest.raises(PackError, match=r"pit_2\.png: width, height: got \(9, 7\)"):
        pack(folder, "random", "train", 64, out)
    (folder / "images" / "pit_2.png").write_bytes(b"")
    with pytest.raises(PackError, match=r"pit_2\.png: image"):
        pack(folder, "random", "train", 64, out)
    assert not out.exists()


def test_missing_lists_and_sizes_are_named(folder):
    with pytest.raises(SplitError, match=r"clean/split0/train\.txt"):
        pack(folder, "clean", "train", 64, folder / "out.safetensors")
    with pytest.raises(PackError, match="size: got 0"):
        pack(folder, "random", "train", 0, folder / "out.safetensors")


def test_a_split_that_was_made_here_packs(folder):
    split(folder, "clean")
    certify(folder, "clean")
    for part, count in (("train", 7), ("val", 1), ("test", 2)):
        pack(folder, "clean", part, 32, folder / "clean" / "split0" / f"{part}@32.safetensors")
        assert len(load_pack(folder / "clean" / "split0" / f"{part}@32.safetensors")) == count
