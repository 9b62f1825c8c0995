"""From the boxes of tiles to the boxes of their image: pieces are joined, then suppressed once over the whole image.

Neighbouring tiles overlap, and what both see of an object agrees. That tells which boxes belong together:

- A box that ends at an inner border of its tile is a *piece*: it may go on in the tiles beyond.
- Two boxes of one class from two tiles are *linked* where one of them is such a piece and the two, cut to what both
  tiles see, overlap at IoU 0.5 or more; and where neither is, but they overlap more than suppression allows.
- By falling score, a box takes from each other tile one linked box, that with the highest product of score and overlap.
  Where it is a piece that goes on there, it grows to hold both, and grows on from the new one; else the other is a
  second sight of it and goes. The joined box has the score of its best member.
- A box that still ends at an inner border, and lies for the most part in a better box of its class, is a piece of that
  one which its tile misjudged, and goes.

What is left passes the suppression that all methods share, as the boxes of a whole image do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .nms import IOU_THRESHOLD, nms

BORDER = 0.01  # of a tile's side: so near to an inner border a box ends at it
AGREEMENT = 0.5  # least IoU of two boxes in what both tiles see
SAME_SIDE = 1.0  # pixels: nearer sides are one
PIECE = 0.7  # share of a piece that lies in the box that it is a piece of

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Detections = tuple[NDArray[Any], NDArray[Any], NDArray[np.int64]]  # boxes, scores, labels


def merge_tiles(
    windows: Integers, size: Sequence[int], tiles: Sequence[Detections], score_threshold: float
) -> tuple[Floats, Floats, Integers]:
    """The boxes of an image, from those of its tiles.

    Args:
        windows: [T, 4], x0, y0, x1, y1 of the tiles in the image.
        size: Width and height of the image, pixels.
        tiles: Boxes [K, 4] in pixels from the tile's corner, scores [K] and labels [K], by tile.
        score_threshold: Scores at or below it are left out.

    Returns:
        Boxes [N, 4] in pixels of the image, scores [N] and labels [N], best first.
    """
    pieces = _pieces(windows, size, tiles)
    boxes, scores, labels, is_open = _joined(pieces, _links(pieces, windows))
    kept = _without_pieces(boxes, labels, is_open)
    boxes, scores, labels = boxes[kept], scores[kept], labels[kept]
    table = np.zeros((len(boxes), int(labels.max(initial=0)) + 1))
    table[np.arange(len(boxes)), labels] = scores
    best, ranked, names = nms(boxes, table, score_threshold)
    return np.asarray(best, np.float64), np.asarray(ranked, np.float64), names


@dataclass(frozen=True)
class _Pieces:
    """The boxes of all tiles of an image.

    Attributes:
        boxes: [D, 4], pixels of the image.
        scores: [D].
        labels: [D].
        tile: [D], which tile each comes from.
        ends: [D, 4], whether it ends at an inner border of its tile: left, top, right, bottom.
    """

    boxes: Floats
    scores: Floats
    labels: Integers
    tile: Integers
    ends: NDArray[np.bool_]


@dataclass(frozen=True)
class _Link:
    """Another box that is, or belongs to, the same object.

    Attributes:
        other: Its position.
        overlap: IoU of the two in what both tiles see.
        grows: Whether this box goes on in the other's tile.
    """

    other: int
    overlap: float
    grows: bool


def _pieces(windows: Integers, size: Sequence[int], tiles: Sequence[Detections]) -> _Pieces:
    boxes, tile = [np.zeros((0, 4))], [np.zeros(0, np.int64)]
    for number, (window, (of_tile, _, _)) in enumerate(zip(windows, tiles, strict=True)):
        corner = np.tile(window[:2], 2).astype(np.float64)
        moved = np.asarray(of_tile, np.float64).reshape(-1, 4) + corner
        boxes.append(np.clip(moved, corner, np.tile(window[2:], 2)))
        tile.append(np.full(len(moved), number))
    all_boxes, all_tiles = np.concatenate(boxes), np.concatenate(tile)
    scores = np.concatenate([np.zeros(0), *(np.asarray(s, np.float64) for _, s, _ in tiles)])
    labels = np.concatenate([np.zeros(0, np.int64), *(of_tile[2] for of_tile in tiles)])
    borders = windows[all_tiles]
    sides = borders[:, 2:] - borders[:, :2]
    near = np.abs(all_boxes - borders) <= BORDER * np.tile(sides, 2)
    inner = np.concatenate([borders[:, :2] > 0, borders[:, 2:] < np.asarray(size)], axis=1)
    return _Pieces(all_boxes, scores, labels, all_tiles, near & inner)


def _links(pieces: _Pieces, windows: Integers) -> list[list[_Link]]:
    """Which boxes of other tiles each may be joined with."""
    links: list[list[_Link]] = [[] for _ in pieces.tile]
    of_tile = [np.flatnonzero(pieces.tile == number) for number in range(len(windows))]
    low = np.maximum(windows[:, None, :2], windows[None, :, :2])
    high = np.minimum(windows[:, None, 2:], windows[None, :, 2:])
    filled = np.array([len(some) > 0 for some in of_tile], bool)
    overlapping = np.triu((low < high).all(axis=2) & filled[:, None] & filled[None], 1)
    for a, b in np.argwhere(overlapping).tolist():
        _link_tiles(pieces, windows[a], windows[b], of_tile[a], of_tile[b], links)
    return links


def _link_tiles(
    pieces: _Pieces,
    window_a: Integers,
    window_b: Integers,
    of_a: Integers,
    of_b: Integers,
    links: list[list[_Link]],
) -> None:
    """Link the boxes of two tiles that overlap."""
    low = np.maximum(window_a[:2], window_b[:2])
    high = np.minimum(window_a[2:], window_b[2:])
    of_a, of_b = (_within(pieces, some, low, high) for some in (of_a, of_b))
    if not (len(of_a) and len(of_b)):
        return
    a_grows = _any_side(pieces.ends[of_a] & _beyond(window_b, window_a))
    b_grows = _any_side(pieces.ends[of_b] & _beyond(window_a, window_b))
    boxes_a, boxes_b = pieces.boxes[of_a], pieces.boxes[of_b]
    both = np.concatenate([low, low]), np.concatenate([high, high])
    shared = _iou(np.clip(boxes_a, *both), np.clip(boxes_b, *both))
    is_piece = a_grows[:, None] | b_grows[None]
    overlap = np.where(is_piece, shared, _iou(boxes_a, boxes_b))
    linked = np.where(is_piece, overlap >= AGREEMENT, overlap > IOU_THRESHOLD)
    linked &= pieces.labels[of_a][:, None] == pieces.labels[of_b][None]
    for row, column in np.argwhere(linked).tolist():
        first, second, value = int(of_a[row]), int(of_b[column]), float(overlap[row, column])
        links[first].append(_Link(second, value, bool(a_grows[row])))
        links[second].append(_Link(first, value, bool(b_grows[column])))


def _any_side(sides: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.asarray(sides.any(axis=1), np.bool_)


def _within(pieces: _Pieces, some: Integers, low: Integers, high: Integers) -> Integers:
    """Those of some boxes that lie in a rectangle in part at least."""
    boxes = pieces.boxes[some]
    return some[(boxes[:, :2] < high).all(axis=1) & (boxes[:, 2:] > low).all(axis=1)]


def _beyond(window: Integers, other: Integers) -> NDArray[np.bool_]:
    """On which sides a tile reaches further than another one: left, top, right, bottom."""
    return np.concatenate([window[:2] < other[:2], window[2:] > other[2:]])


def _iou(first: Floats, second: Floats) -> Floats:
    """IoU [A, B] of boxes x0, y0, x1, y1."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.prod(np.maximum(high - low, 0.0), axis=2)
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (first, second)]
    union = areas[0][:, None] + areas[1][None] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def _joined(
    pieces: _Pieces, links: list[list[_Link]]
) -> tuple[Floats, Floats, Integers, NDArray[np.bool_]]:
    """Join linked boxes, best first: boxes, scores, labels, and whether each still ends at an inner border."""
    free = np.ones(len(pieces.tile), bool)
    boxes, seeds, open_ends = [], [], []
    for seed in np.argsort(-pieces.scores, kind="stable").tolist():
        if not free[seed]:
            continue
        members = _members(seed, pieces, links, free)
        parts = pieces.boxes[members]
        hull = np.concatenate([parts[:, :2].min(axis=0), parts[:, 2:].max(axis=0)])
        boxes.append(hull)
        seeds.append(seed)
        outermost = np.abs(parts - hull) < SAME_SIDE
        told = outermost & ~pieces.ends[members]  # a member that ends there and sees beyond
        open_ends.append(bool((~told.any(axis=0)).any()))
    chosen = np.array(seeds, np.int64)
    hulls = np.array(boxes, np.float64).reshape(-1, 4)
    return hulls, pieces.scores[chosen], pieces.labels[chosen], np.array(open_ends, bool)


