"""Offline copies: the flip and the angle are found, and boxes follow."""

import cv2
import numpy as np
import pytest
from measure_cases import make_truth
from test_controls import dataset

from defectbench.base.errors import MeasurementError
from defectbench.base.files import read_json
from defectbench.data.augment import augment_offline
from defectbench.data.coco import read_part, source_name
from defectbench.measure.controls import control
from defectbench.measure.evaluator import restrict, score
from defectbench.measure.siblings import FLIPS, Turn, find_turn, read_view


def texture(seed, side=200):
    """Smooth random grey texture."""
    noise = np.random.default_rng(seed).normal(size=(side, side)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 5)
    return cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


@pytest.mark.parametrize("flip", FLIPS)
@pytest.mark.parametrize("degrees", [-27.0, 0.0, 12.0])
def test_flip_and_angle_are_found(tmp_path, flip, degrees):
    grey = texture(0)
    turned = cv2.warpAffine(grey, Turn(flip, degrees, 1.0).matrix(200, 200), (200, 200))
    cv2.imwrite(str(tmp_path / "a.png"), grey)
    cv2.imwrite(str(tmp_path / "b.png"), (turned * 0.8).astype(np.uint8))
    found = find_turn(read_view(tmp_path / "b.png"), read_view(tmp_path / "a.png"))
    assert found.flip == flip
    assert abs(found.degrees - degrees) <= 1.0
    assert found.correlation > 0.8


def test_other_steel_is_no_sibling(tmp_path):
    for seed in (0, 1):
        cv2.imwrite(str(tmp_path / f"{seed}.png"), texture(seed))
    assert find_turn(read_view(tmp_path / "0.png"), read_view(tmp_path / "1.png")) is None


def test_boxes_follow_a_mirror():
    moved = Turn((-1, 1), 0.0, 1.0).move(np.array([[10.0, 20.0, 30.0, 40.0]]), 200, 200)
    np.testing.assert_allclose(moved, [[160, 20, 30, 40]], atol=1e-9)


def test_memoriser_scores_high_where_images_are_augmented_before_the_split(tmp_path):
    """Six images without any overlap: what it finds, it finds in copies."""
    truth = make_truth([[(n % 2, [30 + 5 * n, 60, 80, 50])] for n in range(6)])
    folder = dataset(tmp_path, truth, [1], [2])
    (tmp_path / "images").mkdir()
    for number in range(1, 7):
        cv2.imwrite(str(tmp_path / "images" / f"image{number}.png"), texture(number))
    augment_offline(folder, copies=3)
    names = [f"image{n}__aug{copy}.png" for n in range(1, 7) for copy in range(3)]
    (tmp_path / "paper" / "split0" / "test.txt").write_text("".join(f"{n}\n" for n in names[1::3]))
    (tmp_path / "paper" / "split0" / "train.txt").write_text(
        "".join(f"{n}\n" for n in names[0::3] + names[2::3])
    )
    results = control("memoriser", folder, "paper", tmp_path / "predictions.json")
    test = restrict(
        read_json(tmp_path / "paper" / "split0" / "annotations.json"),
        read_part(folder / "paper" / "split0", "test"),
        "test.txt",
    )
    assert score(test, results).map50 > 0.9


def test_originals_and_unreadable_images(tmp_path):
    copy = {"file_name": "patches_101__aug3.png", "source_file_name": "patches_101.jpg"}
    assert source_name(copy) == "patches_101.jpg"
    assert source_name({"file_name": "plate_3__aug_01.png"}) == "plate_3__aug_01.png"
    (tmp_path / "a.png").write_bytes(b"nothing")
    with pytest.raises(MeasurementError, match="undecodable"):
        read_view(tmp_path / "a.png")
