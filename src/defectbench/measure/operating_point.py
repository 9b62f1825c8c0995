"""Where a detector works: thresholds, and what a plant pays for them.

*Overkill*: a good part is rejected. Counted by image: the share of images with a false alarm, a
detection above the threshold that touches no true box. Over the defect-free images where there are
at least 20 of them, else over all images. *Escape*: a defect passes. Counted by image: the share of
defective images in which no detection above the threshold touches a true box; and by defect: the
share of true boxes that none touches. To touch is to overlap at IoU 0.1 or more, of any class: the
part is rejected all the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.bounds import LEAST_DEFECT_FREE
from ..base.files import unchanged
from ..base.records import write_record
from ..data.pack import Pack, load_arrays
from ..deploy.checked import open_checked
from ..deploy.nms import DEPLOYMENT_THRESHOLD
from ..deploy.predict import (
    check_pack_fits,
    classify_pack,
    coco_results,
    predict_pack,
    score_pack,
    to_original,
)
from ..deploy.runtime import AnomalyModel, ClassifierModel, DetectorModel
from .bootstrap import Matches, match, pairwise_iou
from .escape import OVERKILL_RATE, EscapeRate
from .evaluator import score
from .image_scores import auroc, escape_of, kinds_of, pack_scored

TOUCH_IOU = 0.1


def escape_at_overkill(
    truth: Mapping[str, Any],
    results: Sequence[Mapping[str, Any]],
    overkill_rate: float = OVERKILL_RATE,
) -> EscapeRate:
    """Escape rate at the lowest threshold that keeps the overkill rate.

    Args:
        truth: COCO annotations of the scored images.
        results: COCO results.
        overkill_rate: Share of images that may show a false alarm.
    """
    touched, alarms = [], []
    for image in truth["images"]:
        true = _boxes(truth["annotations"], image["id"])
        detections = [row for row in results if row["image_id"] == image["id"]]
        best, alarm = _touch(
            true, _boxes(detections, image["id"]), [row["score"] for row in detections]
        )
        touched.append(best)
        alarms.append(alarm)
    defective = np.array([len(best) > 0 for best in touched])
    defect_free = int((~defective).sum())
    on_good = defect_free >= LEAST_DEFECT_FREE
    base = np.array(alarms)[~defective] if on_good else np.array(alarms)
    threshold = _threshold(base, overkill_rate)
    bad = [best for best in touched if len(best)]
    missed = np.concatenate(bad) <= threshold if bad else np.zeros(0, dtype=bool)
    return EscapeRate(
        overkill_rate=overkill_rate,
        overkill_base="defect_free_images" if on_good else "all_images",
        n_overkill_base=len(base),
        threshold=threshold,
        escape_rate_images=float(np.mean([best.max() <= threshold for best in bad]))
        if bad
        else None,
        escape_rate_boxes=float(missed.mean()) if bad else None,
        n_defective_images=len(bad),
    )


def _boxes(rows: Sequence[Mapping[str, Any]], image_id: int) -> NDArray[np.float64]:
    kept = [row["bbox"] for row in rows if row["image_id"] == image_id]
    return np.array(kept, dtype=np.float64).reshape(-1, 4)


def _touch(
    true: NDArray[np.float64], detections: NDArray[np.float64], scores: Sequence[float]
) -> tuple[NDArray[np.float64], float]:
    """Best score that touches each true box, and best score that touches none; 0 where none."""
    touches = pairwise_iou(detections, true) >= TOUCH_IOU
    ranked = np.asarray(scores, dtype=np.float64)
    best = np.where(touches, ranked[:, None], 0.0).max(axis=0, initial=0.0)
    false_alarm = ranked[~touches.any(axis=1)].max(initial=0.0)
    return best, float(false_alarm)


def _threshold(alarms: NDArray[np.float64], rate: float) -> float:
    allowed = int(np.floor(rate * len(alarms) + 1e-9))
    ranked = np.sort(alarms)[::-1]
    return float(ranked[allowed]) if allowed < len(ranked) else 0.0


def best_f1_threshold(matches: Matches) -> tuple[float, float]:
    """The threshold with the best F1 at IoU 0.5 over all classes, and that F1.

    Detections must score above it. Without any hit it is the default of 0.25.
    """
    scores = np.concatenate([of_class.score for of_class in matches.classes])
    hits = np.concatenate([of_class.hit[0] for of_class in matches.classes])
    true = sum(int(of_class.true_boxes.sum()) for of_class in matches.classes)
    if not hits.any():
        return DEPLOYMENT_THRESHOLD, 0.0
    order = np.argsort(-scores, kind="stable")
    ranked, hits_above = scores[order], np.cumsum(hits[order])
    f1 = 2 * hits_above / (np.arange(1, len(ranked) + 1) + true)
    last_of_score = np.append(ranked[1:] < ranked[:-1], True)
    best = int(np.argmax(np.where(last_of_score, f1, -1.0)))
    below = ranked[best + 1] if best + 1 < len(ranked) else 0.0
    return float((ranked[best] + below) / 2), float(f1[best])


def pack_truth(pack: Pack[Any]) -> dict[str, Any]:
    """COCO annotations of a pack's images, in original pixels; of the whole images, where they are cut into tiles."""
    images, annotations = [], []
    for image_id, (width, height), boxes, labels in _true_boxes(pack):
        images.append(
            {"id": image_id, "file_name": str(image_id), "width": width, "height": height}
        )
        rows = coco_results(image_id, boxes, np.ones(len(boxes)), labels)
        for row in rows:
            area = row["bbox"][2] * row["bbox"][3]
            annotations.append({**row, "id": len(annotations) + 1, "area": area, "iscrowd": 0})
    categories = [{"id": n, "name": name} for n, name in enumerate(pack.classes)]
    return {"images": images, "annotations": annotations, "categories": categories}


