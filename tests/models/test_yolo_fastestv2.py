"""YOLO-FastestV2: counts part by part, pieces by hand, losses against plain code, anchors from the part."""

import math
from pathlib import Path

import pytest
import torch
from tests.counting import conv_macs_m, size_of
from torch import nn

from defectbench.base.methods import load_method
from defectbench.nn.anchors import cluster_anchors
from defectbench.nn.detector import Targets

MODULE = load_method("yolo_fastestv2", Path(__file__).parents[2] / "models").module
assert MODULE is not None
ANCHORS = torch.tensor([[[12.0, 20], [30, 24], [40, 60]], [[60.0, 40], [80, 90], [20, 90]]])


def test_parameters_of_each_part():
    model = MODULE.build(6)
    assert size_of(model.backbone) == 143_136
    towers = size_of(model.neck.class_towers) + size_of(model.neck.box_towers)
    assert towers == 58_176
    assert size_of(model.neck) - towers == 72 * (192 + 288) + 4 * 72
    assert size_of(model.head) == 73 * (12 + 3 + 6)


@pytest.mark.parametrize(("nc", "parameters"), [(6, 237_693), (7, 237_766), (80, 243_095)])
def test_parameters_by_classes(nc, parameters):
    assert size_of(MODULE.build(nc)) == parameters


@pytest.mark.parametrize(("size", "macs_m"), [(192, 30.69), (320, 85.26), (480, 191.82)])
def test_multiply_adds_of_convolutions(size, macs_m):
    assert round(conv_macs_m(MODULE.build(6).deploy(), size), 2) == macs_m


def test_activations_are_relu():
    kinds = {
        type(m) for m in MODULE.build(6).modules() if type(m).__module__.endswith("activation")
    }
    assert kinds == {nn.ReLU}


def test_neck_joins_the_enlarged_map_first_and_as_it_is():
    neck = MODULE.build(6).neck.eval()
    seen = []
    neck.enter[0].register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    fine, coarse = torch.randn(1, 96, 4, 4), torch.randn(1, 192, 2, 2)
    neck([fine, coarse])
    up = coarse.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert torch.equal(seen[0], torch.cat((up, fine), 1))


def test_objectness_comes_from_the_class_map():
    head = MODULE.SharedHead(2)
    classes, boxes = torch.randn(1, 72, 1, 1), torch.randn(1, 72, 1, 1)
    raw = head([(classes, boxes)])[0, 0]
    assert torch.allclose(raw[:12], head.boxes(boxes).flatten(), atol=1e-6)
    assert torch.allclose(raw[12:15], head.objectness(classes).flatten(), atol=1e-6)
    assert torch.allclose(raw[15:], head.classes(classes).flatten(), atol=1e-6)


def test_decoding_by_hand():
    model = MODULE.build(2)
    model.anchors.copy_(ANCHORS)
    raw = torch.randn(1, 16 + 4, 17)
    boxes, scores = model.decode(raw, 64, 64)
    assert boxes.shape == (1, 60, 4)
    sigmoid = lambda z: 1 / (1 + math.exp(-z))  # noqa: E731
    for cell, (x, y, s), level in ((6, (2, 1, 16), 0), (17, (1, 0, 32), 1)):
        for a in range(3):
            row = raw[0, cell].tolist()
            tx, ty, tw, th = row[4 * a : 4 * a + 4]
            cx, cy = (2 * sigmoid(tx) - 0.5 + x) * s, (2 * sigmoid(ty) - 0.5 + y) * s
            aw, ah = ANCHORS[level, a].tolist()
            w, h = aw * (2 * sigmoid(tw)) ** 2, ah * (2 * sigmoid(th)) ** 2
            corners = (cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2)
            expected = [min(max(v, 0), 64) for v in corners]
            assert boxes[0, 3 * cell + a].tolist() == pytest.approx(expected, abs=1e-3)
            weights = [math.exp(z) for z in row[15:]]
            shares = [sigmoid(row[12 + a]) * v / sum(weights) for v in weights]
            assert scores[0, 3 * cell + a].tolist() == pytest.approx(shares, abs=1e-6)


def random_case(seed, nc=3, batch=3, most=6, size=96):
    made = torch.Generator().manual_seed(seed)
    raw = torch.randn(batch, 36 + 9, 15 + nc, generator=made, dtype=torch.float64)
    low = torch.rand(batch, most, 2, generator=made) * 60
    high = (low + torch.rand(batch, most, 2, generator=made) * 60 + 6).clamp(max=size)
    labels = torch.randint(0, nc, (batch, most), generator=made)
    counts = torch.randint(0, most + 1, (batch,), generator=made)
    labels[torch.arange(most)[None] >= counts[:, None]] = -1
    return raw, Targets(torch.cat((low, high), -1).double(), labels)


def plain_ciou(a, b):
    w = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    h = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    aw, ah, bw, bh = a[2] - a[0], a[3] - a[1], b[2] - b[0], b[3] - b[1]
    iou = w * h / (aw * ah + bw * bh - w * h)
    hull = (max(a[2], b[2]) - min(a[0], b[0])) ** 2 + (max(a[3], b[3]) - min(a[1], b[1])) ** 2
    apart = ((a[0] + a[2] - b[0] - b[2]) ** 2 + (a[1] + a[3] - b[1] - b[3]) ** 2) / 4
    v = 4 / math.pi**2 * (math.atan(aw / ah) - math.atan(bw / bh)) ** 2
    return iou - apart / hull - v * v / (1 - iou + v)


