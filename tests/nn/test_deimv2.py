"""DEIMv2: matching and losses as published and against plain code, what is learnt beside, sizes that are refused."""

import itertools
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from defectbench.base.errors import ConfigError
from defectbench.nn.boxes import generalised_iou, paired_iou
from defectbench.nn.deimv2 import (
    ATTO,
    DEIMv2,
    corners_of,
    match,
    normalised,
    pair_losses,
    pairs_of,
    stacked,
)
from defectbench.nn.denoising import add_noise
from defectbench.nn.detector import Targets

LOGITS = torch.tensor([(-2, 1, 0, -1, -3, 0.5), (0.2, -1, 2, -2, -1, 0), (-4.0,) * 6])[None, None]
BOXES = torch.tensor([(0.5, 0.5, 0.2, 0.4), (0.3, 0.6, 0.25, 0.3), (0.8, 0.2, 0.1, 0.1)])[
    None, None
]
TRUTH = Targets(
    torch.tensor([[(0.32, 0.58, 0.2, 0.3), (0.48, 0.53, 0.24, 0.44)]]), torch.tensor([[2, 1]])
)


@pytest.mark.parametrize("by_quality", [False, True])
def test_matching_and_losses_are_those_of_the_reference(by_quality):
    pairs = match(BOXES, LOGITS, TRUTH, by_quality)
    assert pairs.query.tolist() == [[[1, 0]]]
    overlap = paired_iou(corners_of(BOXES[0, 0, [1, 0]]), corners_of(TRUTH.boxes[0]))
    assert overlap.tolist() == pytest.approx([0.7089, 0.7249], abs=1e-4)
    parts = pair_losses(BOXES, LOGITS, TRUTH, pairs, torch.tensor(2))
    expected = {"mal": 1.5328, "l1": 5 * 0.1100, "giou": 2 * 0.2912}
    assert {name: float(value) for name, value in parts.items()} == pytest.approx(
        expected, abs=5e-4
    )


def drawn(seed, answers=2, queries=5, nc=3, rows=3):
    made = torch.Generator().manual_seed(seed)
    boxes = torch.rand(answers, 2, queries, 4, generator=made) * 0.4 + 0.2
    logits = torch.randn(answers, 2, queries, nc, generator=made)
    truth = torch.rand(2, rows, 4, generator=made) * 0.4 + 0.2
    labels = torch.randint(0, nc, (2, rows), generator=made)
    labels[1, 1] = -1
    return boxes, logits, Targets(truth * (labels >= 0).unsqueeze(-1), labels)


def cost_of(box, logits, truth, label, by_quality):
    p = logits[label].sigmoid()
    corners = corners_of(box), corners_of(truth)
    if by_quality:
        return float(-p * paired_iou(*corners) ** 4)
    focal = 0.25 * (1 - p) ** 2 * -torch.log(p + 1e-8)
    focal -= 0.75 * p**2 * -torch.log(1 - p + 1e-8)
    return float(2 * focal + 5 * (box - truth).abs().sum() - 2 * generalised_iou(*corners))


