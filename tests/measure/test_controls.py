"""Controls on hand-made data: copied boxes, typical boxes, the truth, a second annotator."""

import csv

import cv2
import numpy as np
import pytest
from measure_cases import make_truth

from defectbench.base.errors import ConfigError, MeasurementError
from defectbench.base.files import atomic_write_json, read_json
from defectbench.measure.agreement import Overlap, label_agreement, labels_by_image
from defectbench.measure.cell import measure_controls
from defectbench.measure.controls import control
from defectbench.measure.evaluator import score
from defectbench.measure.label_jitter import (
    Jitter,
    NoAgreementError,
    fit_jitter,
    iou_of_pairs,
    jitter,
    measured_agreement,
)
from defectbench.measure.parts import read_parts


def dataset(folder, truth, train, test, overlaps=(), protocol="clean"):
    """Write what a control reads."""
    atomic_write_json(folder / "annotations.json", truth)
    part = folder / protocol / "split0"
    part.mkdir(parents=True, exist_ok=True)
    for name, ids in (("train", train), ("test", test)):
        (part / f"{name}.txt").write_text("".join(f"image{n}.png\n" for n in ids))
    with (folder / "overlaps.csv").open("w", newline="") as handle:
        writer = csv.writer(handle)
        columns = ["image_a", "image_b", "dx", "dy", "correlation", "shared_area", "kind"]
        later = ["turn", "zoom", "mirrored"] if any(len(row) == 10 for row in overlaps) else []
        writer.writerow([*columns, *later])
        writer.writerows([*row, "shift"] if len(row) == 6 else row for row in overlaps)
    return folder


def test_memoriser_shifts_clips_and_scores(tmp_path):
    truth = make_truth([[(1, [10, 20, 40, 40]), (0, [150, 150, 20, 20])], []])
    pair = ("image2.png", "image1.png", 0, 0, 0.9, 0.5)
    shifted = (*pair[:2], -30, 100, *pair[4:])
    folder = dataset(tmp_path, truth, [1], [2], [shifted])
    results = control("memoriser", folder, "clean", tmp_path / "predictions.json")
    # Class 1 moves to x -20..20, so half of it stays; class 0 leaves the image below.
    assert results == [
        {"image_id": 2, "category_id": 1, "bbox": [0.0, 120.0, 20.0, 40.0], "score": 0.225}
    ]
    assert read_json(tmp_path / "predictions.json") == results


def test_memoriser_reads_a_pair_from_either_side(tmp_path):
    truth = make_truth([[], [(0, [50, 50, 40, 40])]])
    folder = dataset(tmp_path, truth, [2], [1], [("image2.png", "image1.png", 30, 10, 1.0, 0.8)])
    results = control("memoriser", folder, "clean", tmp_path / "predictions.json")
    assert results[0]["bbox"] == [20.0, 40.0, 40.0, 40.0]


def test_memoriser_knows_nothing_without_a_leak(tmp_path):
    truth = make_truth([[(0, [0, 0, 40, 40])], [(0, [0, 0, 40, 40])], []])
    pairs = [("image2.png", "image3.png", 0, 0, 1.0, 1.0)]
    folder = dataset(tmp_path, truth, [1], [2, 3], pairs)
    assert control("memoriser", folder, "clean", tmp_path / "predictions.json") == []


@pytest.mark.parametrize(
    ("view", "box"),
    [
        # x = 200 - y', y = x'
        ((200, 0, 0.9, 0.5, "turned", 90.0, 1.0, 0), [120.0, 10.0, 60.0, 40.0]),
        # mirrored left to right, then moved: x = 200 - x', y = y'
        ((200, 0, 0.9, 0.5, "turned", 0.0, 1.0, 1), [150.0, 20.0, 40.0, 60.0]),
        # twice as large: x = 2 x' - 20, y = 2 y'
        ((-20, 0, 0.9, 0.5, "rescaled", 0.0, 2.0, 0), [0.0, 40.0, 80.0, 120.0]),
    ],
)
def test_memoriser_turns_mirrors_and_rescales(tmp_path, view, box):
    truth = make_truth([[(1, [10, 20, 40, 60])], []])
    pair = ("image2.png", "image1.png", *view)
    folder = dataset(tmp_path, truth, [1], [2], [pair])
    (result,) = control("memoriser", folder, "clean", tmp_path / "predictions.json")
    assert result["bbox"] == pytest.approx(box, abs=1e-3)
    assert (result["category_id"], result["score"]) == (1, pytest.approx(0.45))


def test_memoriser_turns_back_what_it_gave(tmp_path):
    truth = make_truth([[], [(1, [120, 10, 60, 40])]])
    view = (200, 0, 0.9, 0.5, "turned", 90.0, 1.0, 0)
    folder = dataset(tmp_path, truth, [2], [1], [("image2.png", "image1.png", *view)])
    (result,) = control("memoriser", folder, "clean", tmp_path / "predictions.json")
    assert result["bbox"] == pytest.approx([10.0, 20.0, 40.0, 60.0], abs=1e-3)


