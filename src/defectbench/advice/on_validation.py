"""Which method is taken, by the validation part alone: the test part judges the choice, and had no say in it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..data.coco import read_coco
from ..data.pack import load_arrays
from ..deploy.checked import open_checked
from ..deploy.predict import check_pack_fits, predict_pack
from ..deploy.runtime import DetectorModel
from ..measure.accuracy import groups_of
from ..measure.bootstrap import match
from ..measure.operating_point import pack_truth
from ..measure.seeds import Runs, difference_of, holm
from ..measure.statistics import CONFIDENCE, resampled_precision

FIGURE = "map50"
CLOSE = 0.05  # of the best score, within which a faster method is taken
RESAMPLES = 1000


@dataclass(frozen=True)
class Choice:
    """What is taken.

    Attributes:
        method: The method.
        seed: That of its seeds which scores highest on validation.
        best: The method that scores highest there.
        scores: mAP50 on validation by method, mean over seeds, 0..1.
    """

    method: str
    seed: int
    best: str
    scores: Mapping[str, float]


def validated(cells: Mapping[str, Sequence[Path]], val: Path, dataset_dir: Path) -> dict[str, Runs]:
    """mAP50 of every model file on the validation part and on resamples of its groups.

    Args:
        cells: Folders of the cells, ``.../seed<k>``, by method.
        val: Pack of the validation part.
        dataset_dir: Folder of the dataset, with ``annotations.json`` and ``groups.csv``.
    """
    pack = load_arrays(val)
    truth = pack_truth(pack)
    names = {
        entry["id"]: name
        for name, entry in read_coco(dataset_dir / "annotations.json").images.items()
    }
    truth["images"] = [image | {"file_name": names[image["id"]]} for image in truth["images"]]
    groups = groups_of(truth, dataset_dir / "groups.csv")
    runs: dict[str, Runs] = {}
    for method, of_method in cells.items():
        scored = []
        for cell in of_method:
            engine = open_checked(cell / "model.onnx")
            assert isinstance(engine, DetectorModel)
            check_pack_fits(engine, pack, val)
            results = [row for rows in predict_pack(engine, pack, engine.path) for row in rows]
            scored.append(resampled_precision(match(truth, results), groups, RESAMPLES)[FIGURE])
        seeds = tuple(int(cell.name.removeprefix("seed")) for cell in of_method)
        runs[method] = Runs(seeds, tuple(scored))
    return runs


def choose_on_validation(runs: Mapping[str, Runs], times: Mapping[str, float]) -> Choice:
    """The fastest method within 5 points of the best that cannot be told apart from it.

    Args:
        runs: Scores on validation, by method.
        times: Time of each method, in any one unit.
    """
    scores = {method: _number(float(of_method.values.mean())) for method, of_method in runs.items()}
    best = max(scores, key=lambda method: (scores[method], -times[method]))
    same = [best, *_not_told_apart(runs, best)]
    close = [method for method in same if scores[best] - scores[method] <= CLOSE]
    method = min(close, key=lambda method: (times[method], -scores[method]))
    values = [_number(value) for value in runs[method].values.tolist()]
    return Choice(method, runs[method].seeds[values.index(max(values))], best, scores)


def _number(score: float) -> float:
    """A score; none without a true box on validation, which tells nothing of a method."""
    return 0.0 if math.isnan(score) else score


def _not_told_apart(runs: Mapping[str, Runs], best: str) -> list[str]:
    """Methods whose difference from the best could be chance, corrected for their number."""
    others = [method for method in runs if method != best]
    if any(np.isnan(runs[method].values).any() for method in runs):
        return others
    differences = [difference_of(runs[best], runs[other]) for other in others]
    corrected = holm([difference.p_value for difference in differences])
    return [
        other
        for other, difference, p_value in zip(others, differences, corrected, strict=True)
        if not (difference.interval.low > 0 and p_value < 1 - CONFIDENCE)
    ]