@pytest.mark.parametrize("by_quality", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_no_other_matching_costs_less(seed, by_quality):
    boxes, logits, truth = drawn(seed)
    pairs = match(boxes, logits, truth, by_quality)
    for k, b in itertools.product(range(2), range(2)):
        rows = truth.valid[b].nonzero().flatten().tolist()
        assert pairs.paired[k, b].nonzero().flatten().tolist() == rows
        costs = {
            (row, q): cost_of(
                boxes[k, b, q],
                logits[k, b, q],
                truth.boxes[b, row],
                truth.labels[b, row],
                by_quality,
            )
            for row in rows
            for q in range(5)
        }
        least = min(
            sum(costs[pair] for pair in zip(rows, chosen, strict=True))
            for chosen in itertools.permutations(range(5), len(rows))
        )
        found = sum(costs[row, int(pairs.query[k, b, row])] for row in rows)
        assert found == pytest.approx(least, abs=1e-5)


@pytest.mark.parametrize("seed", range(2))
def test_losses_against_plain_code(seed):
    boxes, logits, truth = drawn(seed)
    pairs = match(boxes, logits, truth, by_quality=False)
    mal = l1 = giou = 0.0
    for k, b in itertools.product(range(2), range(2)):
        wanted = torch.zeros_like(logits[k, b])
        weight = logits[k, b].sigmoid() ** 1.5
        for row in truth.valid[b].nonzero().flatten().tolist():
            query, label = int(pairs.query[k, b, row]), int(truth.labels[b, row])
            corners = corners_of(boxes[k, b, query]), corners_of(truth.boxes[b, row])
            wanted[query, label], weight[query, label] = paired_iou(*corners) ** 1.5, 1
            l1 += (boxes[k, b, query] - truth.boxes[b, row]).abs().sum()
            giou += 1 - generalised_iou(*corners)
        entropy = F.binary_cross_entropy_with_logits(logits[k, b], wanted, reduction="none")
        mal += (weight * entropy).sum()
    parts = pair_losses(boxes, logits, truth, pairs, torch.tensor(5))
    for name, value in (("mal", mal), ("l1", 5 * l1), ("giou", 2 * giou)):
        assert float(parts[name]) == pytest.approx(float(value / 5), rel=1e-5)


def test_neither_weights_nor_qualities_have_a_gradient():
    boxes, logits, truth = drawn(0)
    boxes.requires_grad_()
    pairs = match(boxes, logits, truth, by_quality=False)
    mal = pair_losses(boxes, logits.requires_grad_(), truth, pairs, torch.tensor(5))["mal"]
    assert torch.autograd.grad(mal, boxes, allow_unused=True)[0] is None


def test_costs_that_are_no_numbers_stop_no_match():
    boxes, logits, truth = drawn(0)
    boxes[0, 0] = torch.nan
    pairs = match(boxes, logits, truth, by_quality=False)
    assert len(set(pairs.query[0, 0].tolist())) == 3


def test_places_in_disguise_learn_the_boxes_that_they_are_made_of():
    torch.manual_seed(0)
    _, _, truth = drawn(1)
    noise = add_noise(truth.boxes, truth.labels, 3, 7)
    pairs = pairs_of(noise)
    assert pairs.query.shape == (4, 2, 7)
    made = truth.boxes.gather(1, noise.truth.unsqueeze(-1).expand(-1, -1, 4))
    boxes = torch.cat((made, torch.rand(2, 7, 4)), 1).expand(4, -1, -1, -1)
    logits = torch.full((4, 2, 14, 3), -20.0)
    parts = pair_losses(boxes, logits, truth, pairs, torch.tensor(1))
    assert float(parts["l1"]) == float(parts["giou"]) == 0
    assert float(parts["mal"]) == pytest.approx(20 * 4 * float(noise.found.sum()), rel=1e-5)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return DEIMv2(3, ATTO, 20, 8)


def truth_of(labels):
    boxes = torch.tensor([[[10.0, 12, 50, 44], [5, 30, 60, 60]]]).repeat(2, 1, 1)
    return Targets(boxes, torch.tensor(labels))


def test_five_answers_and_four_in_disguise_are_learnt(network):
    images = torch.rand(2, 3, 64, 64)
    targets = normalised(truth_of([[0, 1], [2, -1]]), 64, 64)
    noise = add_noise(targets.boxes, targets.labels, 3, 8)
    answers, disguised = network.answers(images, noise)
    assert stacked(answers)[1].shape == (5, 2, 20, 3)
    assert stacked(disguised)[0].shape == (4, 2, 16, 4)


def test_queries_in_disguise_change_no_answer_of_the_others(network):
    model = network.eval()
    images = torch.rand(2, 3, 64, 64)
    targets = normalised(truth_of([[0, 1], [2, -1]]), 64, 64)
    with torch.no_grad():
        alone, _ = model.answers(images, None)
        beside, _ = model.answers(images, add_noise(targets.boxes, targets.labels, 3, 8))
    for first, second in zip(alone, beside, strict=True):
        assert torch.allclose(first.boxes, second.boxes, atol=1e-6)
        assert torch.allclose(first.classes, second.classes, atol=1e-5)
    network.train()


def test_names_of_the_losses_and_their_sum(network):
    targets = truth_of([[0, 1], [2, -1]])
    losses = network.loss(torch.rand(2, 3, 64, 64), targets, 0)
    names = ["mal", "l1", "giou"]
    assert list(losses) == ["loss", *names, *(f"denoising_{name}" for name in names)]
    assert float(losses["loss"].detach()) == pytest.approx(
        sum(float(v) for name, v in losses.items() if name != "loss"), rel=1e-5
    )
    plain = DEIMv2(3, ATTO, 20, 0)
    assert list(plain.loss(torch.rand(2, 3, 64, 64), targets, 0)) == ["loss", *names]


def test_without_a_box_nothing_is_learnt_in_disguise(network):
    losses = network.loss(torch.rand(2, 3, 64, 64), truth_of([[-1, -1], [-1, -1]]), 0)
    assert float(losses["mal"]) > 0
    assert [float(value) for name, value in losses.items() if name.startswith("denoising")] == [
        0,
        0,
        0,
    ]


def test_the_cost_of_a_match_changes_for_the_last_tenth_of_the_epochs():
    model = DEIMv2(3, ATTO, 20, 8)
    assert [model.phase(epoch) for epoch in (0, 449, 10**6)] == [False] * 3
    model.epochs = 500
    assert [model.phase(epoch) for epoch in (0, 449, 450, 499)] == [False, False, True, True]


@pytest.mark.parametrize("size", [(64, 80), (100, 64)])
def test_sides_that_are_no_multiples_of_32_are_refused(network, size):
    with pytest.raises(ConfigError, match=r"DEIMv2.*images.*multiples of 32 pixels"):
        network(torch.rand(1, 3, *size))


@pytest.mark.parametrize(("queries", "denoising"), [(0, 10), (10, -1)])
def test_numbers_that_are_too_small_are_refused(queries, denoising):
    with pytest.raises(ConfigError, match="give a whole number from"):
        DEIMv2(3, ATTO, queries, denoising)


def test_decoding_by_hand(network):
    raw = torch.tensor([[[0.5, 0.5, 0.5, 0.25, 0, -2, 1], [0.9, 0.1, 0.4, 0.4, 0, 0, 0]]])
    boxes, scores = network.decode(raw, 100, 200)
    assert boxes[0, 0].tolist() == pytest.approx([50, 37.5, 150, 62.5])
    assert boxes[0, 1].tolist() == pytest.approx([140, 0, 200, 30])
    assert scores[0, 0].tolist() == pytest.approx(torch.tensor([0.0, -2, 1]).sigmoid().tolist())


def test_a_deployed_network_of_more_than_fifty_cells_a_side_says_the_same():
    torch.manual_seed(0)
    model = DEIMv2(3, replace(ATTO), 30, 0).eval()
    images = torch.rand(1, 3, 32, 832)
    with torch.no_grad():
        boxes, scores = model.decode(model(images), 32, 832)
        folded = model.deploy()(images)
    assert boxes.isfinite().all()
    assert torch.allclose(folded[1], scores, atol=1e-5)


def test_the_frozen_scalars_stay(network):
    frozen = [name for name, p in network.named_parameters() if not p.requires_grad]
    assert frozen == ["decoder.bins.up", "decoder.bins.scale"]
    assert not any(isinstance(m, nn.Dropout) for m in network.modules())
