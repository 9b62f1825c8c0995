"""Boxes of pictures: python run_model.py picture.png ...; needs model.onnx beside it, onnxruntime, numpy and PIL."""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

HERE = Path(__file__).parent
MODEL = onnxruntime.InferenceSession(HERE / "model.onnx", providers=["CPUExecutionProvider"])
TOLD = MODEL.get_modelmeta().custom_metadata_map
SIZE, NAMES = int(TOLD["size"]), json.loads(TOLD["names"])
THRESHOLD = json.loads((HERE / "operating_point.json").read_text(encoding="utf-8"))["figures"][
    "threshold"
]


def weights(old: int, new: int, shrinks: bool) -> np.ndarray:
    """How much each old pixel counts in each new one: areas where it shrinks, else the nearest two."""
    scale, pixel = old / new, np.arange(old)
    low = np.arange(new)[:, None] * scale
    if shrinks:
        return np.clip(np.minimum(low + scale, pixel + 1) - np.maximum(low, pixel), 0, None) / scale
    return np.clip(1 - abs(np.clip(low + scale / 2 - 0.5, 0, old - 1) - pixel), 0, None)


def detect(path: str) -> list[tuple[str, float, list[float]]]:
    """Class, score and corners x0, y0, x1, y1 in pixels, the best first."""
    image = np.asarray(Image.open(path).convert("RGB"), np.float64)
    height, width = image.shape[:2]
    scale = SIZE / max(height, width)
    w, h = max(1, round(width * scale)), max(1, round(height * scale))
    x, y = (SIZE - w) // 2, (SIZE - h) // 2
    rows = np.tensordot(weights(height, h, scale < 1), image, 1)
    square = np.full((SIZE, SIZE, 3), 114.0)
    square[y : y + h, x : x + w] = np.tensordot(
        weights(width, w, scale < 1), rows, (1, 1)
    ).swapaxes(0, 1)
    square = np.rint(square).transpose(2, 0, 1)[None].astype(np.float32) / 255
    boxes, scores = (
        np.asarray(out)[0] for out in MODEL.run(["boxes", "scores"], {"images": square})
    )
    points, labels = np.nonzero(scores > THRESHOLD)
    kept: list[tuple[str, float, np.ndarray]] = []
    for n in np.argsort(-scores[points, labels], kind="stable"):
        box, name = boxes[points[n]], NAMES[labels[n]]
        if all(name != other or iou(box, rival) <= 0.6 for other, _, rival in kept):
            kept.append((name, float(scores[points[n], labels[n]]), box))
    limits = [width, height, width, height]
    found = [
        (name, score, np.clip((box - [x, y, x, y]) / scale, 0, limits))
        for name, score, box in kept[:100]
    ]
    return [(name, score, box.tolist()) for name, score, box in found if (box[2:] > box[:2]).all()]


def iou(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union."""
    shared = np.prod(np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None))
    return float(shared / max(np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - shared, 1e-9))


if __name__ == "__main__":
    print(json.dumps({path: detect(path) for path in sys.argv[1:]}, indent=1))  # noqa: T201
