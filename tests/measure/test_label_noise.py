"""Agreement of labels by class, on crops of a surface that two annotators drew."""

import csv

import numpy as np
import pytest

from defectbench.base.errors import SplitError
from defectbench.base.files import atomic_write_json
from defectbench.measure.label_noise import agreement, label_noise

SIDE, SHIFT = 200, 80
CLASSES = ("scratch", "pit")


def crop_boxes(surface, left, moved=0.0):
    """Boxes of a surface as the annotator of a crop draws them: cut at its border, moved to the right."""
    boxes = []
    for class_id, (x, y, w, h) in surface:
        start, end = max(x + moved - left, 0), min(x + moved - left + w, SIDE)
        if end > start:
            boxes.append((class_id, [start, y, end - start, h]))
    return boxes


def write_set(folder, crops, pairs, groups=None):
    """A data set of crops: boxes by image, and pairs of images that overlap."""
    images = [
        {"id": n, "file_name": f"{n}.png", "width": SIDE, "height": SIDE}
        for n in range(1, len(crops) + 1)
    ]
    annotations = [
        {"id": k, "image_id": n, "category_id": c, "bbox": b, "area": b[2] * b[3], "iscrowd": 0}
        for k, (n, c, b) in enumerate(
            ((n, c, b) for n, boxes in enumerate(crops, 1) for c, b in boxes), 1
        )
    ]
    categories = [{"id": n, "name": name} for n, name in enumerate(CLASSES)]
    truth = {"images": images, "annotations": annotations, "categories": categories}
    atomic_write_json(folder / "annotations.json", truth)
    with (folder / "overlaps.csv").open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["image_a", "image_b", "dx", "dy", "correlation", "shared_area", "kind"])
        writer.writerows(
            [f"{a}.png", f"{b}.png", dx, 0, 0.9, 1 - abs(dx) / SIDE, "shift"] for a, b, dx in pairs
        )
    groups = groups or range(len(crops))
    rows = [f"{n},{n}.png,g{g}" for n, g in enumerate(groups, 1)]
    (folder / "groups.csv").write_text("\n".join(["image_id,file_name,group", *rows]) + "\n")
    return folder


# Inside the shared strip, x 80 to 200: two scratches and a pit; at its border a scratch that no crop shows whole.
SURFACE = [
    (0, (100, 10, 40, 20)),
    (0, (150, 60, 40, 20)),
    (1, (90, 120, 20, 20)),
    (0, (60, 160, 40, 20)),
]


def two_crops(tmp_path, moved):
    crops = [crop_boxes(SURFACE, 0), crop_boxes(SURFACE, SHIFT, moved)]
    return label_noise(write_set(tmp_path, crops, [(1, 2, SHIFT)], groups=[1, 1]))


def test_annotators_who_agree_agree_wholly(tmp_path):
    noise = two_crops(tmp_path, 0.0)
    assert noise.n_pairs == 1
    assert noise.all.agreement50.share == noise.all.agreement75.share == 1.0
    # the pit and two scratches from either side; of the scratch at the border the right crop shows a rest alone
    assert {name: one.n_checks for name, one in noise.per_class.items()} == {"scratch": 5, "pit": 2}


def test_each_class_has_its_own_agreement(tmp_path):
    """Moved by 6 px, a scratch of 40 px overlaps at 34/46 = 0.74, a pit of 20 px at 14/26 = 0.54, a rest at 20/26."""
    noise = two_crops(tmp_path, 6.0)
    scratch, pit = noise.per_class["scratch"], noise.per_class["pit"]
    assert (pit.agreement50.share, pit.agreement75.share) == (1.0, 0.0)
    assert scratch.agreement50.share == 1.0
    assert scratch.agreement75.share == pytest.approx(1 / 5)
    assert noise.all.n_checks == scratch.n_checks + pit.n_checks


def test_an_annotator_of_another_class_does_not_agree(tmp_path):
    crops = [[(0, [100, 10, 40, 20])], [(1, [20, 10, 40, 20])]]
    noise = label_noise(write_set(tmp_path, crops, [(1, 2, SHIFT)]))
    assert [one.agreement50.share for one in noise.per_class.values()] == [0.0, 0.0]


def test_a_set_without_overlaps_knows_nothing(tmp_path):
    noise = label_noise(write_set(tmp_path, [crop_boxes(SURFACE, 0)] * 2, []))
    assert (noise.n_pairs, noise.per_class, noise.all) == (0, {}, None)


def test_an_overlap_without_whole_objects_knows_nothing(tmp_path):
    noise = label_noise(write_set(tmp_path, [[(0, [0, 0, 30, 20])], []], [(1, 2, SHIFT)]))
    assert (noise.n_pairs, noise.all) == (1, None)


def test_without_overlaps_file_it_says_what_to_run(tmp_path):
    write_set(tmp_path, [[]], [])
    (tmp_path / "overlaps.csv").unlink()
    with pytest.raises(SplitError, match="find-overlaps"):
        label_noise(tmp_path)


def test_one_group_has_no_interval_and_full_agreement_has_one():
    assert agreement(np.array([True, False]), ["g", "g"]).low is None
    whole = agreement(np.ones(40, bool), np.repeat(np.arange(20), 2))
    assert (whole.share, whole.high) == (1.0, 1.0)
    assert 0.8 < whole.low < 0.9  # of 20 groups, not of 40 boxes


def test_boxes_of_one_group_are_no_independent_evidence():
    agrees = np.tile([True, False], 40)
    alone = agreement(agrees, np.arange(80))
    together = agreement(np.sort(agrees), np.repeat(np.arange(10), 8))
    assert together.high - together.low > 2 * (alone.high - alone.low)


def test_the_interval_covers():
    """Groups of 1 to 8 boxes that agree alike; the share of all boxes is the truth."""
    random = np.random.default_rng(0)
    held, draws, groups = 0, 400, 25
    for _ in range(draws):
        sizes = random.integers(1, 9, groups)
        chances = random.beta(4, 1, groups)
        agrees = random.random(sizes.sum()) < np.repeat(chances, sizes)
        found = agreement(agrees, np.repeat(np.arange(groups), sizes))
        held += found.low <= 0.8 <= found.high
    assert 0.92 <= held / draws <= 0.995
