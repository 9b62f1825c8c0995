"""YOLOv4's detector: the matching rule against plain code, decoding, anchors, networks built from a plan."""

import pytest
import torch

from defectbench.nn.anchors import anchor_quality
from defectbench.nn.csp_darknet import Plan
from defectbench.nn.detector import Targets
from defectbench.nn.yolov4 import YOLOv4


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)
    torch.manual_seed(0)


def some_truth(seed, size=96):
    made = torch.Generator().manual_seed(seed)
    low = torch.rand(2, 5, 2, generator=made) * size * 0.7
    sides = 4 + torch.rand(2, 5, 2, generator=made) ** 2 * size * 0.6
    boxes = torch.cat((low, (low + sides).clamp(max=size)), -1)
    labels = torch.randint(0, 6, (2, 5), generator=made)
    labels[1, 3:] = -1
    return Targets(boxes * (labels >= 0).unsqueeze(-1), labels)


@pytest.mark.parametrize("seed", range(6))
def test_matching_equals_plain_code(seed):
    model, targets, size = YOLOv4(6, Plan(0.05)), some_truth(seed), 96
    model.anchors.copy_(
        torch.tensor(
            [8.0, 12, 16, 30, 33, 23, 30, 61, 62, 45, 59, 80, 70, 60, 80, 90, 95, 95]
        ).view(3, 3, 2)
    )
    expected = set()
    for image in range(2):
        for row in range(5):
            if targets.labels[image, row] < 0:
                continue
            x0, y0, x1, y1 = targets.boxes[image, row].tolist()
            scores = []
            for w, h in model.anchors.view(-1, 2).tolist():
                both = min(w, x1 - x0) * min(h, y1 - y0)
                scores.append(both / (w * h + (x1 - x0) * (y1 - y0) - both))
            for number, score in enumerate(scores):
                if score > 0.213 or number == scores.index(max(scores)):
                    level, anchor = divmod(number, 3)
                    stride = (8, 16, 32)[level]
                    start = sum(3 * (size // s) ** 2 for s in (8, 16, 32)[:level])
                    column, line = int((x0 + x1) / 2 // stride), int((y0 + y1) / 2 // stride)
                    prior = start + (line * (size // stride) + column) * 3 + anchor
                    expected.add((image, prior, row))
    found = zip(*(part.tolist() for part in model.match(targets, size, size)[0]), strict=True)
    assert set(found) == expected


def test_decoding_by_hand():
    model = YOLOv4(1, Plan(0.05))
    raw = torch.zeros(1, 3 * (16 + 4 + 1), 6)
    boxes = model.boxes(raw, 32, 32)[0]
    w, h = model.anchors[1, 2].tolist()
    prior = 3 * 16 + 3 * 3 + 2  # stride 16, last cell, third anchor: centre 24, 24
    expected = torch.tensor([24 - w / 2, 24 - h / 2, 24 + w / 2, 24 + h / 2])
    torch.testing.assert_close(boxes[prior], expected)
    raw[0, prior, :2] = 30.0  # sigmoid 1: the centre leaves its cell by a twentieth of a stride
    centre = model.boxes(raw, 32, 32)[0, prior].view(2, 2).mean(0)
    torch.testing.assert_close(centre, torch.full((2,), 16 + 1.05 * 16))


def test_anchors_come_from_the_training_part_and_travel_with_the_weights():
    model = YOLOv4(6, Plan(0.05))
    boxes = torch.rand(200, 4, generator=torch.Generator().manual_seed(1)) * 40
    boxes[:, 2:] += boxes[:, :2] + 4
    model.fit_to(boxes, seed=3)
    areas = model.anchors.prod(-1).flatten()
    assert areas.tolist() == sorted(areas.tolist())
    copy = YOLOv4(6, Plan(0.05))
    copy.load_state_dict(model.state_dict())
    assert torch.equal(copy.anchors, model.anchors)
    fit = model.facts(boxes)
    assert fit == anchor_quality(boxes[:, 2:] - boxes[:, :2], model.anchors.flatten(0, 1))
    assert (
        fit["anchors_mean_best_iou"] > YOLOv4(6, Plan(0.05)).facts(boxes)["anchors_mean_best_iou"]
    )


def test_a_network_is_built_from_its_plan():
    plan = {
        "widths": {
            "backbone.stages.1.main.0": 5,
            "backbone.stages.1.units.1.reduce.0": 3,
            "neck.out4.2.0": 7,
            "head.towers.2.0.0": 9,
        },
        "units": {
            "backbone.stages.0": [],
            "backbone.stages.1": [1],
            "backbone.stages.3": [0, 7],
        },
    }
    model = YOLOv4(6, Plan(0.1, **plan)).eval()
    stage = model.backbone.stages[1]
    assert list(stage.units) == ["1"]
    assert stage.units["1"].reduce[0].weight.shape[:2] == (3, 5)
    assert not model.backbone.stages[0].units
    assert model.head.towers[2].c_out == 9
    again = YOLOv4(6, Plan(0.1, **plan)).eval()
    again.load_state_dict(model.state_dict())
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(model(images), again(images))
    assert model(images).shape == (2, 3 * (64 + 16 + 4), 11)


def test_predictions_near_a_box_are_not_pushed_down(monkeypatch):
    """An unmatched prior whose box overlaps a true one by more than 0.7 has no objectness loss."""
    model = YOLOv4(6, Plan(0.05)).train()
    images = torch.rand(1, 3, 64, 64)
    box = model.boxes(model(images), 64, 64).detach()[0, (3 * 8 + 3) * 3 + 2]
    beside = box + torch.tensor([5.0, 0, 5, 0])  # centred in the next cell
    targets = Targets(beside.view(1, 1, 4), torch.zeros(1, 1, dtype=torch.int64))
    near = model.loss(images, targets, 0)["objectness"]
    monkeypatch.setattr("defectbench.nn.yolov4.IGNORE_IOU", 2.0)
    assert near < model.loss(images, targets, 0)["objectness"]
