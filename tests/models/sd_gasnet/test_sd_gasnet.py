"""SD-GASNet: counts of all parts, its switches, its losses against plain code, and its teacher."""

import inspect
import math
from pathlib import Path

import pytest
import torch
from tests.counting import size_of
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from defectbench.base.errors import ConfigError
from defectbench.base.methods import load_method, override_recipe
from defectbench.nn.assigners import Assignment
from defectbench.nn.detector import Targets, grid_priors
from defectbench.nn.heads import boxes_of_sides

METHOD = load_method("sd_gasnet", Path(__file__).parents[3] / "models")
MODULE = METHOD.module
assert MODULE is not None


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)
    torch.manual_seed(0)


def test_parameters_of_each_part():
    model = MODULE.build(6)
    neck = model.neck
    assert size_of(model.backbone) == 3_188_898
    assert [size_of(part) for part in neck.gather.layers] == [69_888, 157_601, 16_640]
    assert size_of(neck.inject) == 25_344
    assert size_of(neck.synchronise) == 43_824
    assert size_of(model.head) == 1_641_502
    assert size_of(model.bins) == 30_668
    assert size_of(model) == 7_747_433


@pytest.mark.parametrize(
    ("options", "neck"),
    [
        ({"figa": False, "cs": False}, 2_573_068),
        ({"figa": False}, 2_573_068 + 43_824),
        ({"cs": False}, 2_573_068 + 244_129 + 25_344),
        ({"mfa": False}, 2_573_068 + 43_824 + 25_344 + 20_736 + 157_601 + 16_640),
        ({"enhance": "rep"}, 2_573_068 + 43_824 + 25_344 + 580_352),
        ({"enhance": "none"}, 2_573_068 + 43_824 + 25_344 + 69_888 + 16_640),
        ({"shared_inject": True}, 2_573_068 + 43_824 + 244_129 + 12_672),
    ],
)
def test_parameters_of_the_neck_by_switches(options, neck):
    assert size_of(MODULE.build(6, **options).neck) == neck


SWITCHES = [  # field of the recipe, value, parameters deployed
    ("kd", "kl", 7_716_765),
    ("kd", "none", 7_716_765),
    ("figa", False, 7_447_292),
    ("mfa", False, 7_667_613),
    ("enhance", "none", 7_559_164),
    ("enhance", "rep", 8_052_988),
    ("shared_inject", True, 7_704_093),
    ("cs", False, 7_672_941),
    ("backbone", "lvt_ds", 7_955_327),
]


@pytest.mark.parametrize(("option", "value", "parameters"), SWITCHES)
def test_each_switch_alone_is_an_option_of_the_recipe(option, value, parameters):
    recipe = override_recipe(METHOD.recipe, {f"options.{option}": value})
    model = MODULE.build(6, **recipe.options).train()
    assert size_of(model) - (size_of(model.bins) if model.bins else 0) == parameters
    assert (model.bins is None) == (value == "none" and option == "kd")
    losses = model.loss(torch.rand(2, 3, 64, 64), truth(), 0)
    losses["loss"].backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []


def test_the_recipe_names_every_switch_at_the_default_of_build():
    parameters = inspect.signature(MODULE.build).parameters
    defaults = {name: p.default for name, p in parameters.items() if name != "nc"}
    assert METHOD.recipe.options == defaults
    assert {name for name, *_ in SWITCHES} == set(defaults)


@pytest.mark.parametrize(
    ("figa", "cs", "millions"),
    [(False, False, 7.4035), (True, False, 7.6729), (False, True, 7.4473), (True, True, 7.7168)],
)
def test_parameters_of_the_pyramid_with_and_without_its_parts(figa, cs, millions):
    model = MODULE.build(6, kd="none", figa=figa, cs=cs)
    assert round(size_of(model) / 1e6, 4) == millions


def test_larger_backbone_and_plain_training():
    assert size_of(MODULE.build(6, backbone="lvt_ds").backbone) == 3_427_460
    assert size_of(MODULE.build(6, kd="none")) == 7_716_765


