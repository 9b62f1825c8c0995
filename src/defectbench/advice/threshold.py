"""The threshold that a deployed model works at: chosen on validation, by the overkill that a plant allows."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..base.bounds import LEAST_DEFECT_FREE
from ..base.engines import REFERENCE
from ..base.errors import ConfigError
from ..data.pack import load_arrays
from ..deploy.checked import open_checked
from ..deploy.predict import check_pack_fits, predict_pack
from ..deploy.runtime import DetectorModel
from ..measure.bootstrap import match
from ..measure.operating_point import (
    best_f1_threshold,
    escape_at_overkill,
    pack_truth,
)


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


def check_overkill(rate: float) -> None:
    """Stop at a rate that is no share.

    Raises:
        ConfigError: It is below 0, or 1 or above.
    """
    if not 0 <= rate < 1:
        fix = "give a share from 0 to below 1, such as 0.05"
        raise ConfigError("--overkill", "rate", rate, fix)


def choose_threshold(model: Path, val: Path, overkill: float, engine: str = REFERENCE) -> Threshold:
    """The threshold that keeps an overkill rate on the validation part, or the best F1 where that cannot be seen.

    Overkill is of good parts: with fewer than 20 defect-free pictures in the validation part it is not measured.

    Args:
        model: A model file, or the folder of an engine's own files.
        val: The pack of the validation part.
        overkill: Largest share of good parts that may be rejected, 0..1.
        engine: What runs it.

    Raises:
        ConfigError: The rate is no share, or the model is no detector.
        PackError: Size or classes of pack and model differ.
    """
    check_overkill(overkill)
    opened = open_checked(model, engine=engine)
    if not isinstance(opened, DetectorModel):
        fix = "a threshold and a folder to deploy are for detectors"
        raise ConfigError(model, "task", opened.task, fix)
    pack = load_arrays(val)
    check_pack_fits(opened, pack, val)
    results = [row for rows in predict_pack(opened, pack, model) for row in rows]
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
