"""The folder to deploy: the model, its threshold, its classes and a short script, checked against what was scored."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..base.errors import ConfigError, MeasurementError, ProgramError
from ..base.files import atomic_directory, atomic_write_text, read_json
from ..base.records import write_record
from ..data.pack import load_arrays
from ..deploy.checked import open_checked
from ..deploy.pictures import OPERATING_POINT
from ..deploy.predict import check_pack_fits, predict_pack
from ..deploy.runtime import DetectorModel
from ..measure.bootstrap import match
from ..measure.operating_point import (
    LEAST_DEFECT_FREE,
    best_f1_threshold,
    escape_at_overkill,
    pack_truth,
)

SCRIPT = Path(__file__).with_name("run_model.py")
CHECKED = 5  # pictures that the script is run on
SCORE_SLACK = 0.02  # by which another way of resizing may move a score
PIXEL_SLACK = 0.02  # and a corner, as a share of the picture's longer side


@dataclass(frozen=True)
class Threshold:
    """Where a deployed model works.

    Attributes:
        threshold: Boxes must score above it.
        why: How it was chosen, in words.
        figures: What it costs on the validation part.
    """

    threshold: float
    why: str
    figures: dict[str, Any]


def choose_threshold(model: Path, val: Path, overkill: float) -> Threshold:
    """The threshold that keeps an overkill rate on the validation part, or the best F1 where that cannot be seen.

    Overkill is of good parts: with fewer than 20 defect-free pictures in the validation part it is not measured.

    Args:
        model: An artifact.
        val: The pack of the validation part.
        overkill: Largest share of good parts that may be rejected, 0..1.

    Raises:
        ConfigError: The rate is no share, or the model is no detector.
    """
    if not 0 <= overkill < 1:
        raise ConfigError(
            "--overkill", "rate", overkill, "give a share from 0 to below 1, such as 0.05"
        )
    engine, pack = open_checked(model), load_arrays(val)
    if not isinstance(engine, DetectorModel):
        raise ConfigError(model, "task", engine.task, "a threshold is for detectors")
    check_pack_fits(engine, pack, val)
    results = [row for rows in predict_pack(engine, pack, model) for row in rows]
    truth = pack_truth(pack)
    escape = escape_at_overkill(truth, results, overkill)
    best, f1 = best_f1_threshold(match(truth, results))
    figures = {"f1": f1, "n_images": len(truth["images"]), "on_validation": asdict(escape)}
    if escape.overkill_base == "defect_free_images":
        free = escape.n_overkill_base
        why = f"at most {overkill:.1%} of the {free} defect-free pictures of the validation part are rejected"
        return Threshold(escape.threshold, why, figures)
    free = len(truth["images"]) - escape.n_defective_images
    why = (
        f"the best F1 on the validation part, since it has {free} defect-free pictures and overkill needs "
        f"{LEAST_DEFECT_FREE}"
    )
    return Threshold(best, why, figures)


def write_deployment(model: Path, val: Path, chosen: Threshold, out: Path) -> None:
    """Make the folder: ``model.onnx``, ``operating_point.json``, ``classes.txt`` and ``run_model.py``.

    Args:
        model: An artifact.
        val: The pack that the threshold was chosen on.
        chosen: The threshold.
        out: The folder; it is replaced as a whole.
    """
    classes = open_checked(model).classes
    with atomic_directory(out) as folder:
        shutil.copyfile(model, folder / "model.onnx")
        shutil.copyfile(SCRIPT, folder / SCRIPT.name)
        atomic_write_text(folder / "classes.txt", "".join(f"{name}\n" for name in classes))
        figures = {"threshold": chosen.threshold, **chosen.figures}
        inputs = {"model": model, "val": val}
        write_record(
            folder / OPERATING_POINT, "operating_point", figures, inputs, extra={"why": chosen.why}
        )


def check_script(
    folder: Path, pictures: Sequence[Path], stored: Sequence[Sequence[dict[str, Any]]]
) -> str:
    """Run the deployed script on pictures and hold what it says against stored predictions.

    Boxes whose score lies within 0.02 of the threshold may be on either side.

    Args:
        folder: The deployed folder.
        pictures: Pictures.
        stored: COCO results of each, at any threshold.

    Returns:
        What was compared, and by how much it differs, in words.

    Raises:
        ProgramError: The script fails.
        MeasurementError: It finds other boxes.
    """
    command = [sys.executable, str(folder / SCRIPT.name), *map(str, pictures)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        last = (run.stderr.strip().splitlines() or ["no word"])[-1]
        raise ProgramError(folder / SCRIPT.name, "exit status", run.returncode, last)
    told = json.loads(run.stdout)
    threshold = read_json(folder / OPERATING_POINT)["figures"]["threshold"]
    classes = (folder / "classes.txt").read_text(encoding="utf-8").splitlines()
    worst_score, worst_corner, count = 0.0, 0.0, 0
    for picture, rows in zip(pictures, stored, strict=True):
        mine = [
            (classes.index(name), score, np.array(box)) for name, score, box in told[str(picture)]
        ]
        theirs = [
            (row["category_id"], row["score"], _corners(row["bbox"]))
            for row in rows
            if row["score"] > threshold
        ]
        for some, others in ((mine, theirs), (theirs, mine)):
            for kind, score, box in some:
                if score < threshold + SCORE_SLACK:
                    continue
                near = [(abs(box - b).max(), abs(score - s)) for k, s, b in others if k == kind]
                corner, apart = min(near, default=(np.inf, np.inf))
                side = max(box.max(), 1.0)
                if apart > SCORE_SLACK or corner > max(1.0, PIXEL_SLACK * side):
                    fix = "the script does not find what was scored; do not deploy this folder"
                    seen = f"{classes[kind]} {score:.3f} at {box.round(1).tolist()} has no like"
                    raise MeasurementError(folder / SCRIPT.name, picture.name, seen, fix)
                worst_score, worst_corner = (
                    max(worst_score, apart),
                    max(worst_corner, float(corner)),
                )
        count += len(theirs)
    return (
        f"{len(pictures)} pictures, {count} boxes: scores differ by {worst_score:.4f} and corners by "
        f"{worst_corner:.2f} pixels at most"
    )


def _corners(bbox: Sequence[float]) -> np.ndarray:
    x, y, width, height = bbox
    return np.array([x, y, x + width, y + height])
