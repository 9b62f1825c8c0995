"""YOLOX-Nano: counts part by part, pieces by hand, losses against plain code."""

import math
from pathlib import Path

import pytest
import torch
from tests.counting import conv_macs_m, size_of
from torch import nn

from defectbench.base.methods import load_method
from defectbench.nn.assigners import Assignment
from defectbench.nn.detector import Targets, grid_priors
from defectbench.nn.simota import objectness_simota

MODULE = load_method("yolox_nano", Path(__file__).parents[2] / "models").module
assert MODULE is not None
PRIORS = grid_priors(64, 64, (8, 16, 32))


def test_parameters_of_each_part():
    model = MODULE.build(6)
    assert size_of(model.backbone) == 459_968
    assert size_of(model.neck) == 347_424
    assert size_of(model.head) == 90_337


@pytest.mark.parametrize(("nc", "parameters"), [(6, 897_729), (7, 897_924), (80, 912_159)])
def test_parameters_by_classes(nc, parameters):
    assert size_of(MODULE.build(nc)) == parameters


@pytest.mark.parametrize(("size", "macs_m"), [(192, 107.73), (320, 299.26), (480, 673.33)])
def test_multiply_adds_of_convolutions(size, macs_m):
    assert round(conv_macs_m(MODULE.build(6).deploy(), size), 2) == macs_m


def test_every_norm_has_the_constants_of_the_family():
    norms = [m for m in MODULE.build(6).modules() if isinstance(m, nn.BatchNorm2d)]
    assert {(m.eps, m.momentum) for m in norms} == {(1e-3, 0.03)}


def test_focus_takes_pixels_columns_first():
    focus = MODULE.Focus(4)
    seen = []
    focus.conv.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    focus(torch.arange(16.0).view(1, 1, 4, 4).repeat(1, 3, 1, 1))
    corners = [seen[0][0, 3 * k, 0, 0].item() for k in range(4)]
    assert corners == [0, 4, 1, 5]  # top left, bottom left, top right, bottom right


@pytest.mark.parametrize("shortcut", [True, False])
def test_csp_by_hand(shortcut):
    torch.manual_seed(0)
    block = MODULE.CSP(6, 8, 2, shortcut).eval()
    x = torch.randn(1, 6, 5, 5)
    first, *chain = block.main
    y = first(x)
    for part in chain:
        y = y + part.body(y) if shortcut else part(y)
    assert torch.allclose(block(x), block.join(torch.cat((y, block.short(x)), 1)), atol=1e-6)


def test_the_network_sees_0_to_255():
    assert torch.equal(
        MODULE.build(1).to_bytes(torch.full((1, 3, 2, 2), 0.5)).unique(), torch.tensor([127.5])
    )


def test_maps_of_backbone_and_neck():
    model = MODULE.build(6).eval()
    maps = model.backbone(torch.rand(1, 3, 64, 96))
    shapes = [(64, 8, 12), (128, 4, 6), (256, 2, 3)]
    assert [tuple(m.shape[1:]) for m in maps] == shapes
    assert [tuple(m.shape[1:]) for m in model.neck(maps)] == shapes


def test_objects_and_classes_start_at_one_percent():
    for level in MODULE.build(3).head:
        for conv in (level.objectness, level.classes):
            assert conv.bias.sigmoid().tolist() == pytest.approx([0.01] * len(conv.bias), rel=1e-3)


def test_boxes_by_hand():
    # Cell (2, 3) at stride 8: x = (0.25 + 2) 8, y = (-1 + 3) 8, w = 2 * 8, h = 8
    prior = torch.tensor([[20.0, 28, 8]])
    box = MODULE.place_boxes(torch.tensor([[[0.25, -1, math.log(2), 0]]]), prior)
    assert box.flatten().tolist() == pytest.approx([18 - 8, 16 - 4, 18 + 8, 16 + 4])


def test_score_is_the_product_of_class_and_object():
    model = MODULE.build(2)
    raw = torch.randn(1, len(PRIORS), 7)
    _, scores = model.decode(raw, 64, 64)
    expected = raw[..., 4].sigmoid() * raw[..., 6].sigmoid()
    assert torch.allclose(scores[..., 1], expected)


