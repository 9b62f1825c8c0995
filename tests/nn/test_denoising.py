"""Boxes in disguise: which places count, how far corners move, who may look at whom."""

import pytest
import torch

from defectbench.nn.denoising import add_noise

NC = 5


def truth(rows=4):
    """Two images with three boxes and one, padding in between."""
    boxes = torch.tensor([0.5, 0.5, 0.2, 0.1]).repeat(2, rows, 1)
    labels = torch.full((2, rows), -1)
    labels[0, [0, 2, 3]], labels[1, 1] = torch.tensor([1, 2, 3]), 4
    return boxes * (labels >= 0).unsqueeze(-1), labels


def test_groups_hold_every_box_of_an_image_once():
    torch.manual_seed(0)
    noise = add_noise(*truth(), NC, 10)
    assert int(noise.groups) == 3  # three boxes at most, ten places
    assert noise.group[:10].tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3]
    assert noise.truth[0, :6].tolist() == [0, 2, 3, 0, 2, 3]
    assert noise.found[0].tolist() == [True] * 9 + [False]
    assert noise.found[1].tolist() == [True, False, False] * 3 + [False]
    assert noise.truth[1, [0, 3, 6]].tolist() == [1, 1, 1]
    assert noise.counted.tolist() == ([True] * 9 + [False]) * 2
    assert (noise.labels[1, [1, 2, 4, 5, 9]] == NC).all()


def test_more_boxes_than_places_make_one_group():
    boxes, labels = torch.rand(1, 12, 4), torch.zeros(1, 12, dtype=torch.long)
    noise = add_noise(boxes, labels, NC, 10)
    assert int(noise.groups) == 1
    assert noise.found.sum() == 12


def test_no_box_at_all():
    noise = add_noise(torch.zeros(2, 1, 4), torch.full((2, 1), -1), NC, 10)
    assert not noise.found.any()
    assert (noise.labels == NC).all()
    assert noise.boxes.isfinite().all()


def test_corners_move_by_less_than_half_a_side_or_by_more():
    torch.manual_seed(0)
    boxes, labels = torch.tensor([0.5, 0.5, 0.2, 0.1]).repeat(64, 1, 1), torch.zeros(64, 1).long()
    noise = add_noise(boxes, labels, NC, 50)
    shown = noise.boxes.sigmoid()
    # the centre moves by the mean of two steps of half a side, each way
    near, far = shown[:, :50], shown[:, 50:]
    step = ((near[..., :2] - 0.5).abs() / torch.tensor([0.1, 0.05])).amax()
    assert 0.9 < step <= 1
    grown = near[..., 2:] / torch.tensor([0.2, 0.1]) - 1
    assert -1 <= grown.min() < -0.9
    assert 0.9 < grown.max() <= 1.001
    # farther: no corner within half a side of its own place
    low = far[..., :2] - far[..., 2:] / 2
    moved = (low - torch.tensor([0.4, 0.45])).abs() / torch.tensor([0.1, 0.05])
    straight = far[..., 2:].amin(-1) > 0.01  # corners that crossed are told by their centre alone
    assert moved[straight].min() > 0.98


def test_a_quarter_of_the_classes_is_drawn_anew():
    torch.manual_seed(0)
    boxes, labels = torch.full((200, 1, 4), 0.5), torch.full((200, 1), 2)
    shown = add_noise(boxes, labels, NC, 50).labels
    assert float((shown != 2).float().mean()) == pytest.approx(0.25 * 4 / 5, abs=0.01)
    assert set(shown.unique().tolist()) == {0, 1, 2, 3, 4}


def test_groups_see_themselves_and_the_queries_that_see_no_group():
    torch.manual_seed(0)
    mask = add_noise(*truth(), NC, 6).mask(2)
    assert mask.shape == (14, 14)
    assert not mask[12:, :12].any()
    assert mask[:, 12:].all()
    assert mask[0, :12].tolist() == ([True] * 3 + [False] * 3) * 2
    assert mask[4, :12].tolist() == ([False] * 3 + [True] * 3) * 2


def test_padding_changes_no_draw():
    boxes, labels = truth()
    wider = torch.cat((boxes, torch.zeros(2, 3, 4)), 1)
    padded = torch.cat((labels, torch.full((2, 3), -1)), 1)
    torch.manual_seed(0)
    first = add_noise(boxes, labels, NC, 10)
    torch.manual_seed(0)
    second = add_noise(wider, padded, NC, 10)
    assert torch.equal(first.boxes, second.boxes)
    assert torch.equal(first.labels, second.labels)
