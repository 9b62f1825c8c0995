"""Augmentation: boxes go where the pixels go, and draws depend on nothing but seed and step."""

import pytest
import torch

from defectbench.base.methods import Augmentation
from defectbench.data.pack import load_pack
from defectbench.training.augment import (
    Draws,
    augment,
    enough_left,
    sample,
    warp_boxes,
    warp_grid,
    warp_matrix,
)
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
    moved = sample(square().images.float() / 255, warp_grid(matrix, 32))
    assert hull(moved[0]) == [14, 8, 20, 20]


def test_box_that_leaves_the_canvas_becomes_padding():
    matrix_settings = Augmentation(scale=(8.0, 8.0))
    images, boxes, labels = augment(square(32, (0, 0, 3, 3)), matrix_settings, 0, 0)
    assert labels.tolist() == [[-1, -1]]
    assert boxes.abs().sum() == 0
    assert images.shape == (1, 3, 32, 32)


def test_what_a_warp_uncovers_is_filled():
    images, _, _ = augment(square(), Augmentation(scale=(0.5, 0.5), fill=0.447), 0, 0)
    assert images[0, :, :7].flatten().tolist() == pytest.approx([114 / 255] * (3 * 7 * 32))
    assert images[0, :, 10:13, 9:23].abs().max() < 1e-6  # the dark of the image itself


@pytest.mark.parametrize(
    ("box", "left"),
    [
        ((2, 2, 4.1, 4.1), True),
        ((2, 2, 4, 8), False),  # not more than 2 px wide
        ((30, 10, 32, 40), False),
        ((0, 10, 3, 31), True),
        ((-27, 10, 3, 31), False),  # a tenth of it is in the picture
        ((-26, 10, 3, 31), True),
        ((1, 0, 3.1, 250), False),  # more than a hundred times as high as wide
    ],
)
@pytest.mark.parametrize("zoom", [1.0, 0.5])
def test_boxes_of_which_too_little_is_left_are_dropped(box, left, zoom):
    settings = Augmentation(min_side_px=2.0, min_visible=0.1)
    matrix = torch.tensor([[[zoom, 0.0, 0.0], [0.0, -zoom, 0.0]]])
    after = torch.tensor([[box]]).clamp(0)
    before = torch.tensor([[box]]) / zoom  # so that the warp brings it to its place
    assert enough_left(before, after, matrix, settings).tolist() == [[left]]
    assert enough_left(before, after, matrix, Augmentation()).tolist() == [[True]]


def test_the_filter_works_without_a_warp():
    batch = square(32, (8, 12, 10, 18))
    assert augment(batch, Augmentation(min_side_px=2.0), 0, 0)[2].tolist() == [[-1, -1]]
    assert augment(batch, Augmentation(min_side_px=1.9), 0, 0)[2].tolist() == [[1, -1]]


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


@pytest.mark.parametrize("form", ["whole", "windows"])
def test_mosaic_keeps_boxes_inside_the_picture(pack_path, form):
    batches = PackBatches(load_pack(pack_path), 4, 0)
    batch = batches.take(batches.order(0), 0)
    images, boxes, labels = augment(
        batch, Augmentation(mosaic=1.0, mosaic_form=form), 0, 0, batches
    )
    assert images.shape == batch.images.shape
    assert boxes.shape[1] == 4 * batch.boxes.shape[1]
    alive = labels >= 0
    assert alive.any()
    sides = (boxes[..., 2:] - boxes[..., :2])[alive]
    assert sides.min() >= (2 if form == "windows" else 0)
    assert boxes[alive].min() >= 0
    assert boxes[alive].max() <= 32


@pytest.mark.parametrize(("batch", "sizes"), [(4, [3, 4, 3, 4]), (5, [4, 5, 5]), (14, [14])])
def test_every_epoch_serves_each_image_once_in_batches_of_about_one_size(pack_path, batch, sizes):
    pack = load_pack(pack_path)
    batches = PackBatches(pack, batch, 0)
    orders = [batches.order(epoch) for epoch in range(2)]
    assert orders[0].tolist() != orders[1].tolist()
    for order in orders:
        served = [batches.take(order, place).image_ids for place in range(batches.steps_per_epoch)]
        assert [len(ids) for ids in served] == sizes
        assert sorted(torch.cat(served).tolist()) == sorted(pack.image_ids.tolist())
