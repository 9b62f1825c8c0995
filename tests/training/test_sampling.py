"""Balanced orders: counts by hand, shares in the long run, nothing but seed and epoch."""

import pytest
import torch

from defectbench.base.errors import CompressionError
from defectbench.training.sampling import balanced_subset, class_balanced_order

LABELS = torch.tensor([0] * 90 + [1] * 9 + [2])


def test_an_order_has_as_many_draws_as_images():
    order = class_balanced_order(LABELS, seed=0, epoch=0)
    assert order.shape == (100,)
    assert order.dtype == torch.int64
    assert 0 <= int(order.min()) <= int(order.max()) < 100


def test_classes_weigh_the_same_and_images_of_a_class_too():
    orders = torch.cat([class_balanced_order(LABELS, 0, epoch) for epoch in range(300)])
    shares = torch.bincount(LABELS[orders], minlength=3) / len(orders)
    # 30,000 draws: three standard deviations are 0.8 points
    torch.testing.assert_close(shares, torch.full((3,), 1 / 3), atol=0.01, rtol=0)
    images = torch.bincount(orders[LABELS[orders] == 1] - 90, minlength=9) / len(orders)
    torch.testing.assert_close(images, torch.full((9,), 1 / 27), atol=0.005, rtol=0)


def test_an_order_depends_on_seed_and_epoch_only():
    one = class_balanced_order(LABELS, 3, 4)
    torch.rand(5)
    assert torch.equal(one, class_balanced_order(LABELS, 3, 4))
    assert not torch.equal(one, class_balanced_order(LABELS, 3, 5))
    assert not torch.equal(one, class_balanced_order(LABELS, 4, 4))


def test_a_class_without_images_is_no_matter():
    labels = torch.tensor([0, 0, 5])
    assert set(labels[class_balanced_order(labels, 0, 0)].tolist()) <= {0, 5}


@pytest.mark.parametrize(
    ("count", "classes"),
    [(3, [1, 1, 1]), (5, [2, 2, 1]), (19, [9, 9, 1]), (40, [30, 9, 1]), (640, [90, 9, 1])],
)
def test_a_subset_is_as_even_as_can_be(count, classes):
    rows = balanced_subset(LABELS, count, seed=0)
    assert torch.bincount(LABELS[rows], minlength=3).tolist() == classes
    assert rows.tolist() == sorted(set(rows.tolist()))


def test_a_subset_depends_on_its_seed():
    assert torch.equal(balanced_subset(LABELS, 19, 1), balanced_subset(LABELS, 19, 1))
    assert not torch.equal(balanced_subset(LABELS, 19, 1), balanced_subset(LABELS, 19, 2))


def test_nothing_to_draw_is_a_named_error():
    nothing = torch.zeros(0, dtype=torch.long)
    for draw in (
        lambda: class_balanced_order(nothing, 0, 0),
        lambda: balanced_subset(nothing, 1, 0),
    ):
        with pytest.raises(CompressionError, match="at least one image"):
            draw()
    with pytest.raises(CompressionError, match="at least one image"):
        balanced_subset(LABELS, 0, 0)