@pytest.mark.parametrize("option", ["kd", "enhance", "backbone"])
def test_unknown_values_are_named(option):
    with pytest.raises(ConfigError, match="choose one of"):
        MODULE.build(6, **{option: "other"})


@pytest.mark.parametrize(
    ("options", "size", "macs_g"),
    [
        ({}, 640, 10.204),
        ({}, 416, 4.089),
        ({}, 224, 1.152),
        ({"figa": False, "cs": False}, 640, 9.704),
        ({"cs": False}, 416, 4.068),
        ({"figa": False}, 416, 3.901),
    ],
)
def test_multiply_adds_with_attention(options, size, macs_g):
    deployed = MODULE.build(6, **options).deploy()
    with FlopCounterMode(display=False) as counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        deployed(torch.rand(1, 3, size, size))
    assert round(counter.get_total_flops() / 2e9, 3) == macs_g


def test_the_deployed_network_has_no_distributions_and_no_state_of_a_size():
    model = MODULE.build(6).eval()
    names = set(model.state_dict())
    with torch.no_grad():
        model(torch.rand(1, 3, 64, 64))
    assert set(model.state_dict()) == names
    assert not any(name.startswith("detector.bins") for name in model.deploy().state_dict())


@pytest.mark.parametrize(("height", "width"), [(224, 224), (416, 640), (256, 352)])
def test_output_of_images_that_are_no_squares(height, width):
    model = MODULE.build(6).eval()
    with torch.no_grad():
        boxes, scores = model.decode(model(torch.rand(1, 3, height, width)), height, width)
    count = sum(height // s * (width // s) for s in (8, 16, 32))
    assert boxes.shape == (1, count, 4)
    assert scores.shape == (1, count, 6)


@pytest.mark.parametrize(
    "options",
    [
        {"figa": False, "cs": False},
        {"mfa": False},
        {"enhance": "rep", "shared_inject": True},
        {"enhance": "none"},
        {"kd": "none"},
        {"backbone": "lvt_ds"},
    ],
)
def test_switches_train_and_fold(options):
    model = MODULE.build(3, **options).train()
    losses = model.loss(torch.rand(2, 3, 64, 64), truth(), 0)
    losses["loss"].backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []
    assert ("dfl" in losses) == (options.get("kd") != "none")
    model.eval()
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        boxes, scores = model.decode(model(images), 64, 64)
        folded_boxes, folded_scores = model.deploy()(images)
    torch.testing.assert_close(folded_boxes, boxes, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(folded_scores, scores, rtol=1e-3, atol=1e-5)


def truth():
    boxes = torch.tensor([[[5.0, 6, 35, 45], [32, 32, 60, 59]], [[8, 20, 60, 50], [0, 0, 0, 0]]])
    return Targets(boxes, torch.tensor([[0, 2], [1, -1]]))


def giou(a, b):
    low = max(a[0], b[0]), max(a[1], b[1])
    high = min(a[2], b[2]), min(a[3], b[3])
    overlap = max(high[0] - low[0], 0) * max(high[1] - low[1], 0)
    areas = [max(x[2] - x[0], 0) * max(x[3] - x[1], 0) for x in (a, b)]
    union = max(sum(areas) - overlap, 1e-7)
    sides = [max(a[n + 2], b[n + 2]) - min(a[n], b[n]) for n in (0, 1)]
    hull = max(sides[0] * sides[1], 1e-7)
    return overlap / union - (hull - union) / hull


def plain_losses(logits, sides, bins, priors, targets, found):
    sums = {"vfl": 0.0, "giou": 0.0, "giou_bins": 0.0, "dfl": 0.0}
    for b in range(len(logits)):
        for i, (x, y, stride) in enumerate(priors.tolist()):
            quality, row = float(found.quality[b, i]), int(found.index[b, i])
            positive = bool(found.positive[b, i])
            for c, z in enumerate(logits[b, i].tolist()):
                p = 1 / (1 + math.exp(-z))
                wanted = quality if positive and c == int(targets.labels[b, row]) else 0.0
                weight = wanted if wanted > 0 else 0.75 * p**2
                sums["vfl"] -= weight * (wanted * math.log(p) + (1 - wanted) * math.log(1 - p))
            if not positive:
                continue
            g = targets.boxes[b, row].tolist()
            spread = bins[b, i].view(4, 17).softmax(-1).tolist()
            means = [sum(k * p for k, p in enumerate(side)) for side in spread]
            for name, d in (("giou", sides[b, i].tolist()), ("giou_bins", means)):
                box = [x - d[0] * stride, y - d[1] * stride, x + d[2] * stride, y + d[3] * stride]
                sums[name] += 2.5 * quality * (1 - giou(box, g))
            for side, d in enumerate((x - g[0], y - g[1], g[2] - x, g[3] - y)):
                d = min(max(d / stride, 0), 15.99)
                low, q = int(d), spread[side]
                cross = -(low + 1 - d) * math.log(q[low]) - (d - low) * math.log(q[low + 1])
                sums["dfl"] += 0.5 * quality * cross / 4
    total = max(1.0, float(found.quality.sum()))
    return {name: value / total for name, value in sums.items()}


@pytest.mark.parametrize("seed", range(3))
def test_losses_agree_with_plain_code(seed):
    made = torch.Generator().manual_seed(seed)
    priors, targets = grid_priors(64, 64, (8, 16, 32)).double(), truth()
    targets = Targets(targets.boxes.double(), targets.labels)
    count = len(priors)

    def draw(columns):
        return torch.randn(2, count, columns, generator=made, dtype=torch.float64)

    logits, sides, bins = draw(3), 1 + draw(4), draw(68)
    positive = torch.rand(2, count, generator=made) < 0.2
    index = torch.randint(0, 2, (2, count), generator=made) * positive
    index[1] = 0
    quality = torch.rand(2, count, generator=made, dtype=torch.float64) * positive
    found = Assignment(positive, index, quality)
    boxes = boxes_of_sides(sides, priors)
    losses = MODULE.detection_losses(logits, boxes, bins, priors, targets, found)
    expected = plain_losses(logits, sides, bins, priors, targets, found)
    assert {k: float(v) for k, v in losses.items()} == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("kd", ["kl", "ekl"])
def test_a_student_learns_from_its_teacher_and_keeps_nothing_of_it(kd):
    teacher, student = MODULE.build(3, kd=kd), MODULE.build(3, kd=kd).train()
    with torch.no_grad():
        for parameter in (*teacher.head.parameters(), *teacher.bins.parameters()):
            parameter.add_(0.05 * torch.randn(parameter.shape))
    names = list(student.state_dict())
    images = torch.rand(2, 3, 64, 64)
    alone = student.loss(images, truth(), 0)
    student.set_teacher(teacher.state_dict())
    student.epochs = 10
    taught = student.loss(images, truth(), 0)
    assert set(taught) - set(alone) == {"kd_cls", "kd_loc"}
    assert all(taught[name] > 0 for name in ("kd_cls", "kd_loc"))
    later = student.loss(images, truth(), 9)
    assert later["kd_cls"].item() < 0.05 * taught["kd_cls"].item()
    taught["loss"].backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in student.parameters())
    assert list(student.state_dict()) == names
    assert size_of(student.deploy()) == size_of(teacher.deploy())


def test_a_student_that_equals_its_teacher_has_nothing_to_learn():
    student = MODULE.build(1).eval()
    student.set_teacher(student.state_dict())
    losses = student.loss(torch.rand(2, 3, 64, 64), truth_of_one_class(), 0)
    assert losses["kd_cls"].item() == losses["kd_loc"].item() == 0.0


def truth_of_one_class():
    return Targets(truth().boxes, truth().labels.clamp(max=0))


def test_a_teacher_of_other_options_and_a_student_of_none_are_refused():
    with pytest.raises(ConfigError, match="the same network, options and number of classes"):
        MODULE.build(3).set_teacher(MODULE.build(3, figa=False).state_dict())
    with pytest.raises(ConfigError, match="learns from none"):
        MODULE.build(3, kd="none").set_teacher({})