@pytest.mark.parametrize("flip", [0, 1, -1])  # upside down, left to right, both
def test_memoriser_knows_copies_of_whole_images(tmp_path, flip):
    truth = make_truth([[(1, [10, 20, 40, 60])], []])
    pair = ("image2.png", "image1.png", 0, 0, 1.0, 1.0, "symmetry")
    folder = dataset(tmp_path, truth, [1], [2], [pair])
    (folder / "images").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (20, 20), np.uint8)
    picture = cv2.resize(noise, (200, 200), interpolation=cv2.INTER_LINEAR)
    cv2.imwrite(str(folder / "images" / "image1.png"), picture)
    cv2.imwrite(str(folder / "images" / "image2.png"), cv2.flip(picture, flip))
    (result,) = control("memoriser", folder, "clean", tmp_path / "predictions.json")
    x, y = (150 if flip else 10), (20 if flip == 1 else 120)
    assert result["bbox"] == pytest.approx([x, y, 40, 60], abs=0.5)
    assert result["score"] > 0.99


def test_memoriser_merges_at_iou_0_4(tmp_path):
    truth = make_truth([[(0, [0, 0, 40, 40])], [(0, [0, 0, 40, 36])], []])
    pairs = [("image3.png", f"image{n}.png", 0, 0, 1.0, 0.5 + n / 10) for n in (1, 2)]
    folder = dataset(tmp_path, truth, [1, 2], [3], pairs)
    results = control("memoriser", folder, "clean", tmp_path / "predictions.json")
    assert [row["bbox"][3] for row in results] == [36.0]


def test_class_prior_says_the_typical_boxes_for_every_image(tmp_path):
    layout = [[(0, [10, 10, 50, 50])]] * 3 + [[(1, [0, 0, 200, 20])]] + [[], []]
    truth = make_truth(layout)
    folder = dataset(tmp_path, truth, [1, 2, 3, 4], [5, 6])
    results = control("class_prior", folder, "clean", tmp_path / "predictions.json")
    assert [(r["image_id"], r["category_id"], r["score"]) for r in results] == [
        (5, 0, 0.75),
        (5, 1, 0.25),
        (6, 0, 0.75),
        (6, 1, 0.25),
    ]
    assert results[0]["bbox"] == [10.0, 10.0, 50.0, 50.0]


def crowded(images=40):
    random = np.random.default_rng(0)
    return make_truth(
        [
            [(int(random.integers(2)), [*random.uniform(0, 100, 2), *random.uniform(20, 90, 2)])]
            for _ in range(images)
        ]
    )


def test_oracle_scores_one(tmp_path):
    truth = crowded()
    folder = dataset(tmp_path, truth, [1], range(1, 41))
    results = control("oracle", folder, "clean", tmp_path / "predictions.json")
    assert score(truth, results).map50_95 == pytest.approx(1.0)


KINDS = ("label_jitter", "label_jitter_ranked", "label_jitter_half")