def _members(
    seed: int, pieces: _Pieces, links: list[list[_Link]], free: NDArray[np.bool_]
) -> list[int]:
    """The boxes that make up the object of a box; all that are seen to belong to it are no longer free."""
    free[seed] = False
    members, waiting, asked = [seed], [seed], {int(pieces.tile[seed])}
    while waiting:
        best: dict[int, _Link] = {}
        for link in links[waiting.pop(0)]:
            tile = int(pieces.tile[link.other])
            if not free[link.other] or tile in asked:
                continue
            if tile not in best or _worth(link, pieces) > _worth(best[tile], pieces):
                best[tile] = link
        asked |= set(best)
        for link in best.values():
            free[link.other] = False
            if link.grows:
                members.append(link.other)
                waiting.append(link.other)
    return members


def _worth(link: _Link, pieces: _Pieces) -> float:
    return float(pieces.scores[link.other]) * link.overlap


def _without_pieces(
    boxes: Floats, labels: Integers, is_open: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Which boxes stay: not those that end at an inner border and lie in a better one of their class."""
    kept = np.ones(len(boxes), bool)
    for n in np.flatnonzero(is_open).tolist():  # best first, as they were joined
        better = np.flatnonzero(kept[:n] & (labels[:n] == labels[n]))
        low = np.maximum(boxes[better, :2], boxes[n, :2])
        high = np.minimum(boxes[better, 2:], boxes[n, 2:])
        inside = np.prod(np.maximum(high - low, 0.0), axis=1)
        area = np.prod(boxes[n, 2:] - boxes[n, :2])
        kept[n] = not (inside >= PIECE * area).any()
    return kept