def _true_boxes(
    pack: Pack[Any],
) -> Iterator[tuple[int, list[int], NDArray[Any], NDArray[np.int64]]]:
    """Id, width and height, true boxes and labels of each image, in original pixels."""
    if pack.whole is not None:
        whole = pack.whole
        for row, image_id in enumerate(whole.ids.tolist()):
            real = whole.labels[row] >= 0
            yield (
                image_id,
                whole.size[row].tolist(),
                whole.boxes[row][real],
                whole.labels[row][real],
            )
        return
    fit = (pack.labels, pack.boxes, pack.pad, pack.original_size)
    all_labels, all_boxes, pads, sizes = (np.asarray(values) for values in fit)
    for n, image_id in enumerate(pack.image_ids.tolist()):
        real = all_labels[n] >= 0
        boxes = to_original(all_boxes[n][real], float(pack.scale[n]), pads[n], sizes[n])
        yield image_id, sizes[n].tolist(), boxes, all_labels[n][real]


def choose_operating_point(
    model_path: str | Path, val_pack: str | Path, out: str | Path, threads: int = 1
) -> dict[str, Any]:
    """Choose the deployment threshold of a detector on the validation part, score the file there and record both.

    The score is that of the artifact itself. What ``train.json`` says is the score of the network as it was
    trained; where the two differ, the export is not what was trained. A classifier's threshold is None.

    Args:
        model_path: An artifact.
        val_pack: The pack of the validation part, at the model's size.
        out: The record to make. A detector's ``threshold`` has the best F1 at IoU 0.5; ``val_map50`` and
            ``val_map50_95`` are its scores in 0..1, None without a true box. A classifier's is ``val_accuracy``. Of a
            model that was fitted to images without a defect the threshold keeps the overkill rate on such images, None
            with fewer than 20, and ``val_auroc`` is None where the part lacks one of the two kinds, whose numbers are
            ``n_defect_free_images`` and ``n_defective_images``.
        threads: Threads of the engine.

    Returns:
        The record as written.

    Raises:
        ArtifactError: The file breaks the artifact signature, cannot be run, or gives figures that are not finite or
            no probabilities.
        PackError: Size, classes or task of pack and model differ.
        MeasurementError: The model file was changed while it was used.
    """
    with unchanged(model_path):
        engine = open_checked(model_path, threads)
        pack = load_arrays(val_pack, task=engine.task)
        check_pack_fits(engine, pack, val_pack)
        if isinstance(engine, DetectorModel):
            figures = _box_figures(engine, pack, model_path)
        elif isinstance(engine, ClassifierModel):
            figures = _class_figures(engine, pack, model_path)
        else:
            figures = _anomaly_figures(engine, pack, model_path)
    extra = {"tiles": pack.whole.tiling} if pack.whole is not None else None
    inputs = {"model": model_path, "val": val_pack}
    return write_record(out, "operating_point", figures, inputs, extra=extra)


def _box_figures(engine: DetectorModel, pack: Pack[Any], source: str | Path) -> dict[str, Any]:
    results = [row for rows in predict_pack(engine, pack, source) for row in rows]
    truth = pack_truth(pack)
    threshold, f1 = best_f1_threshold(match(truth, results))
    scores = score(truth, results) if truth["annotations"] else None
    return {
        "threshold": threshold,
        "f1": f1,
        "n_images": len(truth["images"]),
        "val_map50": scores.map50 if scores else None,
        "val_map50_95": scores.map50_95 if scores else None,
        "on_validation": asdict(escape_at_overkill(truth, results)),
    }


def _class_figures(engine: ClassifierModel, pack: Pack[Any], source: str | Path) -> dict[str, Any]:
    rows = classify_pack(engine, pack, source)
    predicted = np.array([np.argmax(row["probabilities"]) for row in rows])
    hits = predicted == np.asarray(pack.labels)[:, 0]
    return {"threshold": None, "n_images": len(hits), "val_accuracy": float(hits.mean())}


def _anomaly_figures(engine: AnomalyModel, pack: Pack[Any], source: str | Path) -> dict[str, Any]:
    scored = pack_scored(pack, list(score_pack(engine, pack, source)))
    escape, area = escape_of(scored), float(auroc(scored)[0])
    return {
        "threshold": escape.threshold if escape else None,
        **kinds_of(scored),
        "val_auroc": None if np.isnan(area) else area,
        "on_validation": asdict(escape) if escape else None,
    }