def annotated_twice(images=200, noise=0.06):
    """Boxes of images of which each second one shows the same surface as the one before, labelled apart."""
    random = np.random.default_rng(3)
    layout = []
    for _ in range(images // 2):
        box = np.array([*random.uniform(10, 60, 2), *random.uniform(40, 90, 2)])
        kind = int(random.integers(2))
        for _ in range(2):
            side = np.tile(box[2:], 2) * noise * random.standard_normal(4)
            low, high = box[:2] + side[:2], box[:2] + box[2:] + side[2:]
            layout.append([(kind, [*low, *(high - low)])])
    pairs = [(f"image{n}.png", f"image{n + 1}.png", 0, 0, 1.0, 1.0) for n in range(1, images, 2)]
    return make_truth(layout), pairs


def test_label_jitter_lies_between_and_depends_on_the_seed(tmp_path):
    truth, pairs = annotated_twice()
    folder = dataset(tmp_path, truth, [1], range(1, 201), pairs)
    first = control("label_jitter", folder, "clean", tmp_path / "a.json", seed=0)
    again = control("label_jitter", folder, "clean", tmp_path / "b.json", seed=0)
    other = control("label_jitter", folder, "clean", tmp_path / "c.json", seed=1)
    assert first == again != other
    scores = score(truth, first)
    assert 0.55 < scores.map50 <= 1
    assert scores.map75 < scores.map50


def test_the_order_of_boxes_is_what_makes_a_ceiling(tmp_path):
    truth, pairs = annotated_twice()
    folder = dataset(tmp_path, truth, [1], range(1, 201), pairs)
    made = {kind: control(kind, folder, "clean", tmp_path / f"{kind}.json") for kind in KINDS}
    unranked, ranked, half = (score(truth, made[kind]) for kind in KINDS)
    assert unranked.map50_95 < ranked.map50_95 < half.map50_95 < 1
    assert {row["score"] for row in made["label_jitter"]} == {1.0}
    assert [row["bbox"] for row in made["label_jitter"]] == [
        row["bbox"] for row in made["label_jitter_ranked"]
    ]
    boxes = labels_by_image(truth)
    for row in made["label_jitter_ranked"]:
        (known,) = boxes[row["image_id"]].boxes
        expected = iou_of_pairs(known[None], np.array([row["bbox"]]))
        assert row["score"] == pytest.approx(float(expected[0]), abs=1e-3)


def test_ceilings_move_boxes_by_what_the_labels_differ(tmp_path):
    """Boxes at the mean of both annotations score what the ceiling of a detector says."""
    truth, pairs = annotated_twice(noise=0.08)
    folder = dataset(tmp_path, truth, [1], range(1, 201), pairs)
    half = score(truth, control("label_jitter_half", folder, "clean", tmp_path / "half.json"))
    parts = read_parts(folder, "clean", 0)
    sigma, _ = fit_jitter(*boxes_and_noise(parts), *measured_agreement(parts))
    assert sigma == pytest.approx(0.08 * 2**0.5, rel=0.2)
    one = Jitter(sigma, 0.19).of_one()
    assert (one.sigma, one.misplaced) == pytest.approx((sigma / 2**0.5, 0.1))
    assert half.map50_95 > 0.6


def boxes_and_noise(parts):
    boxes = np.concatenate([parts.labels[image].boxes for image in parts.test])
    return boxes, np.random.default_rng(0).standard_normal(boxes.shape)


def test_labels_without_noise_or_without_a_second_look_have_no_jitter(tmp_path):
    alone = dataset(tmp_path / "alone", crowded(), [1], range(1, 41))
    truth, pairs = annotated_twice(noise=0.0)
    agreed = dataset(tmp_path / "agreed", truth, [1], range(1, 201), pairs)
    for kind in KINDS:
        with pytest.raises(
            NoAgreementError, match="0 boxes are shown by two images, 30 are needed"
        ):
            control(kind, alone, "clean", tmp_path / "p.json")
        with pytest.raises(NoAgreementError, match="all 200 boxes that two images show agree"):
            control(kind, agreed, "clean", tmp_path / "p.json")


def test_an_absent_control_leaves_a_record_that_says_why(tmp_path):
    folder = dataset(tmp_path, crowded(), [1], range(1, 41))
    rows = [f"{n},image{n}.png,g{n}" for n in range(1, 41)]
    (folder / "groups.csv").write_text("image_id,file_name,group\n" + "\n".join(rows) + "\n")
    measure_controls(["oracle", *KINDS], folder, "clean", tmp_path / "runs")
    cells = tmp_path / "runs"
    assert read_json(cells / "control_oracle/seed0/accuracy.json")["figures"]["map50"] == 1.0
    for kind in KINDS:
        cell = cells / f"control_{kind}" / "seed0"
        why = read_json(cell / "accuracy.json")["figures"]["absent_because"]
        assert why == "0 boxes are shown by two images, 30 are needed"
        assert read_json(cell / "predictions.json") == []


def test_jitter_is_fitted_to_the_agreement():
    random = np.random.default_rng(1)
    boxes = np.concatenate([random.uniform(0, 99, (800, 2)), random.uniform(9, 99, (800, 2))], 1)
    noise = random.standard_normal(boxes.shape)
    assert fit_jitter(boxes, noise, 1.0, 1.0)[1] == 0.0
    sigma, misplaced = fit_jitter(boxes, noise, 0.85, 0.54)
    assert 0.02 < sigma < 0.2
    assert 0.0 < misplaced < 0.2
    np.testing.assert_allclose(jitter(boxes, noise, 0.0), boxes)


def test_agreement_by_hand():
    # Image 2 shows image 1 shifted by 100 px: x 100..200 of the first is x 0..100 of the second.
    first = [(0, [110, 10, 40, 40]), (1, [120, 100, 40, 40]), (0, [10, 10, 40, 40])]
    second = [(0, [10, 10, 40, 20]), (0, [20, 100, 40, 40])]
    labels = labels_by_image(make_truth([first, second]))
    half = label_agreement(labels, [Overlap(1, 2, 100.0, 0.0, 0.9, 0.5)])
    assert sorted(half.tolist()) == [0.0, 0.0, 0.5, 0.5]
    assert label_agreement(labels, [Overlap(1, 2, 100.0, 0.0, 0.9, 0.29)]).size == 0
    assert label_agreement(labels, []).size == 0


def test_wrong_kind_and_foreign_lists_are_named(tmp_path):
    folder = dataset(tmp_path, make_truth([[]]), [1], [1])
    with pytest.raises(ConfigError, match="control: got 'magic'"):
        control("magic", folder, "clean", tmp_path / "p.json")
    (folder / "clean" / "split0" / "test.txt").write_text("ghost.png\n")
    with pytest.raises(MeasurementError, match="ghost"):
        control("oracle", folder, "clean", tmp_path / "p.json")


def test_a_dataset_of_another_task_is_refused(tmp_path):
    truth = {"info": {"task": "classification"}, **make_truth([[(0, [0, 0, 40, 40])], []])}
    folder = dataset(tmp_path, truth, [1], [2])
    with pytest.raises(ConfigError, match=r"annotations\.json: task: got 'classification'"):
        control("oracle", folder, "clean", tmp_path / "p.json")
