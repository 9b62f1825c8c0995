"""Augmentation: boxes go where the pixels go, and draws depend on nothing but seed and step."""

import pytest
import torch

from defectbench.base.methods import Augmentation
from defectbench.data.pack import load_pack
from defectbench.training.augment import Draws, augment, warp_boxes, warp_images, warp_matrix
from defectbench.training.batches import Batch, PackBatches
from defectbench.training.randomness import derived_seed


def square(size=32, box=(8, 12, 20, 18)):
    x0, y0, x1, y1 = box
    images = torch.zeros(1, 3, size, size, dtype=torch.uint8)
    images[..., y0:y1, x0:x1] = 255
    boxes = torch.tensor([[box, (0, 0, 0, 0)]], dtype=torch.float32)
    return Batch(images, boxes, torch.tensor([[1, -1]]), torch.tensor([7]))


def hull(image):
    rows, columns = (image[0] > 0.5).any(1).nonzero(), (image[0] > 0.5).any(0).nonzero()
    return [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1]


def test_nothing_asked_nothing_changed():
    batch = square()
    images, boxes, labels = augment(batch, Augmentation(), 0, 0)
    assert torch.equal(images, batch.images / 255)
    assert torch.equal(boxes, batch.boxes)
    assert torch.equal(labels, batch.labels)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (Augmentation(flip_lr=1.0), [12, 12, 24, 18]),
        (Augmentation(flip_ud=1.0), [8, 14, 20, 20]),
        (Augmentation(flip_lr=1.0, flip_ud=1.0), [12, 14, 24, 20]),
        (Augmentation(scale=(0.5, 0.5)), [12, 14, 18, 17]),
    ],
)
def test_boxes_and_pixels_move_exactly(settings, expected):
    images, boxes, labels = augment(square(), settings, 0, 0)
    assert boxes[0, 0].tolist() == pytest.approx(expected, abs=1e-4)
    assert hull(images[0]) == pytest.approx(expected, abs=1)
    assert labels.tolist() == [[1, -1]]


@pytest.mark.parametrize("step", range(12))
def test_random_warp_keeps_box_on_pixels(step):
    settings = Augmentation(scale=(0.7, 1.1), stretch=(0.9, 1.1), translate=0.1, flip_lr=0.5)
    images, boxes, _ = augment(square(64, (20, 24, 44, 40)), settings, 1, step)
    assert boxes[0, 0].tolist() == pytest.approx(hull(images[0]), abs=1.01)


def test_rotated_box_is_the_hull_of_its_corners():
    matrix = torch.tensor([[[0.0, -1, 32], [1, 0, 0]]])  # a quarter turn of a 32 px square
    assert warp_boxes(torch.tensor([[[8.0, 12, 20, 18]]]), matrix, 32)[0, 0].tolist() == [
        14,
        8,
        20,
        20,
    ]
    moved = warp_images(square().images.float() / 255, matrix)
    assert hull(moved[0]) == [14, 8, 20, 20]


def test_box_that_leaves_the_canvas_becomes_padding():
    matrix_settings = Augmentation(scale=(8.0, 8.0))
    images, boxes, labels = augment(square(32, (0, 0, 3, 3)), matrix_settings, 0, 0)
    assert labels.tolist() == [[-1, -1]]
    assert boxes.abs().sum() == 0
    assert images.shape == (1, 3, 32, 32)


def test_values_stay_in_range():
    settings = Augmentation(
        brightness=0.5, contrast=(0.2, 2.0), saturation=(0.0, 3.0), noise_std=0.2
    )
    images, _, _ = augment(square(), settings, 0, 3)
    assert 0 <= images.min() <= images.max() <= 1


def test_draws_depend_on_seed_step_and_purpose_alone():
    def draw(seed, step, purpose):
        return Draws(seed, step, 4, torch.device("cpu")).uniform(purpose, 0, 1).flatten().tolist()

    assert draw(0, 1, "flip") == draw(0, 1, "flip")
    assert (
        len({tuple(draw(*key)) for key in [(0, 1, "a"), (1, 1, "a"), (0, 2, "a"), (0, 1, "b")]})
        == 4
    )
    assert derived_seed(0, 1, "a") != derived_seed(0, 11, "a")


def test_still_settings_need_no_warp():
    draws = Draws(0, 0, 2, torch.device("cpu"))
    assert warp_matrix(Augmentation(brightness=0.2), draws, 32) is None


def test_mosaic_keeps_boxes_inside_their_tiles(pack_path):
    batches = PackBatches(load_pack(pack_path), 4, 0)
    batch = batches.take(batches.order(0), 0)
    images, boxes, labels = augment(batch, Augmentation(mosaic=1.0), 0, 0, batches)
    assert images.shape == batch.images.shape
    assert boxes.shape[1] == 4 * batch.boxes.shape[1]
    alive = labels >= 0
    assert alive.any()
    sides = (boxes[..., 2:] - boxes[..., :2])[alive]
    assert sides.min() >= 2
    assert boxes[alive].min() >= 0
    assert boxes[alive].max() <= 32


def test_every_epoch_serves_each_image_at_most_once(pack_path):
    batches = PackBatches(load_pack(pack_path), 4, 0)
    assert batches.steps_per_epoch == 3
    orders = [batches.order(epoch) for epoch in range(3)]
    assert all(sorted(order.tolist()) == list(range(14)) for order in orders)
    assert orders[0].tolist() != orders[1].tolist()