def random_case(seed, nc=3, batch=3, most=5):
    made = torch.Generator().manual_seed(seed)
    raw = torch.randn(batch, len(PRIORS), 5 + nc, generator=made, dtype=torch.float64)
    low = torch.rand(batch, most, 2, generator=made) * 40
    truth = torch.cat((low, low + torch.rand(batch, most, 2, generator=made) * 30 + 3), -1)
    labels = torch.randint(0, nc, (batch, most), generator=made)
    counts = torch.randint(0, most + 1, (batch,), generator=made)
    labels[torch.arange(most)[None] >= counts[:, None]] = -1
    return raw, Targets(truth.double(), labels)


def cross(z, y):
    p = 1 / (1 + math.exp(-z))
    return -(y * math.log(p) + (1 - y) * math.log(1 - p))


def iou(a, b):
    w = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    h = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    return w * h / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - w * h)


def plain_losses(raw, targets, found):
    sums = {"iou": 0.0, "obj": 0.0, "cls": 0.0, "l1": 0.0}
    for b, rows in enumerate(raw.tolist()):
        for i, ((px, py, s), row) in enumerate(zip(PRIORS.tolist(), rows, strict=True)):
            own = bool(found.positive[b, i])
            sums["obj"] += cross(row[4], float(own))
            if not own:
                continue
            j = int(found.index[b, i])
            x0, y0, x1, y1 = targets.boxes[b, j].tolist()
            cx, cy = px / s - 0.5, py / s - 0.5  # the cell
            x, y, w, h = (
                (row[0] + cx) * s,
                (row[1] + cy) * s,
                math.exp(row[2]) * s,
                math.exp(row[3]) * s,
            )
            u = iou((x - w / 2, y - h / 2, x + w / 2, y + h / 2), (x0, y0, x1, y1))
            sums["iou"] += 5 * (1 - u**2)
            for k, z in enumerate(row[5:]):
                sums["cls"] += cross(z, u if k == targets.labels[b, j] else 0.0)
            goal = ((x0 + x1) / 2 / s - cx, (y0 + y1) / 2 / s - cy)
            goal += (math.log((x1 - x0) / s + 1e-8), math.log((y1 - y0) / s + 1e-8))
            sums["l1"] += sum(abs(p - q) for p, q in zip(row[:4], goal, strict=True))
    count = max(int(found.positive.sum()), 1)
    return {name: value / count for name, value in sums.items()}


@pytest.mark.parametrize("seed", range(6))
def test_losses_agree_with_plain_code(seed):
    raw, targets = random_case(seed)
    boxes = MODULE.place_boxes(raw, PRIORS.double())
    found = objectness_simota(raw[..., 5:], raw[..., 4], boxes, PRIORS, targets)
    losses = MODULE.losses_of(raw, boxes, PRIORS.double(), targets, found, distance=True)
    expected = plain_losses(raw, targets, found)
    assert {k: float(v) for k, v in losses.items()} == pytest.approx(expected, rel=1e-9)


def test_without_a_positive_only_objectness_is_left():
    raw, targets = random_case(0)
    none = torch.zeros(raw.shape[:2])
    boxes = MODULE.place_boxes(raw, PRIORS)
    found = Assignment(none.bool(), none.long(), none)
    losses = MODULE.losses_of(raw, boxes, PRIORS, targets, found, distance=True)
    assert losses["iou"] == losses["cls"] == losses["l1"] == 0
    assert losses["obj"] > 0


@pytest.mark.parametrize(
    ("epoch", "names"), [(9, ["iou", "obj", "cls"]), (10, ["iou", "obj", "cls", "l1"])]
)
def test_l1_joins_in_for_the_last_epochs(epoch, names):
    model = MODULE.build(2)
    model.closing_epoch = 10
    targets = Targets(torch.tensor([[[10.0, 12, 50, 44]]]), torch.tensor([[1]]))
    losses = model.loss(torch.rand(1, 3, 64, 64), targets, epoch)
    assert list(losses) == ["loss", *names]
    assert losses["loss"].item() == pytest.approx(sum(losses[n].item() for n in names))
