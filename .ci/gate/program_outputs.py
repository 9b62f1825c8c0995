"""Whether the model file of a foreign program finds what the program itself finds with its own weights."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

PROGRAMS = Path("workflow") / "programs"
IMAGES = 3
# of a probability and of a pixel; detections of networks that had learnt agreed to 1e-5 and 2e-3
RELATIVE, ABSOLUTE, PIXELS = 1e-4, 1e-6, 0.01
LEAST_SCORE = 0.01

Rows = NDArray[np.float64]


def check_program_outputs(folder: Path, method: str, part: str = "val") -> None:
    """Every box that `yolo predict` finds by the weights of a cell is one of its model file's, score and class too.

    Args:
        folder: A cell that `yolo` trained: ``model.onnx`` and the program's own ``checkpoint/``.
        method: Its method.
        part: Images to look at, as the program has them.

    Raises:
        AssertionError: The file gives other boxes, other classes or other scores.
    """
    work = (folder / "checkpoint").resolve()  # the program runs in a folder of its own
    weights = work / "run" / "weights" / "best.pt"
    assert weights.is_file(), f"{method}: the program's weights are gone: {weights}"
    detections = predict(work, work / "data" / "images" / part)
    images = sorted(detections)[:IMAGES]
    assert images, f"{method}: `yolo predict` finds nothing on the part {part}"
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    pixels = np.stack([cv2.imread(str(image))[..., ::-1] for image in images])
    batch = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), np.float32) / 255
    together = session.run(["boxes", "scores"], {"images": batch})
    for row, image in enumerate(images):
        alone = session.run(["boxes", "scores"], {"images": batch[row : row + 1]})
        for boxes, scores in (alone, [figures[row : row + 1] for figures in together]):
            check_among(
                detections[image], boxes[0], scores[0], batch.shape[-1], f"{method}: {image}"
            )


def is_trained_by_yolo(method: str) -> bool:
    """Whether a method's rule trains it by the `yolo` program."""
    rule = Path("models") / method / "method.smk"
    return rule.is_file() and "train_by_ultralytics" in rule.read_text()


def predict(work: Path, source: Path) -> dict[Path, Rows]:
    """What `yolo predict` finds on a folder of square images.

    Args:
        work: The program's folder of a training, with ``run/weights/best.pt``.
        source: PNG images.

    Returns:
        For each image with detections its rows: class, centre x, y, width, height (shares of the side), score.
    """
    sys.path.insert(0, str(PROGRAMS.resolve()))
    from yolo_program import run_program

    side = cv2.imread(str(next(source.glob("*.png")))).shape[0]
    options = {"model": work / "run" / "weights" / "best.pt", "source": source, "imgsz": side}
    options |= {
        "nms": False,
        "conf": LEAST_SCORE,
        "save_txt": True,
        "save_conf": True,
        "save": False,
    }
    with tempfile.TemporaryDirectory() as out:
        options |= {"project": out, "name": "found", "device": "cpu"}
        run_program(["detect", "predict", *(f"{k}={v}" for k, v in options.items())], work, 1)
        files = sorted((Path(out) / "found" / "labels").glob("*.txt"))
        return {source / f"{file.stem}.png": np.loadtxt(file, ndmin=2) for file in files}


def check_among(detections: Rows, boxes: Rows, scores: Rows, side: int, title: str) -> None:
    """Each detection is one of the file's.

    Args:
        detections: See ``predict``.
        boxes: Corners in pixels, [P, 4].
        scores: [P, C].
        side: Of the image, pixels.
        title: Words before an error.

    Raises:
        AssertionError: A detection has no box of its class and score in its place.
    """
    centre, half = side * detections[:, 1:3], side * detections[:, 3:5] / 2
    corners = np.hstack((centre - half, centre + half))
    labels = detections[:, 0].astype(int)
    for label, box, score in zip(labels, corners, detections[:, 5], strict=True):
        same = np.isclose(scores[:, label], score, rtol=RELATIVE, atol=ABSOLUTE)
        apart = np.abs(boxes.clip(0, side) - box)[same].max(1).min(initial=np.inf)
        assert apart < PIXELS, (
            f"{title}: the export is not what was trained: no box of class {label} with score {score:.4f} lies where "
            f"the program finds one ({apart:.3g} px away)"
        )
