"""YOLOv4's loss against slow, plain code written from the formulas, image by image and prior by prior."""

import math
from pathlib import Path

import pytest
import torch

from defectbench.base.methods import load_method
from defectbench.nn.detector import Targets

MODULE = load_method("yolov4", Path(__file__).parents[2] / "models").module
assert MODULE is not None
NC, HEIGHT, WIDTH = 3, 64, 96
# Of each level: stride, how far a centre may leave its cell, and three anchors
LEVELS = (
    (8, 1.2, ((8, 12), (16, 30), (33, 23))),
    (16, 1.1, ((30, 61), (62, 45), (59, 80))),
    (32, 1.05, ((70, 60), (80, 90), (95, 95))),
)
# Of each prior: level, column and row of its cell, number of its anchor
PRIORS = [
    (level, x, y, anchor)
    for level, (stride, _, anchors) in enumerate(LEVELS)
    for y in range(HEIGHT // stride)
    for x in range(WIDTH // stride)
    for anchor in range(len(anchors))
]


@pytest.fixture
def model(monkeypatch):
    """The detector in double precision; its loss would leave it for float32, as half precision must."""
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    found = MODULE.build(NC, width=0.02).double()
    found.anchors.copy_(torch.tensor([anchors for _, _, anchors in LEVELS]))
    return found


def losses_of(model, raw, targets):
    """The loss of a raw output as if the network had given it."""
    model.forward = lambda images: raw
    return model.loss(torch.empty(len(raw), 3, HEIGHT, WIDTH), targets, 0)


def random_case(seed, near=0.0, batch=3, most=5):
    """Raw output and boxes; a share ``near`` of the boxes lies where some prior predicts one."""
    made = torch.Generator().manual_seed(seed)
    raw = torch.randn(batch, len(PRIORS), 5 + NC, generator=made, dtype=torch.float64)
    low = torch.rand(batch, most, 2, generator=made).double() * 60
    sides = 3 + torch.rand(batch, most, 2, generator=made).double() ** 2 * 60
    boxes = torch.cat((low, low + sides), -1)
    for b, j in (torch.rand(batch, most, generator=made) < near).nonzero().tolist():
        prior = int(torch.randint(len(PRIORS), (), generator=made))
        x0, y0, x1, y1 = decoded(raw[b, prior].tolist(), prior)
        boxes[b, j] = torch.tensor((x0 + 0.5, y0, x1, y1 - 0.5))
    limit = torch.tensor((WIDTH, HEIGHT, WIDTH, HEIGHT))
    boxes = torch.minimum(boxes.clamp(min=0), limit)
    labels = torch.randint(0, NC, (batch, most), generator=made)
    labels[((boxes[..., 2:] - boxes[..., :2]) < 1).any(-1)] = -1
    labels[0, most // 2 :] = -1
    return raw, Targets(boxes * (labels >= 0).unsqueeze(-1), labels)


def sigmoid(z):
    return 1 / (1 + math.exp(-z))


def entropy(z, wanted):
    return -math.log(sigmoid(z) if wanted else 1 - sigmoid(z))


def decoded(row, prior):
    """x = (k sigmoid(t) - (k - 1) / 2 + column) stride, w = anchor exp(t)."""
    level, column, line, anchor = PRIORS[prior]
    stride, k, anchors = LEVELS[level]
    x = (k * sigmoid(row[0]) - (k - 1) / 2 + column) * stride
    y = (k * sigmoid(row[1]) - (k - 1) / 2 + line) * stride
    w, h = anchors[anchor][0] * math.exp(row[2]), anchors[anchor][1] * math.exp(row[3])
    return x - w / 2, y - h / 2, x + w / 2, y + h / 2


def iou(a, b):
    w = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    h = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    return w * h / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - w * h)


def ciou(a, b):
    hull = (max(a[2], b[2]) - min(a[0], b[0])) ** 2 + (max(a[3], b[3]) - min(a[1], b[1])) ** 2
    apart = ((a[0] + a[2] - b[0] - b[2]) ** 2 + (a[1] + a[3] - b[1] - b[3]) ** 2) / 4
    angle = math.atan((a[2] - a[0]) / (a[3] - a[1])) - math.atan((b[2] - b[0]) / (b[3] - b[1]))
    v = 4 / math.pi**2 * angle**2
    return iou(a, b) - apart / hull - v * v / (1 - iou(a, b) + v)


def learners(box):
    """Priors that learn a box: in its centre's cells, of anchors like it (IoU over 0.213) and the likest."""
    w, h = box[2] - box[0], box[3] - box[1]
    shapes = [
        (level, n, *a) for level, (_, _, found) in enumerate(LEVELS) for n, a in enumerate(found)
    ]
    like = {(level, n): iou((0, 0, w, h), centred(w, h, aw, ah)) for level, n, aw, ah in shapes}
    for prior, (level, column, line, anchor) in enumerate(PRIORS):
        stride = LEVELS[level][0]
        cell = int((box[0] + box[2]) / 2 // stride), int((box[1] + box[3]) / 2 // stride)
        likeness = like[level, anchor]
        if cell == (column, line) and (likeness > 0.213 or likeness == max(like.values())):
            yield prior


def centred(w, h, aw, ah):
    """A box of sides aw, ah round the centre of the box (0, 0, w, h)."""
    return (w - aw) / 2, (h - ah) / 2, (w + aw) / 2, (h + ah) / 2


def plain_losses(raw, targets):
    """Sums over priors and pairs, over the number of images; also how many priors are ignored."""
    sums, ignored = {"ciou": 0.0, "objectness": 0.0, "classes": 0.0}, 0
    for rows, boxes, labels in zip(
        *(x.tolist() for x in (raw, targets.boxes, targets.labels)), strict=True
    ):
        truth = [(box, label) for box, label in zip(boxes, labels, strict=True) if label >= 0]
        pairs = [(prior, *one) for one in truth for prior in learners(one[0])]
        for prior, box, label in pairs:
            sums["ciou"] += 0.07 * (1 - ciou(decoded(rows[prior], prior), box))
            sums["classes"] += sum(entropy(z, n == label) for n, z in enumerate(rows[prior][5:]))
        taken = {prior for prior, _, _ in pairs}
        for prior, row in enumerate(rows):
            near = max((iou(decoded(row, prior), box) for box, _ in truth), default=0.0)
            if prior in taken or near <= 0.7:
                sums["objectness"] += entropy(row[4], prior in taken)
            else:
                ignored += 1
    return {name: value / len(raw) for name, value in sums.items()}, ignored


@pytest.mark.parametrize("near", [0.0, 0.6])
@pytest.mark.parametrize("seed", range(6))
def test_loss_agrees_with_plain_code(model, seed, near):
    raw, targets = random_case(seed, near)
    expected, ignored = plain_losses(raw, targets)
    losses = losses_of(model, raw, targets)
    assert losses["loss"].dtype == torch.float64
    found = {name: float(losses[name]) for name in expected}
    assert found == pytest.approx(expected, rel=1e-9)
    assert float(losses["loss"]) == pytest.approx(sum(expected.values()), rel=1e-9)
    assert ignored > 0 or not near


def test_a_prior_that_learns_is_judged_however_well_it_overlaps(model):
    raw, _ = random_case(0, batch=1)
    raw[0, 100, :4] = 0.0  # the anchor itself, in the middle of its cell
    box = decoded(raw[0, 100].tolist(), 100)
    targets = Targets(torch.tensor([[box]]).double(), torch.tensor([[1]]))
    assert 100 in learners(box)
    gradient = gradient_of(model, raw, targets)
    expected = sigmoid(raw[0, 100, 4].item()) - 1
    assert gradient[0, 100, 4].item() == pytest.approx(expected, rel=1e-9)


def test_an_ignored_prior_has_no_gradient_at_all(model):
    raw, targets = random_case(1, near=0.6)
    gradient = gradient_of(model, raw, targets)
    still = (gradient.abs().sum(-1) == 0).sum()
    assert still == plain_losses(raw, targets)[1] > 0


def gradient_of(model, raw, targets):
    raw = raw.clone().requires_grad_()
    losses_of(model, raw, targets)["loss"].backward()
    return raw.grad


@pytest.mark.parametrize("rows", [0, 4])
def test_without_boxes_only_objectness_is_left(model, rows):
    raw, _ = random_case(2)
    nothing = Targets(torch.zeros(3, rows, 4).double(), torch.full((3, rows), -1))
    losses = losses_of(model, raw, nothing)
    assert losses["ciou"] == losses["classes"] == 0
    expected = sum(entropy(z, False) for z in raw[..., 4].flatten().tolist()) / 3
    assert float(losses["objectness"]) == pytest.approx(expected, rel=1e-9)