def plain_pairs(targets, level, stride, side):
    """(image, x, y, anchor, box) of a level."""
    for b in range(len(targets.labels)):
        for j in targets.valid[b].nonzero().flatten().tolist():
            x0, y0, x1, y1 = targets.boxes[b, j].tolist()
            gx, gy = (x0 + x1) / 2 / stride, (y0 + y1) / 2 / stride
            x, y = int(gx), int(gy)
            cells = [(x, y)]
            cells += [(x - 1, y)] * (gx % 1 < 0.5 and x > 0) + [(x + 1, y)] * (
                gx % 1 > 0.5 and x < side - 1
            )
            cells += [(x, y - 1)] * (gy % 1 < 0.5 and y > 0) + [(x, y + 1)] * (
                gy % 1 > 0.5 and y < side - 1
            )
            for a, (aw, ah) in enumerate(ANCHORS[level].tolist()):
                w, h = x1 - x0, y1 - y0
                if max(w / aw, aw / w, h / ah, ah / h) < 2:
                    yield from ((b, cx, cy, a, j) for cx, cy in cells)


def plain_losses(raw, targets, nc=3):
    sigmoid = lambda z: 1 / (1 + math.exp(-z))  # noqa: E731
    sums, first = {"ciou": 0.0, "obj": 0.0, "ce": 0.0}, 0
    for level, (stride, side, gain) in enumerate(((16, 6, 1.0), (32, 3, 0.4))):
        pairs = list(plain_pairs(targets, level, stride, side))
        taken = {(b, first + y * side + x, a) for b, x, y, a, _ in pairs}
        cells = range(first, first + side * side)
        errors = []
        for b in range(len(raw)):
            for cell in cells:
                for a in range(3):
                    p = sigmoid(raw[b, cell, 12 + a].item())
                    errors.append(-math.log(p if (b, cell, a) in taken else 1 - p))
        sums["obj"] += 64 * gain * sum(errors) / len(errors)
        for b, x, y, a, j in pairs:
            row = raw[b, first + y * side + x].tolist()
            tx, ty, tw, th = (2 * sigmoid(t) for t in row[4 * a : 4 * a + 4])
            cx, cy = (tx - 0.5 + x) * stride, (ty - 0.5 + y) * stride
            w, h = ANCHORS[level, a, 0].item() * tw**2, ANCHORS[level, a, 1].item() * th**2
            box = (cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2)
            sums["ciou"] += 3.2 * (1 - plain_ciou(box, targets.boxes[b, j].tolist())) / len(pairs)
            logits, label = row[15:], int(targets.labels[b, j])
            ce = math.log(sum(math.exp(z) for z in logits)) - logits[label]
            sums["ce"] += 32 * ce / nc / len(pairs)
        first += side * side
    return sums


@pytest.mark.parametrize("seed", range(6))
def test_losses_agree_with_plain_code(seed):
    raw, targets = random_case(seed)
    model = MODULE.build(3).double()
    model.anchors.copy_(ANCHORS)
    losses = model.losses(raw, targets, 96, 96)
    expected = plain_losses(raw, targets)
    assert {k: float(v) for k, v in losses.items()} == pytest.approx(expected, rel=1e-6)


def test_anchors_are_clustered_and_sorted_onto_the_levels():
    made = torch.Generator().manual_seed(0)
    low = torch.rand(60, 2, generator=made) * 40
    boxes = torch.cat((low, low + torch.rand(60, 2, generator=made) * 50 + 5), 1)
    model = MODULE.build(6)
    model.fit_to(boxes, seed=3)
    expected = cluster_anchors(boxes[:, 2:] - boxes[:, :2], 6, seed=3)
    assert torch.equal(model.anchors.flatten(0, 1), expected)
    assert "anchors" in model.state_dict()
    assert torch.equal(model.deploy().detector.anchors, model.anchors)


def test_facts_of_the_anchors_by_hand():
    model = MODULE.build(2)
    model.anchors.copy_(torch.full((2, 3, 2), 10.0))
    # sides 1, 1.9 and 2.1 times an anchor's: only those under twice as long are learnt
    boxes = torch.tensor([[0.0, 0, 10, 10], [5, 5, 24, 15], [0, 0, 10, 21]])
    assert model.facts(boxes) == {
        "n_boxes": 3,
        "anchors_mean_best_iou": round((1 + 1 / 1.9 + 1 / 2.1) / 3, 4),
        "anchors_best_possible_recall_iou_25": 1.0,
        "boxes_learnt_share": 0.6667,
    }
    assert model.facts(boxes[:0]) == {"n_boxes": 0}


def test_anchors_stay_without_a_box():
    model = MODULE.build(6)
    model.fit_to(torch.zeros(0, 4), seed=0)
    assert torch.equal(model.anchors, torch.tensor(MODULE.COCO_ANCHORS))
