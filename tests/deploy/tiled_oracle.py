"""What a perfect detector says of the tiles of an image: its true boxes, cut at each tile."""

import numpy as np

from defectbench.data.tiling import cut_to, tile_windows
from defectbench.deploy.merge import merge_tiles
from defectbench.measure.evaluator import score


def cut_truth(boxes, labels, windows, scores=None):
    """Boxes [K, 4] of an image as detections of each tile that shows any part of them."""
    scores = np.ones(len(boxes)) if scores is None else scores
    tiles = []
    for window in windows:
        parts = cut_to(boxes, window)
        shown = (parts[:, 2:] > parts[:, :2]).all(axis=1)
        tiles.append((parts[shown], scores[shown], labels[shown]))
    return tiles


def merged_truth(boxes, labels, size, tiling):
    """The boxes that the tiles' oracle gives of a whole image."""
    windows = tile_windows(*size, tiling)
    return merge_tiles(windows, size, cut_truth(boxes, labels, windows), 0.001)


def oracle_score(truth, tiling):
    """Score of the tiles' oracle against the whole truth."""
    results = []
    for image in truth["images"]:
        rows = [box for box in truth["annotations"] if box["image_id"] == image["id"]]
        boxes = np.array([box["bbox"] for box in rows], np.float64).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        labels = np.array([box["category_id"] for box in rows], np.int64)
        size = (image["width"], image["height"])
        for box, value, label in zip(*merged_truth(boxes, labels, size, tiling), strict=True):
            sides = [*box[:2], *(box[2:] - box[:2])]
            results.append(
                {
                    "image_id": image["id"],
                    "category_id": int(label),
                    "bbox": sides,
                    "score": float(value),
                }
            )
    return score(truth, results)
