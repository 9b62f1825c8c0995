"""YOLOv4: counts, the matching rule against plain code, and networks built from a plan."""

from pathlib import Path

import pytest
import torch
from tests.counting import size_of
from torch import nn

from defectbench.base.methods import load_method
from defectbench.nn.detector import Targets

MODULE = load_method("yolov4", Path(__file__).parents[2] / "models").module
assert MODULE is not None


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def whole():
    with torch.device("meta"):
        return MODULE.YOLOv4(6, MODULE.Plan())


def test_parameters_of_each_part(whole):
    stages = [size_of(stage) for stage in whole.backbone.stages]
    assert size_of(whole.backbone.stem) == 928
    assert stages == [60_224, 193_920, 1_758_976, 7_024_128, 17_579_008]
    spp = size_of(whole.neck.before, whole.neck.after)
    assert (spp, size_of(whole.neck) - spp) == (12_066_816, 19_024_640)
    assert size_of(whole.head) == 6_255_971


def test_layers_and_stored_size(whole):
    norms = [m for m in whole.modules() if isinstance(m, nn.BatchNorm2d)]
    convs = [m for m in whole.modules() if isinstance(m, nn.Conv2d)]
    units = [m for m in whole.modules() if isinstance(m, MODULE.Unit)]
    assert (len(norms), len(convs), len(units)) == (107, 110, 23)
    gammas = sum(norm.num_features for norm in norms)
    assert gammas == 33_152
    assert 4 * (size_of(whole) + 2 * gammas) / 2**20 == pytest.approx(244.26, abs=0.005)


@pytest.mark.parametrize(
    ("nc", "width", "parameters"),
    [(80, 1.0, 64_363_101), (6, 0.13, 1_100_632), (6, 0.125, 1_013_359)],
)
def test_parameters_by_classes_and_width(nc, width, parameters):
    with torch.device("meta"):
        assert size_of(MODULE.YOLOv4(nc, MODULE.Plan(width))) == parameters


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
    model, targets, size = MODULE.build(6, width=0.05), some_truth(seed), 96
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
    found = zip(*(part.tolist() for part in model.match(targets, size, size)), strict=True)
    assert set(found) == expected


def test_decoding_by_hand():
    model = MODULE.build(1, width=0.05)
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
    model = MODULE.build(6, width=0.05)
    boxes = torch.rand(200, 4, generator=torch.Generator().manual_seed(1)) * 40
    boxes[:, 2:] += boxes[:, :2] + 4
    model.fit_to(boxes, seed=3)
    areas = model.anchors.prod(-1).flatten()
    assert areas.tolist() == sorted(areas.tolist())
    copy = MODULE.build(6, width=0.05)
    copy.load_state_dict(model.state_dict())
    assert torch.equal(copy.anchors, model.anchors)


def test_a_network_is_built_from_its_plan():
    plan = {
        "widths": {"stage2.main": 5, "stage2.units.1.reduce": 3, "out4.2": 7, "head5.0": 9},
        "units": {"stage1": [], "stage2": [1], "stage4": [0, 7]},
    }
    model = MODULE.build(6, width=0.1, plan=plan).eval()
    stage = model.backbone.stages[1]
    assert list(stage.units) == ["1"]
    assert stage.units["1"].reduce[0].weight.shape[:2] == (3, 5)
    assert not model.backbone.stages[0].units
    assert model.head.towers[2].c_out == 9
    again = MODULE.build(6, width=0.1, plan=plan).eval()
    again.load_state_dict(model.state_dict())
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(model(images), again(images))
    assert model(images).shape == (2, 3 * (64 + 16 + 4), 11)


def test_predictions_near_a_box_are_not_pushed_down():
    """An unmatched prior whose box overlaps a true one by more than 0.7 has no objectness loss."""
    model = MODULE.build(6, width=0.05).train()
    images = torch.rand(1, 3, 64, 64)
    box = model.boxes(model(images), 64, 64).detach()[0, (3 * 8 + 3) * 3 + 2]
    beside = box + torch.tensor([5.0, 0, 5, 0])  # centred in the next cell
    targets = Targets(beside.view(1, 1, 4), torch.zeros(1, 1, dtype=torch.int64))
    near = model.loss(images, targets, 0)["objectness"]
    MODULE.IGNORE_IOU, kept = 2.0, MODULE.IGNORE_IOU
    try:
        assert near < model.loss(images, targets, 0)["objectness"]
    finally:
        MODULE.IGNORE_IOU = kept
