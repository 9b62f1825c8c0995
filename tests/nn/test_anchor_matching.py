"""Matching of boxes with anchors and cells against slow, plain code written from the formula."""

import math

import pytest
import torch

from defectbench.nn.anchor_matching import match_cells, shape_ratio
from defectbench.nn.detector import Targets

ANCHORS = torch.tensor([[[12.0, 20], [30, 24], [40, 60]], [[60.0, 40], [80, 90], [20, 90]]])
STRIDES = (16, 32)


def random_case(seed, batch=3, most=8, size=96):
    made = torch.Generator().manual_seed(seed)
    low = torch.rand(batch, most, 2, generator=made) * 70
    high = low + torch.rand(batch, most, 2, generator=made) * 60 + 4
    if seed % 2:  # centres on sides and middles of cells
        low = low.div(8).round() * 8
        high = torch.maximum(high.div(8).round() * 8, low + 8)
    boxes = torch.cat((low, high.clamp(max=size)), -1)
    labels = torch.randint(0, 4, (batch, most), generator=made)
    counts = torch.randint(0, most + 1, (batch,), generator=made)
    labels[torch.arange(most)[None] >= counts[:, None]] = -1
    return Targets(boxes * (labels >= 0).unsqueeze(-1), labels)


def plain(targets, height, width, neighbours, limit=2.0):
    """Set of (image, cell, anchor, box) of each level."""
    levels, first = [], 0
    for stride, anchors in zip(STRIDES, ANCHORS.tolist(), strict=True):
        columns, rows, found = math.ceil(width / stride), math.ceil(height / stride), set()
        for b in range(len(targets.labels)):
            for j in targets.valid[b].nonzero().flatten().tolist():
                x0, y0, x1, y1 = targets.boxes[b, j].tolist()
                w, h = x1 - x0, y1 - y0
                gx, gy = (x0 + x1) / 2 / stride, (y0 + y1) / 2 / stride
                own = min(int(gx), columns - 1), min(int(gy), rows - 1)
                cells = [own]
                if neighbours:
                    cells += [(own[0] - 1, own[1])] * (gx % 1 < 0.5 and gx > 1)
                    cells += [(own[0], own[1] - 1)] * (gy % 1 < 0.5 and gy > 1)
                    cells += [(int(gx) + 1, own[1])] * (gx % 1 > 0.5 and gx < columns - 1)
                    cells += [(own[0], int(gy) + 1)] * (gy % 1 > 0.5 and gy < rows - 1)
                for a, (aw, ah) in enumerate(anchors):
                    if max(w / aw, aw / w, h / ah, ah / h) < limit:
                        found |= {(b, first + y * columns + x, a, j) for x, y in cells}
        levels.append(found)
        first += columns * rows
    return levels


@pytest.mark.parametrize("neighbours", [True, False])
@pytest.mark.parametrize(("height", "width"), [(96, 96), (96, 128), (100, 100)])
@pytest.mark.parametrize("seed", range(6))
def test_agrees_with_plain_code(seed, height, width, neighbours):
    targets = random_case(seed)
    fits = shape_ratio(targets, ANCHORS) < 2
    found = match_cells(fits, targets, height, width, STRIDES, neighbours)
    for level, expected in zip(found, plain(targets, height, width, neighbours), strict=True):
        columns = (level.image, level.cell, level.anchor, level.box)
        rows = list(zip(*(c.tolist() for c in columns), strict=True))
        assert len(rows) == len(set(rows))
        assert set(rows) == expected


def test_a_box_is_learnt_in_at_most_three_cells_by_hand():
    targets = Targets(torch.tensor([[[30.0, 28, 54, 56]]]), torch.tensor([[1]]))
    (level,) = match_cells(torch.ones(1, 1, 1, 1).bool(), targets, 64, 64, (16,))
    # Centre (42, 42) = cell (2, 2), nearer to its right and lower side than to the others
    assert sorted(level.cell.tolist()) == [2 * 4 + 2, 2 * 4 + 3, 3 * 4 + 2]


def test_shape_ratio_by_hand():
    targets = Targets(torch.tensor([[[0.0, 0, 10, 30], [0, 0, 0, 0]]]), torch.tensor([[0, -1]]))
    ratio = shape_ratio(targets, torch.tensor([[[20.0, 30], [10, 5]]]))
    assert ratio.tolist() == [[[[2.0, 6.0]], [[math.inf, math.inf]]]]


@pytest.mark.parametrize("rows", [0, 3])
def test_without_boxes_there_is_no_match(rows):
    nothing = Targets(torch.zeros(2, rows, 4), torch.full((2, rows), -1))
    fits = shape_ratio(nothing, ANCHORS) < 2
    assert all(len(m.cell) == 0 for m in match_cells(fits, nothing, 96, 96, STRIDES))
