"""Rows that a mask picks: those alone on a processor, all of them where the device would be waited for; one result."""

import pytest
import torch

from defectbench.nn import waiting
from defectbench.nn.boxes import complete_iou, paired_iou
from defectbench.nn.detector import Targets, grid_priors, level_sizes
from defectbench.nn.task_aligned import task_aligned
from defectbench.nn.waiting import constant, mark, picked, true_entries
from defectbench.training.augment import determinant, inverse
from defectbench.training.mosaic import Tiles, compose_whole

MASK = torch.tensor([[True, False, True], [False, False, True]])
VALUES = torch.arange(12.0).view(2, 3, 2)


@pytest.fixture(params=["answers at once", "does not"])
def device(request, monkeypatch):
    if request.param == "does not":
        monkeypatch.setattr(waiting, "HOSTS", frozenset())


def both(monkeypatch, function):
    """A result of a device that answers at once, and of one that does not."""
    yield function()
    monkeypatch.setattr(waiting, "HOSTS", frozenset())
    yield function()


def test_sums_over_rows_are_those_of_the_true_entries(device):
    rows = picked(MASK)
    assert rows.only(rows.of(VALUES)).sum(0).tolist() == [14.0, 17.0]
    assert rows.only(rows.of(VALUES[..., 0])).sum() == 14


def test_what_is_no_number_in_a_row_that_does_not_count_is_left_out(device):
    values = torch.where(MASK, 1.0, torch.nan)
    rows = picked(MASK)
    assert rows.only(rows.of(values)).sum() == 3


@pytest.mark.parametrize("mask", [MASK, MASK & ~MASK])
def test_true_entries_are_counted_and_marked(mask, device):
    places, rows = true_entries(mask)
    assert float(rows.count(places[0])) == max(int(mask.sum()), 1)
    marked = torch.zeros(2, 3)
    mark(marked, places, rows)
    assert marked.tolist() == mask.float().tolist()


def test_a_place_that_is_marked_twice_holds_one(device):
    x = torch.zeros(4)
    _, rows = true_entries(torch.tensor([True, True, True]))
    mark(x, (torch.tensor([2, 2, 1]),), rows)
    assert x.tolist() == [0, 1, 1, 0]


def test_a_constant_is_made_once_and_serves_training_after_inference():
    like = torch.zeros(1)
    with torch.inference_mode():
        first = constant((1, (2, 3)[0]), like)
    assert first is constant((1, 2), like)
    assert first.tolist() == [1.0, 2.0]
    assert constant((1, 2), like.double()).dtype == torch.float64
    (first * torch.ones(2, requires_grad=True)).sum().backward()


def test_levels_have_as_many_priors_as_they_say():
    strides = (8, 16, 32)
    priors = grid_priors(100, 64, strides)
    assert [int((priors[:, 2] == s).sum()) for s in strides] == level_sizes(100, 64, strides)


@pytest.mark.parametrize("overlap_of", [complete_iou, paired_iou])
@pytest.mark.parametrize("seed", range(6))
def test_pairs_are_aligned_alike(seed, overlap_of, monkeypatch):
    made = torch.Generator().manual_seed(seed)
    priors = grid_priors(96, 96, (8, 16, 32))
    half = torch.rand(3, len(priors), 2, generator=made) * 30
    boxes = torch.cat((priors[:, :2] - half, priors[:, :2] + half), -1)
    low = torch.rand(3, 5, 2, generator=made) * 60
    truth = torch.cat((low, low + torch.rand(3, 5, 2, generator=made) * 40 + 2), -1)
    labels = torch.randint(-1, 4, (3, 5), generator=made)
    scores = torch.rand(3, len(priors), 4, generator=made)
    shown = scores, boxes, priors[:, :2], Targets(truth, labels)
    few, every = both(monkeypatch, lambda: task_aligned(*shown, overlap_of=overlap_of))
    assert torch.equal(few.positive, every.positive)
    assert torch.equal(few.index, every.index)
    assert few.positive.any()
    assert torch.allclose(few.quality, every.quality, rtol=1e-5, atol=1e-7)


def test_mosaics_of_whole_images_are_alike(monkeypatch):
    made = torch.Generator().manual_seed(0)
    images = tuple(
        torch.randint(0, 256, (4, 3, 8, 8), generator=made).to(torch.uint8) for _ in "abcd"
    )
    boxes = torch.rand(4, 4, 2, 4, generator=made) * 8
    labels = torch.randint(-1, 3, (4, 4, 2), generator=made)
    chosen = torch.tensor([True, False, True, False])
    tiles = Tiles(images, boxes, labels, torch.full((4, 2), 9.0), chosen)
    at_once, later = both(monkeypatch, lambda: compose_whole(tiles, 114))
    assert all(torch.equal(a, b) for a, b in zip(at_once, later, strict=True))


def test_small_matrices_are_inverted_alike(monkeypatch):
    linear = torch.eye(2) + 0.4 * torch.randn(16, 2, 2, generator=torch.Generator().manual_seed(1))
    at_once, later = both(monkeypatch, lambda: (inverse(linear), determinant(linear)))
    for a, b in zip(at_once, later, strict=True):
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-5)
    assert torch.allclose(later[0] @ linear, torch.eye(2).expand(16, 2, 2), atol=1e-4)
