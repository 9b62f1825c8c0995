"""Predict: run a model file over a pack, write COCO results in original pixels, or probabilities of classes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.engines import REFERENCE
from ..base.errors import ArtifactError, PackError
from ..base.files import atomic_write_json, unchanged
from ..base.records import record_beside, refuse_own_inputs, write_record
from ..data.pack import Pack, load_arrays
from .checked import open_checked
from .engines.files import files_of, inputs_of
from .merge import Detections, merge_tiles
from .nms import SCORING_THRESHOLD, answer_of
from .runtime import AnomalyModel, BoxFinder, ClassifierModel, DetectorModel, Images, Model

BATCH = 16
ROUNDING = 1e-4  # by which a probability in 32 bits may leave 0..1


def predict(
    model_path: str | Path,
    pack_path: str | Path,
    out_json: str | Path,
    threads: int = 1,
    engine_name: str = REFERENCE,
) -> list[dict[str, Any]]:
    """Run a model on every image of a pack and write the results.

    A classifier's are the probabilities of all classes by image, those of a model that was fitted to images without a
    defect one score an image. A detector's: scores above 0.001, class-aware
    suppression at IoU 0.6 where the model needs one, at most 100 boxes an image: the figures that COCO's AP counts.
    Category ids are positions in the class list.

    Beside them the record ``<name>.record.json`` says by hash which model and pack they were made from.

    Args:
        model_path: An artifact, or the folder of an engine's own files.
        pack_path: The pack of one part, at the model's size.
        out_json: The file to make: a COCO result list, boxes x y w h in original pixels; or a list of
            ``image_id`` and ``probabilities`` in the order of the classes, or ``anomaly``.
        threads: Threads of the engine.
        engine_name: What runs it.

    Returns:
        The results as written.

    Raises:
        ArtifactError: The file breaks the artifact signature, cannot be run, or gives figures that are not finite or
            no probabilities.
        PackError: Size or classes of pack and model differ.
        MeasurementError: The model file was changed while it was used.
        ConfigError: The file to make is the model or the pack.
    """
    start = time.perf_counter()
    refuse_own_inputs(out_json, (*files_of(model_path), pack_path))
    with unchanged(*files_of(model_path)):
        engine = open_checked(model_path, threads, engine_name)
        pack = load_arrays(pack_path, task=engine.task)
        check_pack_fits(engine, pack, pack_path)
        figures = {"n_images": pack.n_images}
        if isinstance(engine, DetectorModel):
            results = [row for rows in predict_pack(engine, pack, model_path) for row in rows]
            figures["n_detections"] = len(results)
        else:
            results = list(results_of_images(engine, pack, model_path))
    atomic_write_json(out_json, results)
    inputs = {**inputs_of(model_path), "pack": pack_path, "predictions": out_json}
    seconds = time.perf_counter() - start
    extra = {}
    if pack.whole is not None:
        figures["n_tiles"] = len(pack)
        extra["tiles"] = pack.whole.tiling
    write_record(record_beside(out_json), "predictions", figures, inputs, seconds, extra)
    return results


def check_pack_fits(engine: Model, pack: Pack[Any], pack_path: str | Path) -> None:
    """Check that a pack has the model's size and classes.

    Raises:
        PackError: They differ.
    """
    size = int(pack.images.shape[-1])
    if size != engine.size:
        raise PackError(pack_path, "size", size, f"the model asks for {engine.size} pixels")
    if list(pack.classes) != engine.classes:
        fix = f"the model was trained on {engine.classes}"
        raise PackError(pack_path, "classes", list(pack.classes), fix)


def predict_pack(
    engine: BoxFinder,
    pack: Pack[Any],
    source: str | Path,
    score_threshold: float = SCORING_THRESHOLD,
) -> Iterator[list[dict[str, Any]]]:
    """Yield the COCO results of one image after the other; of an image in tiles, those of its tiles merged.

    Raises:
        ArtifactError: The model gives figures that are not finite; names the image.
    """
    detections = _detect(engine, pack, source, score_threshold)
    if pack.whole is None:
        for image_id, (boxes, scores, labels) in zip(
            pack.image_ids.tolist(), detections, strict=True
        ):
            yield coco_results(image_id, boxes, scores, labels)
        return
    whole, first = pack.whole, 0
    tiles_of = Counter(pack.image_ids.tolist())
    for image_id, size in zip(whole.ids.tolist(), whole.size, strict=True):
        end = first + tiles_of[image_id]
        windows, tiles = whole.windows[first:end], list(islice(detections, end - first))
        first = end
        yield coco_results(image_id, *merge_tiles(windows, size, tiles, score_threshold))


def _detect(
    engine: BoxFinder, pack: Pack[Any], source: str | Path, score_threshold: float
) -> Iterator[Detections]:
    """Yield the boxes of one row of a pack after the other, in original pixels of the row."""
    images, ids = np.asarray(pack.images), np.asarray(pack.image_ids)
    fit = (pack.scale, pack.pad, pack.original_size)
    scales, pads, originals = (np.asarray(values) for values in fit)
    for start in range(0, len(images), BATCH):
        chunk = images[start : start + BATCH].astype(np.float32) / np.float32(255)
        boxes, scores = engine(chunk)
        for row in range(len(chunk)):
            n = start + row
            check_output(source, int(ids[n]), scores[row], boxes[row])
            kept, kept_scores, labels = answer_of(
                boxes[row], scores[row], score_threshold, engine.suppression
            )
            yield to_original(kept, float(scales[n]), pads[n], originals[n]), kept_scores, labels


def results_of_images(
    engine: ClassifierModel | AnomalyModel, pack: Pack[Any], source: str | Path
) -> Iterator[dict[str, Any]]:
    """Yield the result of one image after the other, of a model that answers once an image.

    Raises:
        ArtifactError: The model gives figures that are not finite; names the image.
    """
    answer = score_pack if isinstance(engine, AnomalyModel) else classify_pack
    return answer(engine, pack, source)


def score_pack(
    engine: Callable[[Images], Images], pack: Pack[Any], source: str | Path
) -> Iterator[dict[str, Any]]:
    """Yield how little one image after the other looks like those without a defect.

    Raises:
        ArtifactError: The model gives figures that are not finite, or below 0; names the image.
    """
    images, ids = np.asarray(pack.images), pack.image_ids.tolist()
    for start in range(0, len(images), BATCH):
        outputs = engine(images[start : start + BATCH].astype(np.float32) / np.float32(255))
        for image_id, row in zip(ids[start : start + BATCH], outputs, strict=True):
            yield {"image_id": image_id, "anomaly": checked_score(source, image_id, row)}


def checked_score(source: str | Path, image_id: int, row: NDArray[Any]) -> float:
    """The one number of an output [1], rounded as it is written.

    Raises:
        ArtifactError: It is not finite, or below 0; names the image.
    """
    value = float(row[0])
    if not np.isfinite(value) or value < 0:
        fix = "a score is a finite number from 0; fit again, the features have diverged"
        raise ArtifactError(source, f"output for image {image_id}", value, fix)
    return round(value, 6)


def classify_pack(
    engine: Callable[[Images], Images], pack: Pack[Any], source: str | Path
) -> Iterator[dict[str, Any]]:
    """Yield the probabilities of one image after the other.

    Raises:
        ArtifactError: The model gives figures that are not finite; names the image.
    """
    images, ids = np.asarray(pack.images), pack.image_ids.tolist()
    for start in range(0, len(images), BATCH):
        outputs = engine(images[start : start + BATCH].astype(np.float32) / np.float32(255))
        for image_id, row in zip(ids[start : start + BATCH], outputs, strict=True):
            check_output(source, image_id, row)
            yield {
                "image_id": image_id,
                "probabilities": [round(float(p), 6) for p in np.clip(row, 0, 1)],
            }


def check_output(
    source: str | Path, image_id: int, scores: NDArray[Any], boxes: NDArray[Any] | None = None
) -> None:
    """Check what a model says of one image.

    Raises:
        ArtifactError: Figures are not finite, or scores are no probabilities; names the image.
    """
    field = f"output for image {image_id}"
    if not (np.isfinite(scores).all() and (boxes is None or np.isfinite(boxes).all())):
        raise ArtifactError(source, field, "not finite", "train again; the weights have diverged")
    low, high = float(scores.min(initial=0.0)), float(scores.max(initial=0.0))
    if low < -ROUNDING or high > 1 + ROUNDING:
        fix = "scores are probabilities from 0 to 1; put the sigmoid or softmax into the graph"
        raise ArtifactError(source, field, [round(low, 6), round(high, 6)], fix)


def to_original(
    boxes: NDArray[Any], scale: float, pad: NDArray[Any], original_size: NDArray[Any]
) -> NDArray[np.float64]:
    """Map boxes from pack pixels to original pixels and clip them to the image.

    Args:
        boxes: [K, 4], x0 y0 x1 y1 in pack pixels.
        scale: Pack pixels an original pixel.
        pad: [2], left and top padding, pack pixels.
        original_size: [2], width and height, pixels.

    Returns:
        [K, 4], x0 y0 x1 y1 in original pixels.
    """
    shift, limit = np.tile(pad.astype(np.float64), 2), np.tile(original_size, 2)
    return np.clip((boxes.astype(np.float64) - shift) / scale, 0.0, limit)


def coco_results(
    image_id: int, boxes: NDArray[Any], scores: NDArray[Any], labels: NDArray[Any]
) -> list[dict[str, Any]]:
    """Write detections of one image as COCO results.

    Boxes without area are left out, and so is what was written already: without suppression two answers may be one
    when they are rounded.
    """
    sides = boxes[:, 2:] - boxes[:, :2]
    rows = np.concatenate([boxes[:, :2], sides], axis=1).round(3)
    written = dict.fromkeys(
        (int(label), tuple(row.tolist()), round(min(float(score), 1.0), 6))
        for row, score, label in zip(rows, scores, labels, strict=True)
        if row[2] > 0 and row[3] > 0
    )
    return [
        {"image_id": image_id, "category_id": label, "bbox": list(row), "score": score}
        for label, row, score in written
    ]
