"""Mosaics against a canvas that is built pixel by pixel, one image at a time."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from defectbench.base.methods import Augmentation
from defectbench.training.augment import Draws, augment, warp_matrix
from defectbench.training.batches import PackBatches

BATCH, MOST, SMOOTH = 4, 3, 1e-4
WARPS = [
    Augmentation(),
    Augmentation(scale=(0.5, 1.5), translate=0.1, flip_lr=0.5),
    Augmentation(scale=(0.1, 1.9), translate=0.245, rotate_deg=20, flip_ud=0.5, flip_lr=0.5),
    Augmentation(scale=(0.4, 0.6), stretch=(0.8, 1.2), translate=0.3, fill=0.447),
]


class Part(SimpleNamespace):
    """As much of a pack as batches need."""

    whole = None

    def __len__(self):
        return len(self.images)


def part(size, count=9):
    """Images of noise with up to three boxes; the last image has none."""
    g = torch.Generator().manual_seed(0)
    low = (torch.rand(count, MOST, 2, generator=g) * (0.7 * size)).round()
    high = low + 2 + (torch.rand(count, MOST, 2, generator=g) * (0.3 * size - 2)).round()
    labels = torch.randint(0, 5, (count, MOST), generator=g)
    labels[0, 1:] = labels[-1] = -1
    boxes = torch.cat((low, high), -1) * (labels >= 0).unsqueeze(-1)
    images = torch.randint(0, 256, (count, 3, size, size), generator=g).to(torch.uint8)
    truth = {"boxes": boxes, "labels": labels, "image_ids": torch.arange(count)}
    return Part(images=images, **truth, scale=torch.ones(count), path="part")


def run(pack, settings, step, seed=5):
    """A batch with the box-less last image in it; its augmentation; the draws behind it."""
    source = PackBatches(pack, BATCH, seed)
    rows = torch.tensor([*range(BATCH - 1), len(pack) - 1])
    size = pack.images.shape[-1]
    draws = Draws(seed, step, BATCH, torch.device("cpu"))
    matrix = warp_matrix(settings, draws, size)
    middle = size if settings.mosaic_form == "whole" else size / 2
    drawn = SimpleNamespace(
        rows=torch.cat(
            (rows[:, None], draws.uniform("mosaic rows", 0, len(pack), 3).long()), 1
        ).tolist(),
        centre=draws.uniform("mosaic centre", middle / 2, middle * 1.5, 2).round().int().tolist(),
        chosen=draws.chance("mosaic?", settings.mosaic).tolist(),
        matrix=torch.eye(2, 3).expand(BATCH, 2, 3) if matrix is None else matrix,
    )
    return augment(source.rows(rows), settings, seed, step, source), drawn


def canvas_of(pack, rows, centre, size, fill):
    """The canvas [2S, 2S, 3] of four whole images, and boxes on it."""
    canvas = np.full((2 * size, 2 * size, 3), fill, dtype=np.float64)
    boxes = []
    for tile, row in enumerate(rows):
        left = centre[0] - (size if tile in (0, 2) else 0)
        top = centre[1] - (size if tile in (0, 1) else 0)
        for y, x in itertools.product(range(size), repeat=2):
            if 0 <= top + y < 2 * size and 0 <= left + x < 2 * size:
                canvas[top + y, left + x] = pack.images[row, :, y, x].numpy() / 255
        for box, label in zip(pack.boxes[row].tolist(), pack.labels[row].tolist(), strict=True):
            moved = [v + (left, top)[k % 2] for k, v in enumerate(box)]
            boxes.append(([min(max(v, 0), 2 * size) for v in moved], label))
    return canvas, boxes


def lone_canvas(pack, row, size, fill):
    """One image in the middle of a canvas."""
    canvas, boxes = canvas_of(pack, [row], [size * 3 // 2] * 2, size, fill)
    return canvas, boxes + [([0, 0, 0, 0], -1)] * (3 * MOST)


def warp_by_pixel(canvas, matrix, size, fill):
    """The warp of a canvas [2S, 2S, 3] and which output pixels do not lie across its edge."""
    inverse = np.linalg.inv(matrix[:, :2])
    out, clear = np.full((size, size, 3), fill), np.zeros((size, size), bool)
    for y, x in itertools.product(range(size), repeat=2):
        u, v = inverse @ (np.array([x + 0.5, y + 0.5]) - matrix[:, 2]) + size / 2 - 0.5
        i, j = int(np.floor(u)), int(np.floor(v))
        value, within = np.zeros(3), set()
        for k, m in itertools.product((i, i + 1), (j, j + 1)):
            inside = 0 <= k < 2 * size and 0 <= m < 2 * size
            weight = (1 - abs(u - k)) * (1 - abs(v - m))
            value += weight * (canvas[m, k] if inside else fill)
            within.add(inside)
        # ours ends sharply at that edge, this one over a pixel
        out[y, x], clear[y, x] = value, len(within) == 1
    return out, clear


def warp_box(box, matrix, size):
    """Hull of a box on the canvas after the warp, clipped to the output."""
    corners = [np.array([box[i], box[j]]) - size / 2 for i in (0, 2) for j in (1, 3)]
    points = [matrix[:, :2] @ corner + matrix[:, 2] for corner in corners]
    hull = [*np.min(points, 0), *np.max(points, 0)]
    return [min(max(v, 0), size) for v in hull]


def survives(box, hull, matrix, settings):
    """The filter of YOLOv5 and YOLOv8 in plain words."""
    w, h = hull[2] - hull[0], hull[3] - hull[1]
    before = (box[2] - box[0]) * (box[3] - box[1]) * abs(np.linalg.det(matrix[:, :2]))
    if before == 0 or w <= settings.min_side_px or h <= settings.min_side_px:
        return False
    if settings.min_visible and w * h / before <= settings.min_visible:
        return False
    return not settings.min_side_px or max(w / h, h / w) < 100


def assert_boxes(boxes, labels, expected):
    for box, label, (wanted, wanted_label) in zip(boxes, labels, expected, strict=True):
        assert label == wanted_label
        assert box.tolist() == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize("step", range(2))
@pytest.mark.parametrize("chance", [0.5, 1.0])
@pytest.mark.parametrize("size", [16, 24])
@pytest.mark.parametrize("warp", range(len(WARPS)))
def test_whole_images_agree_with_a_canvas_built_by_pixel(warp, size, chance, step):
    update = {"mosaic": chance, "min_side_px": 2.0, "min_visible": 0.1} if warp else {"mosaic": 1.0}
    settings = WARPS[warp].model_copy(update=update)
    pack, fill = part(size), round(255 * settings.fill) / 255
    (images, boxes, labels), drawn = run(pack, settings, step)
    for b in range(BATCH):
        matrix = drawn.matrix[b].double().numpy()
        if drawn.chosen[b]:
            made = canvas_of(pack, drawn.rows[b], drawn.centre[b], size, fill)
        else:
            made = lone_canvas(pack, drawn.rows[b][0], size, fill)
        canvas, truth = made
        wanted, clear = warp_by_pixel(canvas, matrix, size, fill)
        seen = images[b].permute(1, 2, 0).double().numpy()
        np.testing.assert_allclose(seen[clear], wanted[clear], atol=SMOOTH)
        assert clear.mean() > 0.5
        hulls = [(box, warp_box(box, matrix, size), label) for box, label in truth]
        expected = [
            (hull, label)
            if label >= 0 and survives(box, hull, matrix, settings)
            else ([0, 0, 0, 0], -1)
            for box, hull, label in hulls
        ]
        assert_boxes(boxes[b], labels[b].tolist(), expected)


def test_half_of_the_images_are_mosaics_and_the_others_get_the_plain_warp():
    settings = WARPS[1].model_copy(update={"mosaic": 0.5, "fill": 0.447})
    pack, plain = part(32), WARPS[1].model_copy(update={"fill": 0.447})
    both = set()
    for step in range(4):
        (images, boxes, labels), drawn = run(pack, settings, step)
        (alone, own, names), _ = run(pack, plain, step)
        both |= set(drawn.chosen)
        for b in (b for b in range(BATCH) if not drawn.chosen[b]):
            torch.testing.assert_close(images[b], alone[b], atol=SMOOTH, rtol=0)
            torch.testing.assert_close(boxes[b, :MOST], own[b], atol=1e-4, rtol=0)
            assert labels[b, :MOST].tolist() == names[b].tolist()
            assert (labels[b, MOST:] == -1).all()
            assert boxes[b, MOST:].abs().sum() == 0
    assert both == {True, False}


def test_at_half_zoom_the_whole_canvas_is_seen():
    settings = Augmentation(mosaic=1.0, scale=(0.5, 0.5), fill=1.0)
    pack = part(32)
    pack.images[:] = torch.arange(10, 10 + len(pack)).to(torch.uint8)[:, None, None, None]
    (images, _, _), drawn = run(pack, settings, 0)
    for b in range(BATCH):
        levels = set((images[b, 0] * 255).round().int().flatten().tolist())
        assert {10 + row for row in drawn.rows[b]} <= levels
        seen = np.prod([64 - abs(v - 32) for v in drawn.centre[b]]) / 4
        assert (images[b, 0] == 1).sum() == pytest.approx(32 * 32 - seen, abs=64)


def painted_part(size):
    """Dark images, each but the last with one rectangle at its box, in a grey for its label."""
    pack = part(size)
    pack.labels[:, 1:], pack.boxes[:, 1:], pack.images[:] = -1, 0, 20
    for image, box, label in zip(pack.images[:-1], pack.boxes, pack.labels, strict=False):
        x0, y0, x1, y1 = box[0].int().tolist()
        image[:, y0:y1, x0:x1] = 100 + 30 * label[0]
    return pack


@pytest.mark.parametrize("form", ["whole", "windows"])
@pytest.mark.parametrize("step", range(3))
def test_painted_boxes_stay_where_their_boxes_say(form, step):
    settings = WARPS[1].model_copy(update={"mosaic": 0.7, "mosaic_form": form})
    (images, boxes, labels), _ = run(painted_part(64), settings, step)
    bright = images[:, 0] > 60 / 255
    covered = torch.zeros_like(bright)
    for b, m in (labels >= 0).nonzero().tolist():
        x0, y0, x1, y1 = boxes[b, m].tolist()
        covered[b, max(int(y0) - 1, 0) : int(y1) + 2, max(int(x0) - 1, 0) : int(x1) + 2] = True
        rows, columns = (slice(int(v) + 2, max(int(w) - 2, 0)) for v, w in ((y0, y1), (x0, x1)))
        inner = images[b, 0, rows, columns]
        assert inner.numpy() == pytest.approx((100 + 30 * int(labels[b, m])) / 255, abs=1e-3)
    assert (labels >= 0).sum() > 1
    # what is narrower than two pixels of a window loses its box
    assert (bright & ~covered).float().mean() <= (0 if form == "whole" else 0.002)


@pytest.mark.parametrize("step", range(3))
def test_windows_show_the_same_place_of_four_images(step):
    settings = Augmentation(mosaic=0.6, mosaic_form="windows")
    pack, size = part(32), 32
    (images, boxes, labels), drawn = run(pack, settings, step)
    for b, (rows, (cx, cy)) in enumerate(zip(drawn.rows, drawn.centre, strict=True)):
        picture, expected = np.zeros((3, size, size)), []
        corners = [(0, 0, cx, cy), (cx, 0, size, cy), (0, cy, cx, size), (cx, cy, size, size)]
        if not drawn.chosen[b]:
            corners = [(0, 0, size, size)] + [(0, 0, 0, 0)] * 3
        for row, (x0, y0, x1, y1) in zip(rows, corners, strict=True):
            picture[:, y0:y1, x0:x1] = pack.images[row, :, y0:y1, x0:x1].numpy() / 255
            for box, label in zip(pack.boxes[row].tolist(), pack.labels[row].tolist(), strict=True):
                cut = [max(box[0], x0), max(box[1], y0), min(box[2], x1), min(box[3], y1)]
                kept = label >= 0 and cut[2] - cut[0] >= 2 and cut[3] - cut[1] >= 2
                expected.append((cut, label) if kept else ([0, 0, 0, 0], -1))
        np.testing.assert_allclose(images[b].numpy(), picture, atol=1e-6)
        assert_boxes(boxes[b], labels[b].tolist(), expected)


def test_a_mosaic_depends_on_seed_and_step_alone():
    pack = part(16)
    settings = WARPS[2].model_copy(update={"mosaic": 0.5})
    first, again = (run(pack, settings, 3)[0] for _ in range(2))
    assert all(torch.equal(x, y) for x, y in zip(first, again, strict=True))
    assert not torch.equal(first[0], run(pack, settings, 4)[0][0])


def test_images_without_boxes_make_mosaics_without_boxes():
    pack = part(16)
    pack.labels[:], pack.boxes[:] = -1, 0
    (images, boxes, labels), _ = run(pack, WARPS[1].model_copy(update={"mosaic": 1.0}), 0)
    assert images.shape == (BATCH, 3, 16, 16)
    assert (labels == -1).all()
    assert boxes.abs().sum() == 0
